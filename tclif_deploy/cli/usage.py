"""What the parser of the command line refuses, told like everything else: the value, and what was expected."""

from __future__ import annotations

from typing import Any

from tclif_deploy.settings import shown

EXPECTED = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "{le:g} at most",
    "less_than": "less than {lt:g}",
}
"""by pydantic's name of what is wrong, which newer versions of typer have as a cause"""


def refused(error: Any) -> str:
    """One line for a usage error: of a value that its option cannot have where that is known, else the parser's own.

    Examples
    --------
    >>> import typer
    >>> refused(typer.BadParameter("the moon"))
    'Invalid value: the moon'
    """
    problems: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    expected = EXPECTED.get(problems[0]["type"]) if len(problems) == 1 else None
    if expected is None or error.param is None:
        return str(error.format_message())
    name = max(error.param.opts, key=len)  # --output of (--output, -o)
    words = problems[0]["input"]
    value = str(words) if "ctx" in problems[0] else shown(words)  # limits are of what was read as a number
    return f"{name} is {value}; expected {expected.format(**problems[0].get('ctx', {}))}"
