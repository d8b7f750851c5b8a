"""What public functions and dataclasses are given, held to their annotations before anything is done with it.

`checked` stands over a function or a dataclass. A wrong argument is a `TclifError` that names it, instead of whatever
Python or numpy says of it somewhere inside::

    quantize: calibration is True; expected ...

Annotations that say nothing checkable (``Any``, protocols, classes of libraries that are not loaded) let everything
through: whoever annotates with them looks himself.
"""

from tclif_deploy.arguments.annotations import kind_of
from tclif_deploy.arguments.checks import check, checked, checked_fields
from tclif_deploy.arguments.kinds import Kind, Location, Problem, Text
from tclif_deploy.arguments.values import (
    described,
    holds_numbers,
    is_finite,
    is_number,
    is_whole,
    plain,
    to_array,
    to_numbers,
)

__all__ = [
    "Kind",
    "Location",
    "Problem",
    "Text",
    "check",
    "checked",
    "checked_fields",
    "described",
    "holds_numbers",
    "is_finite",
    "is_number",
    "is_whole",
    "kind_of",
    "plain",
    "to_array",
    "to_numbers",
]
