"""The one exception type of this package."""

from __future__ import annotations

from pathlib import Path


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
        self.what = one_line(what)
        self.hint = hint and one_line(hint)
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


def one_line(text: str) -> str:
    """``text`` with line breaks and terminal codes escaped: messages quote names out of files from anywhere."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
