"""Torch modules: the neuron that users train, and the truth that the numpy simulation is held against."""

from tclif_deploy.nn.neuron import TCLIF, Recurrent, reset_states

__all__ = ["TCLIF", "Recurrent", "reset_states"]
