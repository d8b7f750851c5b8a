"""The one exception type of this package."""

from __future__ import annotations

import re
from pathlib import Path

LONGEST_WORD = 200
"""characters of a word in a message, as of a path: of longer ones the beginning and the end are shown"""
LONGEST_PART = 700
"""characters of what a message says, and of its hint: files from anywhere have lists of any length"""


class TclifError(Exception):
    """Something the user can mend: the message is one line that says what, where, why and what to do.

    Parameters
    ----------
    what : str
        What was wrong and where (file, layer, field, and the number against its limit).
    hint : str, optional
        What to do next.

    Examples
    --------
    >>> from tclif_deploy import TclifError
    >>> str(TclifError("weights.pt: file not found", "check the path"))
    'weights.pt: file not found; check the path'
    """

    def __init__(self, what: str, hint: str | None = None) -> None:
        self.what = _part(what)
        self.hint = hint and _part(hint)
        super().__init__(f"{self.what}; {self.hint}" if self.hint else self.what)


def cannot_write(path: Path | str, error: Exception, hint: str = "choose another folder") -> TclifError:
    """What to raise where ``error`` kept ``path`` from being written.

    Examples
    --------
    >>> str(cannot_write("a/b", OSError(28, "No space left on device")))
    'a/b: cannot be written (No space left on device); choose another folder'
    """
    reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
    return TclifError(f"{path}: cannot be written ({reason})", hint)


def cannot_read(path: Path | str, error: Exception, hint: str) -> TclifError:
    """What to raise where ``error`` kept ``path`` from being read.

    Examples
    --------
    >>> str(cannot_read("a/b", OSError(36, "File name too long"), "check the path"))
    'a/b: cannot be read (File name too long); check the path'
    """
    if isinstance(error, FileNotFoundError):
        return TclifError(f"{path}: file not found", hint)
    return TclifError(f"{path}: cannot be read ({reason_of(error)})", hint)


def reason_of(error: Exception) -> str:
    """What an exception of Python or of a library says, as a part of a line.

    Examples
    --------
    >>> reason_of(OSError(28, "No space left on device")), reason_of(ValueError("two  words")), reason_of(EOFError())
    ('No space left on device', 'two words', 'EOFError')
    """
    text = getattr(error, "strerror", None) or (error.what if isinstance(error, TclifError) else str(error))
    return " ".join(text.split())[:300] or type(error).__name__


def one_line(text: str) -> str:
    """``text`` with line breaks and terminal codes escaped: messages quote names out of files from anywhere.

    Words beyond `LONGEST_WORD` characters, as of a path that cannot be, are cut in the middle.
    """
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return re.sub(rf"[^ ]{{{LONGEST_WORD + 1},}}", lambda word: f"{word[0][:100]}...{word[0][-60:]}", printable)


def _part(text: str) -> str:
    """What a message says, or its hint: one line of at most `LONGEST_PART` characters, cut in the middle."""
    line = one_line(text)
    return line if len(line) <= LONGEST_PART else f"{line[:500]} ... {line[-150:]}"
