"""Networks as files that other tools read."""

from tclif_deploy.formats.netx.read import is_netx, read_netx
from tclif_deploy.formats.netx.write import write_netx
from tclif_deploy.formats.netx.write_fixed import write_netx_fixed
from tclif_deploy.formats.nir import NotInNir, export_nir, read_nir, write_nir

__all__ = ["NotInNir", "export_nir", "is_netx", "read_netx", "read_nir", "write_netx", "write_netx_fixed", "write_nir"]
