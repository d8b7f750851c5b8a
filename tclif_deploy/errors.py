"""The one exception type of this package."""


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
    >>> str(TclifError("weights.pt: file not found", "check the path"))
    'weights.pt: file not found; check the path'
    """

    def __init__(self, what: str, hint: str | None = None) -> None:
        self.what = one_line(what)
        self.hint = hint and one_line(hint)
        super().__init__(f"{self.what}; {self.hint}" if self.hint else self.what)


def one_line(text: str) -> str:
    """``text`` with line breaks and terminal codes escaped: messages quote names out of files from anywhere."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
