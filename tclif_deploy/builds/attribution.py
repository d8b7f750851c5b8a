"""``explain.json``: where a build's error comes from, as ``tclif explain`` measured it."""

from __future__ import annotations

from dataclasses import dataclass

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.json_form import EXACT
from tclif_deploy.mapping import Finding
from tclif_deploy.network import INPUT
from tclif_deploy.quantization.calibration import Calibration
from tclif_deploy.simulation.quantized_parts import INPUT_PART, LAYER_PARTS
from tclif_deploy.verification.error_attribution import Effect, FirstDivergence, Loss
from tclif_deploy.verification.remedies import Remedy
from tclif_deploy.verification.state_safety import StateSafety
from tclif_deploy.verification.verdict import FloatAndFixed

FILE = "explain.json"
PARTS = (*LAYER_PARTS, INPUT_PART[1])


@dataclass(frozen=True)
class Worst:
    """The source whose readout error alone is the largest."""

    layer: str
    """``input`` for the encoding of the input"""
    source: str


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Error attribution, its measured remedies, and how far the states go.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tclif_deploy as tc
    >>> rng = np.random.default_rng(0)
    >>> hidden = tc.Layer("hidden", tc.neurons.lif(8, decay=0.9, threshold=1.0),
    ...                   (tc.Connection("input", rng.normal(0, 0.5, (8, 3))),))
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("hidden", rng.normal(0, 0.5, (2, 8))),))
    >>> network, x = tc.Network(3, (hidden, out)), rng.normal(0, 1, (8, 20, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile(network, data=x, output=f"{folder}/build", options=tc.CompileOptions(backend="none"))
    ...     attribution = tc.explain(build, x, calibration=x, jobs=1)
    >>> {source: f"{effect.alone.readout:.1%}" for source, effect in attribution.sources.items()}
    {'weights': '0.3%', 'coefficients': '0.0%', 'states': '0.0%', 'thresholds': '0.0%', 'bias': '0.0%', 'input': '0.0%'}
    """

    __pydantic_config__ = EXACT

    data: str
    """the data that it is about"""
    calibration: Calibration
    """the data on which remedies were quantized"""
    samples: int
    loss: Loss
    """what quantization costs in all: shares in [0, 1] of the samples and of the readout's spread"""
    sources: dict[str, Effect]
    """weights, coefficients, states, thresholds, bias, input -> what each costs in all layers"""
    layers: dict[str, Effect]
    """layer -> what all its sources cost"""
    parts: dict[str, dict[str, Effect]]
    """layer -> source -> what it costs there"""
    divergence: FirstDivergence | None
    """the first spike that differs; None where none does"""
    states: tuple[StateSafety, ...]
    """how far u and v of each layer go, and can go"""
    interaction: float
    """the lost agreement beyond the sum of each source alone"""
    layer_interaction: float
    """the lost agreement beyond the sum of each layer alone"""
    worst: Worst | None
    findings: tuple[Finding, ...]
    """what the network does on these data that is worth a worry"""
    remedies: tuple[Remedy, ...]
    """changes that were tried against what is worst, each measured; `Remedy.helps` says which of them help"""
    accuracy: FloatAndFixed
    """of both networks on these data, in [0, 1]; None without labels"""

    def check(self, fixed: FixedNetwork) -> None:
        """Raise `TclifError` unless this is the attribution of a network like ``fixed``."""
        layers = {layer.name for layer in fixed.layers}
        named = [*self.layers, *self.parts, *(state.layer for state in self.states)]
        if not layers.issuperset(named) or set(self.layers) != set(self.parts):
            raise TclifError("its layers are not those of this network")
        causes = () if self.divergence is None else self.divergence.causes
        kinds = {*self.sources, *(kind for part in self.parts.values() for kind in part), *causes}
        if not kinds <= set(PARTS):
            raise TclifError(f"{min(kinds - set(PARTS)):.40} is no source of error")
        parts = {name: set(row) for name, row in self.parts.items()} | {INPUT: {INPUT_PART[1]} & set(self.sources)}
        if self.worst is not None and self.worst.source not in parts.get(self.worst.layer, set()):
            raise TclifError("the worst source of error is none of its parts")
