"""Import paths and names of version 0.1 that have changed: they work, with a warning, until version 0.3.

The old modules stand in `sys.modules` and load the new place when something is taken from them. They are no files,
since a file of a public function's name would be bound onto the package, over the function, when it is imported.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

PACKAGE = "tclif_deploy"
Class = TypeVar("Class")

MOVED = {
    "analysis.dynamics": "formulas.dynamics",
    "analysis.energy": "formulas.energy",
    "analysis.gradient": "nn.gradient",
    "buildfolder": "builds.folder",
    "explain": "workflows.explain",
    "finetune": "workflows.finetune",
    "frontends.options": "formats.read_options",
    "frontends.windows": "data.windows",
    "interchange": "formats",
    "interchange.netx": "formats.netx.read",
    "interchange.netx_fixed": "formats.netx.write_fixed",
    "interchange.netx_loader": "formats.netx.lava_loader",
    "interchange.netx_loader.network": "formats.netx.lava_loader.network",
    "interchange.netx_write": "formats.netx.write",
    "interchange.nir": "formats.nir",
    "nn.tasks": "data.tasks",
    "pipeline": "workflows.compile",
    "quantize": "quantization",
    "quantize.frequency": "quantization.couplings",
    "quantize.plan": "quantization.layer_plan",
    "quantize.quantizer": "quantization.quantizer",
    "quantize.ranges": "quantization.ranges",
    "quantize.settings": "quantization.settings",
    "report.record": "builds.record",
    "simulate": "simulation",
    "simulate.floating": "simulation.floating",
    "simulate.reference": "simulation.reference",
    "simulate.result": "simulation.result",
    "simulate.stream": "simulation.stream",
    "sweep": "workflows.sweep",
    "target_schema": "target.schema",
    "verify": "verification",
    "verify.fidelity": "verification.fidelity",
    "verify.fuzz": "workflows.fuzz",
    "verify.verdict": "verification.verdict",
}
"""old path -> new path, both below the package"""


class _Moved(ModuleType):
    """A module that is somewhere else now."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__(f"{PACKAGE}.{old}", f"Moved to {PACKAGE}.{new}.")
        self._new = f"{PACKAGE}.{new}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system itself asks
            raise AttributeError(name)
        warnings.warn(
            f"{self.__name__} has moved to {self._new}; the old path goes with version 0.3", DeprecationWarning, 2
        )
        return getattr(import_module(self._new), name)


class OldName:
    """A method or property under the name that it had before: ``rows = OldName("shared_rows")`` in a class."""

    def __init__(self, new: str) -> None:
        self._new = new

    def __set_name__(self, owner: type, name: str) -> None:
        self._old = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        _warn(f"{owner.__name__}.{self._old}", self._new)
        return getattr(instance, self._new)


def renamed_field(old: str, new: str) -> Callable[[type[Class]], type[Class]]:
    """For a dataclass: takes the field ``new`` by its ``old`` name too, and answers to it."""

    def taking_both(cls: type[Class]) -> type[Class]:
        constructor = cls.__init__

        @functools.wraps(constructor)
        def init(self: Any, *args: Any, **arguments: Any) -> None:
            if old in arguments:
                _warn(f"{cls.__name__}.{old}", new)
                arguments[new] = arguments.pop(old)  # over None, which `dataclasses.replace` hands on
            constructor(self, *args, **arguments)

        name = OldName(new)
        name.__set_name__(cls, old)
        setattr(cls, old, name)
        cls.__init__ = init  # type: ignore[method-assign]
        return cls

    return taking_both


def old_names(module: str, renamed: dict[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module whose contents are ``renamed`` (old name -> new one)."""

    def find(name: str) -> Any:
        if name not in renamed:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name}", renamed[name])
        return getattr(sys.modules[module], renamed[name])

    return find


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is {new} now; the old name goes with version 0.3", DeprecationWarning, stacklevel=3)


def install() -> None:
    """Put the old paths into `sys.modules`."""
    for old, new in MOVED.items():
        sys.modules.setdefault(f"{PACKAGE}.{old}", _Moved(old, new))
