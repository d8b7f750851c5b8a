"""Torch modules: neurons and networks that users train (`tclif_deploy.nn.train` is the trainer)."""

from tclif_deploy.nn.models import MODELS, build, parameter_count
from tclif_deploy.nn.neuron import LIF, PLIF, TCLIF, Recurrent, SpikingNeuron, reset_states
from tclif_deploy.nn.sequence import SequenceNetwork

__all__ = [
    "LIF", "MODELS", "PLIF", "TCLIF", "Recurrent", "SequenceNetwork", "SpikingNeuron", "build", "parameter_count",
    "reset_states",
]  # fmt: skip
