"""Networks as files that other tools read."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tclif_deploy.formats.netx import is_netx, read_netx, write_netx, write_netx_fixed
    from tclif_deploy.formats.nir import NotInNir, export_nir, read_nir, write_nir

__all__ = ["NotInNir", "export_nir", "is_netx", "read_netx", "read_nir", "write_netx", "write_netx_fixed", "write_nir"]


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: who reads a checkpoint needs neither nir nor h5py."""
    if name in __all__:
        return getattr(import_module(f"{__name__}.{'netx' if 'netx' in name else 'nir'}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
