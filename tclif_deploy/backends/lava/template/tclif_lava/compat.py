"""Lava's import, made to work on Python 3.11 and later, and its ports on numpy 2.4 and later."""

import dataclasses
import functools
import importlib
import inspect
from typing import Any

import numpy as np

LAVA_VERSION = "0.10.0"
"""The only release that these processes were run on."""

INSTALL_COMMANDS = (
    'pip install "numpy" scipy "networkx<=2.8.7" asteval',
    f"pip install --no-deps --ignore-requires-python lava-nc=={LAVA_VERSION}",
)
"""lava-nc declares Python < 3.11, so pip must not look at what it asks for."""

MISSING_HINT = f"install it by: {' && '.join(INSTALL_COMMANDS)}"


def prepare() -> None:
    """Make Lava work here; to be called before any other import of Lava."""
    _prepare_import()
    if "newshape" not in inspect.signature(np.reshape).parameters:
        _prepare_ports()


def _prepare_ports() -> None:
    """Let Lava's reshaped ports call numpy's ``reshape``, whose argument ``newshape`` numpy 2.4 took away."""
    port = importlib.import_module("lava.magma.core.process.ports.ports").ReshapePort
    port.get_transform_func_fwd = lambda self: functools.partial(np.reshape, shape=self.shape)
    port.get_transform_func_bwd = lambda self: functools.partial(np.reshape, shape=self.old_shape)


def _prepare_import() -> None:
    """Import the one module of Lava that Python >= 3.11 refuses.

    Its dataclass ``ByteEncoder`` stands as a default value in other dataclasses, which since 3.11 only
    hashable objects may do. So it becomes hashable, by a changed decorator that lives for that import only.
    """
    original: Any = dataclasses.dataclass

    def dataclass(cls: Any = None, /, **options: Any) -> Any:
        if cls is not None and cls.__name__ == "ByteEncoder":
            options["unsafe_hash"] = True
        return original(cls, **options)

    dataclasses.dataclass = dataclass
    try:
        importlib.import_module("lava.magma.compiler.var_model")
    finally:
        dataclasses.dataclass = original
