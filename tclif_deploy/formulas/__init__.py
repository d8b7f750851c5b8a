"""What the paper says about its neuron, as formulas: dynamics and energy."""

from tclif_deploy.formulas.dynamics import (
    determinant,
    paper_jacobian,
    rotation_frequency,
    row_norms,
    step_jacobian,
    table7_norm,
)
from tclif_deploy.formulas.energy import E_AC, E_MAC, LayerActivity, lif_energy, lstm_energy, tclif_energy

__all__ = [
    "E_AC",
    "E_MAC",
    "LayerActivity",
    "determinant",
    "lif_energy",
    "lstm_energy",
    "paper_jacobian",
    "rotation_frequency",
    "row_norms",
    "step_jacobian",
    "table7_norm",
    "tclif_energy",
]
