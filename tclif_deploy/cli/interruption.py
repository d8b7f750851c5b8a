"""Ctrl-C, SIGTERM and a terminal that closes: heard once, wherever a command is, and then quiet while it clears up."""

from __future__ import annotations

import signal
import sys
import threading
from _thread import interrupt_main
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")

NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""the signals that end a command; Windows has no SIGHUP"""

AGAIN_SECONDS = 0.05
"""until an interruption that was dropped comes again: what dropped it has mostly returned by then, or drops it again"""


class Interruption:
    """What is done with the signals while a command runs: the first raises KeyboardInterrupt in it.

    Signals that are ignored (by ``nohup``, or in a shell's background) stay so. To be used in the main thread.
    """

    def __init__(self) -> None:
        self.came = False
        """whether a signal came: an exception may be what some library made of the KeyboardInterrupt"""
        self._number = signal.SIGINT
        self._dropped: threading.Timer | None = None
        self._handlers: dict[int, Any] = {}
        self._hook = sys.unraisablehook

    def listen(self) -> None:
        """Hear the signals until `end`; outside `stoppable` they are only noted."""
        sys.unraisablehook = self._unraisable
        for number in NUMBERS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: not Python's, nor to be put back by it
                self._handlers[number] = signal.signal(number, self._stop)

    def stoppable(self, command: Callable[[], Result]) -> Result:
        """Run what a signal may end. Raises KeyboardInterrupt, or what comes of it on its way."""
        if self.came:
            raise KeyboardInterrupt
        return command()

    def end(self, *, ignore: bool) -> None:
        """Let the signals do what they did before or, where the process ends now, nothing."""
        self._forget()
        for number, handler in self._handlers.items():
            signal.signal(number, signal.SIG_IGN if ignore else handler)
        sys.unraisablehook = self._hook

    def _forget(self) -> None:
        """Let what was to come again come no more, unless it has come."""
        if self._dropped is not None:
            self._dropped.cancel()
            self._dropped.join()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        self._number = signal.Signals(number)
        if _stops(frame) and not _is_answered(sys.exc_info()[1]):
            raise KeyboardInterrupt

    def _unraisable(self, dropped: sys.UnraisableHookArgs) -> None:
        """Python drops what is raised in a C library's callback (LLVM's, for one) or a finalizer: send it again."""
        if not (self.came and issubclass(dropped.exc_type, KeyboardInterrupt)):
            self._hook(dropped)
            return
        self._forget()
        self._dropped = threading.Timer(AGAIN_SECONDS, _send, (self._number,))
        self._dropped.daemon = True
        self._dropped.start()


def _stops(frame: FrameType | None) -> bool:
    """Whether a signal heard in ``frame`` has a command to stop, and is not heard where one is being sent again."""
    while frame is not None and frame.f_code is not Interruption.stoppable.__code__:
        if frame.f_code is Interruption._unraisable.__code__:
            return False
        frame = frame.f_back
    return frame is not None


def _is_answered(handled: BaseException | None) -> bool:
    """Whether what is being handled now comes of an interruption, so that what was begun is just being cleared away.

    One that somebody caught and forgot is no more among what is handled: then the next signal counts.
    """
    seen: set[int] = set()
    while handled is not None and id(handled) not in seen:
        if isinstance(handled, KeyboardInterrupt):
            return True
        seen.add(id(handled))
        handled = handled.__context__
    return False


def _send(number: signal.Signals) -> None:
    """Send a signal to the main thread, which wakes it where the system can (POSIX)."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        interrupt_main(number)
