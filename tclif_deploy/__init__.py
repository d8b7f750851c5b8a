"""Compile trained TC-LIF spiking networks for neuromorphic hardware, and prove that they still work.

The steps, as functions: `load` a trained network, `quantize` it for a target, `simulate` either, `verify` one against
the other; `compile` is all of them, into a build folder. `save` writes a torch module as a file that `load` reads with
nothing beside it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tclif_deploy import aliases
from tclif_deploy.version import __version__

if TYPE_CHECKING:
    from tclif_deploy import neurons
    from tclif_deploy.builds import Build
    from tclif_deploy.data import Dataset, load_data
    from tclif_deploy.data.windows import sliding_windows
    from tclif_deploy.errors import TclifError
    from tclif_deploy.fixed import FixedNetwork
    from tclif_deploy.formats import export_nir, read_nir, write_nir
    from tclif_deploy.formats.read_options import ReadOptions
    from tclif_deploy.frontends import load, register_neuron, save
    from tclif_deploy.mapping import place
    from tclif_deploy.network import Connection, Layer, Network
    from tclif_deploy.nn.config import TuneSettings
    from tclif_deploy.quantization import QuantizeSettings, dequantize, quantize
    from tclif_deploy.readout import Readout
    from tclif_deploy.simulation import FloatResult, Result, simulate
    from tclif_deploy.simulation.session import Simulator
    from tclif_deploy.simulation.session_state import SimulatorState
    from tclif_deploy.target import Target, load_target
    from tclif_deploy.verification import Requirements, Verdict, verify
    from tclif_deploy.workflows.anytime import anytime
    from tclif_deploy.workflows.check import check
    from tclif_deploy.workflows.compile import compile
    from tclif_deploy.workflows.cost import cost
    from tclif_deploy.workflows.explain import explain
    from tclif_deploy.workflows.finetune import finetune
    from tclif_deploy.workflows.options import CompileOptions
    from tclif_deploy.workflows.robust import robust
    from tclif_deploy.workflows.sweep import sweep

_PLACES = {
    name: room
    for room, names in {
        "builds": "Build",
        "data": "Dataset load_data",
        "data.windows": "sliding_windows",
        "errors": "TclifError",
        "fixed": "FixedNetwork",
        "formats": "export_nir read_nir write_nir",
        "formats.read_options": "ReadOptions",
        "frontends": "load register_neuron save",
        "mapping": "place",
        "network": "Connection Layer Network",
        "nn.config": "TuneSettings",
        "quantization": "QuantizeSettings dequantize quantize",
        "readout": "Readout",
        "simulation": "FloatResult Result simulate",
        "simulation.session": "Simulator",
        "simulation.session_state": "SimulatorState",
        "target": "Target load_target",
        "verification": "Requirements Verdict verify",
        "workflows.anytime": "anytime",
        "workflows.check": "check",
        "workflows.compile": "compile",
        "workflows.cost": "cost",
        "workflows.explain": "explain",
        "workflows.finetune": "finetune",
        "workflows.options": "CompileOptions",
        "workflows.robust": "robust",
        "workflows.sweep": "sweep",
    }.items()
    for name in names.split()
}
"""public name -> where it is defined: loaded when it is first asked for, so that a command imports only what it runs"""

_ROOMS = (
    "analysis", "backends", "bounds", "builds", "convolution", "data", "errors", "fixed", "formats", "formulas",
    "frontends", "mapping", "network", "neurons", "nn", "quantization", "report", "simulation", "target",
    "verification", "workflows",
)  # fmt: skip
"""modules that are there as attributes without an import of their own"""

__all__ = [
    "Build", "CompileOptions", "Connection", "Dataset", "FixedNetwork", "FloatResult", "Layer", "Network",
    "QuantizeSettings", "ReadOptions", "Readout", "Requirements", "Result", "Simulator", "SimulatorState", "Target",
    "TclifError", "TuneSettings", "Verdict", "__version__", "anytime", "check", "compile", "cost", "dequantize",
    "explain", "export_nir", "finetune", "load", "load_data", "load_target", "neurons", "place", "quantize", "read_nir",
    "register_neuron", "robust", "save", "simulate", "sliding_windows", "sweep", "verify", "write_nir",
]  # fmt: skip

aliases.install()


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        globals()[name] = value
        return value
    if name in _ROOMS or name in aliases.MOVED:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_ROOMS})
