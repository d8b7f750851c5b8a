"""Compile trained TC-LIF spiking networks for neuromorphic hardware, and prove that they still work.

The steps, as functions: `load` a trained network, `quantize` it for a target, `simulate` the integers,
`verify` them against the float network; `compile` is all of them, into a build folder. `save` writes a
torch module as a file that `load` reads with nothing beside it.
"""

__version__ = "0.1.0"

from tclif_deploy.data import Dataset, load_data
from tclif_deploy.errors import TclifError
from tclif_deploy.frontends import ReadOptions, load, register_neuron, save, sliding_windows
from tclif_deploy.pipeline import Build, CompileOptions, compile
from tclif_deploy.quantize import QuantizeSettings, quantize
from tclif_deploy.simulate import simulate
from tclif_deploy.target import Target, load_target
from tclif_deploy.verify import Requirements, Verdict, verify

__all__ = [
    "Build",
    "CompileOptions",
    "Dataset",
    "QuantizeSettings",
    "ReadOptions",
    "Requirements",
    "Target",
    "TclifError",
    "Verdict",
    "__version__",
    "compile",
    "load",
    "load_data",
    "load_target",
    "quantize",
    "register_neuron",
    "save",
    "simulate",
    "sliding_windows",
    "verify",
]
