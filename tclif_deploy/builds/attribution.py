"""``explain.json``: where a build's error comes from, as ``tclif explain`` found it."""

from __future__ import annotations

from dataclasses import dataclass

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.json_form import EXACT
from tclif_deploy.mapping import Finding
from tclif_deploy.quantization.calibration import Calibration
from tclif_deploy.simulation.partially_quantized import LAYER_PARTS
from tclif_deploy.verification.error_attribution import Effect, FirstDivergence, Loss
from tclif_deploy.verification.remedies import Remedy
from tclif_deploy.verification.state_safety import StateSafety
from tclif_deploy.verification.verdict import FloatAndFixed

FILE = "explain.json"
PARTS = (*LAYER_PARTS, "input")


@dataclass(frozen=True)
class Worst:
    """The source whose readout error alone is the largest."""

    layer: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """The account of the error, its measured remedies, and how far the states go."""

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

    def check(self, fixed: FixedNetwork) -> None:
        """Raise `TclifError` unless this is an account of a network like ``fixed``."""
        layers = {layer.name for layer in fixed.layers}
        named = [*self.layers, *self.parts, *(state.layer for state in self.states)]
        if not layers.issuperset(named) or set(self.layers) != set(self.parts):
            raise TclifError("its layers are not those of this network")
        causes = () if self.divergence is None else self.divergence.causes
        kinds = {*self.sources, *(kind for part in self.parts.values() for kind in part), *causes}
        if not kinds <= set(PARTS):
            raise TclifError(f"{min(kinds - set(PARTS)):.40} is no source of error")
        if self.worst is not None and self.worst.source not in self.parts.get(self.worst.layer, {}):
            raise TclifError("the worst source of error is none of its parts")
