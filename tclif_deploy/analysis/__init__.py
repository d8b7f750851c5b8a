"""What the paper says about its neuron, as functions: dynamics and energy (`tclif_deploy.nn.gradient` has Fig. 3)."""

import sys
from typing import Any

from tclif_deploy.analysis.dynamics import (
    determinant,
    paper_jacobian,
    rotation_frequency,
    row_norms,
    step_jacobian,
    table7_norm,
)
from tclif_deploy.analysis.energy import E_AC, E_MAC, LayerActivity, lif_energy, lstm_energy, tclif_energy

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


def __getattr__(name: str) -> Any:
    if name == "gradient_share":
        return sys.modules[f"{__name__}.gradient"].gradient_share  # the old path's alias, which warns
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
