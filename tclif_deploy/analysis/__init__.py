"""What the paper says about its neuron, as functions: dynamics, gradients over time, energy."""

from tclif_deploy.analysis.dynamics import (
    determinant,
    paper_jacobian,
    rotation_frequency,
    row_norms,
    step_jacobian,
    table7_norm,
)
from tclif_deploy.analysis.energy import E_AC, E_MAC, LayerActivity, lif_energy, lstm_energy, tclif_energy
from tclif_deploy.analysis.gradient import gradient_share

__all__ = [
    "E_AC",
    "E_MAC",
    "LayerActivity",
    "determinant",
    "gradient_share",
    "lif_energy",
    "lstm_energy",
    "paper_jacobian",
    "rotation_frequency",
    "row_norms",
    "step_jacobian",
    "table7_norm",
    "tclif_energy",
]
