"""Torch modules: neurons and networks that users train (`tclif_deploy.nn.train` is the trainer)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tclif_deploy.nn.models import MODELS, build, parameter_count
    from tclif_deploy.nn.neuron import LIF, PLIF, TCLIF, LeakyReadout, Recurrent, SpikingNeuron, reset_states
    from tclif_deploy.nn.sequence import SequenceNetwork

__all__ = [
    "LIF", "MODELS", "PLIF", "TCLIF", "LeakyReadout", "Recurrent", "SequenceNetwork", "SpikingNeuron", "build",
    "parameter_count", "reset_states",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first asked for: the command line reads the settings here, without torch."""
    for place in ("neuron", "sequence", "models"):
        if name in (place, *__all__):
            module = import_module(f"{__name__}.{place}")
            if name == place or hasattr(module, name):
                return getattr(module, name, module)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
