"""netx: the network files of lava-dl, read and written."""

from tclif_deploy.formats.netx.read import is_netx, read_netx
from tclif_deploy.formats.netx.write import write_netx
from tclif_deploy.formats.netx.write_fixed import write_netx_fixed

__all__ = ["is_netx", "read_netx", "write_netx", "write_netx_fixed"]
