"""Everything that is read as a network; untrusted input ends here."""

from tclif_deploy.frontends.model_file import from_module, save
from tclif_deploy.frontends.options import ReadOptions
from tclif_deploy.frontends.reader import load
from tclif_deploy.frontends.registry import register_neuron
from tclif_deploy.frontends.windows import sliding_windows

__all__ = ["ReadOptions", "from_module", "load", "register_neuron", "save", "sliding_windows"]
