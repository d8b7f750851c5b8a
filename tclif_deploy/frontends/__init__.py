"""Everything that is read as a network; untrusted input ends here."""

from tclif_deploy.data.windows import sliding_windows
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.frontends.live.registry import register_neuron
from tclif_deploy.frontends.live.structure import from_module, save
from tclif_deploy.frontends.reader import ModelLike, load

__all__ = ["ModelLike", "ReadOptions", "from_module", "load", "register_neuron", "save", "sliding_windows"]
