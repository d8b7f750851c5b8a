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
        self.what = what
        self.hint = hint
        super().__init__(f"{what}; {hint}" if hint else what)
