"""What a person sees of a build."""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    if name in (
        "analyses",
        "anytime",
        "methods",
        "page",
        "robustness",
        "static",
    ):  # loaded when asked for: a terminal needs no page
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
