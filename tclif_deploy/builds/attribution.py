"""``explain.json``: where a build's error comes from, as ``tclif explain`` measured it."""

from __future__ import annotations

from dataclasses import dataclass

from tclif_deploy.json_form import EXACT
from tclif_deploy.mapping import Finding
from tclif_deploy.quantization.calibration import Calibration
from tclif_deploy.verification.error_attribution import Effect, FirstDivergence, Loss
from tclif_deploy.verification.remedies import Remedy
from tclif_deploy.verification.state_safety import StateSafety
from tclif_deploy.verification.verdict import FloatAndFixed

FILE = "explain.json"


@dataclass(frozen=True)
class Worst:
    """The source whose readout error alone is the largest."""

    layer: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Error attribution, its measured remedies, and how far the states go."""

    __pydantic_config__ = EXACT

    data: str
    """the data that it is about"""
    calibration: Calibration
    """the data on which remedies were quantized"""
    samples: int
    loss: Loss
    sources: dict[str, Effect]
    layers: dict[str, Effect]
    parts: dict[str, dict[str, Effect]]
    divergence: FirstDivergence | None
    states: tuple[StateSafety, ...]
    interaction: float
    layer_interaction: float
    worst: Worst | None
    findings: tuple[Finding, ...]
    """what the network does on these data that is worth a worry"""
    remedies: tuple[Remedy, ...]
    accuracy: FloatAndFixed
