"""Compile trained TC-LIF spiking networks for neuromorphic hardware, and prove that they still work.

The steps, as functions: `load` a trained network, `quantize` it for a target, `simulate` the integers,
`verify` them against the float network; `compile` is all of them, into a build folder. `save` writes a
torch module as a file that `load` reads with nothing beside it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tclif_deploy import aliases
from tclif_deploy.version import __version__

if TYPE_CHECKING:
    from tclif_deploy.builds import Build
    from tclif_deploy.data import Dataset, load_data
    from tclif_deploy.data.windows import sliding_windows
    from tclif_deploy.errors import TclifError
    from tclif_deploy.formats.read_options import ReadOptions
    from tclif_deploy.frontends import load, register_neuron, save
    from tclif_deploy.quantization import QuantizeSettings, quantize
    from tclif_deploy.simulation import simulate
    from tclif_deploy.target import Target, load_target
    from tclif_deploy.verification import Requirements, Verdict, verify
    from tclif_deploy.workflows.compile import CompileOptions, compile

_PLACES = {
    "Build": "builds",
    "CompileOptions": "workflows.compile",
    "Dataset": "data",
    "QuantizeSettings": "quantization",
    "ReadOptions": "formats.read_options",
    "Requirements": "verification",
    "Target": "target",
    "TclifError": "errors",
    "Verdict": "verification",
    "compile": "workflows.compile",
    "load": "frontends",
    "load_data": "data",
    "load_target": "target",
    "quantize": "quantization",
    "register_neuron": "frontends",
    "save": "frontends",
    "simulate": "simulation",
    "sliding_windows": "data.windows",
    "verify": "verification",
}
"""public name -> where it is defined: loaded when it is first asked for, so that a command imports only what it runs"""

_ROOMS = ("analysis", "backends", "convolution", "data", "fixed", "formats", "mapping", "network", "neurons", "nn")
"""documented modules that are there as attributes too"""

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

aliases.install()


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_ROOMS})
