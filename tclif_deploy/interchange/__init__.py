"""Networks as files that other tools read."""

from tclif_deploy.interchange.nir import NotInNir, read_nir, write_nir

__all__ = ["NotInNir", "read_nir", "write_nir"]
