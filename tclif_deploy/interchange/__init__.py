"""Networks as files that other tools read."""

from tclif_deploy.interchange.nir import NotInNir, export_nir, read_nir, write_nir

__all__ = ["NotInNir", "export_nir", "read_nir", "write_nir"]
