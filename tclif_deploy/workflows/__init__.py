"""The jobs that commands do, one function each."""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    if name in (
        "anytime",
        "check",
        "compile",
        "cost",
        "explain",
        "finetune",
        "fuzz",
        "rebuild",
        "sweep",
    ):  # loaded when asked for
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
