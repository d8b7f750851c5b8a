"""Networks as NIR files: primitives that every NIR tool knows, and the exact parameters beside them."""

from tclif_deploy.formats.nir.graph import NotInNir
from tclif_deploy.formats.nir.read import read_nir
from tclif_deploy.formats.nir.write import write_nir
from tclif_deploy.formats.nir.write_standard import export_nir

__all__ = ["NotInNir", "export_nir", "read_nir", "write_nir"]
