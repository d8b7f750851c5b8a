"""What the paper (Zhang et al., AAAI 2024) shows of its neuron, of a user's own network; ``tclif analyse`` prints it.

`gradients` (its Fig. 3), `convergence` (Fig. 4), `landscape` (Fig. 5), `quadrants` (Fig. 2) and `dynamics` (Eq. 13-15,
Table 7) each return a dataclass; so does `sensitivity`, which the paper does not have. The formulas that need no
network are in `tclif_deploy.formulas`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tclif_deploy.formulas import (
    E_AC,
    E_MAC,
    LayerActivity,
    determinant,
    lif_energy,
    lstm_energy,
    paper_jacobian,
    rotation_frequency,
    row_norms,
    step_jacobian,
    table7_norm,
    tclif_energy,
)

if TYPE_CHECKING:
    from tclif_deploy.analysis.coupling_search import Quadrants, quadrants
    from tclif_deploy.analysis.gradient_flow import Gradients, gradients
    from tclif_deploy.analysis.jacobians import Dynamics, dynamics
    from tclif_deploy.analysis.learning_curves import Convergence, convergence
    from tclif_deploy.analysis.loss_surface import Landscape, landscape
    from tclif_deploy.analysis.weight_sensitivity import Sensitivity, sensitivity

__all__ = [
    "E_AC", "E_MAC", "Convergence", "Dynamics", "Gradients", "Landscape", "LayerActivity", "Quadrants", "Sensitivity",
    "convergence", "determinant", "dynamics", "gradients", "landscape", "lif_energy", "lstm_energy", "paper_jacobian",
    "quadrants", "rotation_frequency", "row_norms", "sensitivity", "step_jacobian", "table7_norm", "tclif_energy",
]  # fmt: skip

_PLACES = {
    "Convergence": "learning_curves", "convergence": "learning_curves",
    "Dynamics": "jacobians", "dynamics": "jacobians",
    "Gradients": "gradient_flow", "gradients": "gradient_flow",
    "Landscape": "loss_surface", "landscape": "loss_surface",
    "Quadrants": "coupling_search", "quadrants": "coupling_search",
    "Sensitivity": "weight_sensitivity", "sensitivity": "weight_sensitivity",
}  # fmt: skip
"""name -> the file that defines it, loaded when it is first asked for: two of them take torch along"""


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    if name in _PLACES.values():
        return import_module(f"{__name__}.{name}")
    if name == "gradient_share":
        return sys.modules[f"{__name__}.gradient"].gradient_share  # the old path's alias, which warns
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
