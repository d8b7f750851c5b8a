"""Placement and cost as ``report.json`` and ``mapping.json`` hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping.cost import HIGH, LOW, Cost, Formula, Pair
from tclif_deploy.mapping.memory import RESOURCES
from tclif_deploy.mapping.operations import Operations
from tclif_deploy.mapping.partition import Slice
from tclif_deploy.mapping.placement import Placement, Utilization

FORMAT, FORMAT_VERSION = "tclif-mapping", 1
MOST_TILES = 1 << 22
"""of a mesh that is drawn"""


@dataclass(frozen=True)
class MappingSummary:
    """How much of the target a placement takes."""

    target: str
    strategy: str
    cores: int
    chips: int
    utilization: dict[str, float | None]
    """resource -> share of it that the fullest core uses; None where the target states no limit"""


@dataclass(frozen=True)
class EnergySummary:
    """nJ an inference; None where no figure of the target is public."""

    nj_per_inference_low: float | None
    nj_per_inference_high: float | None
    nj_by_part: dict[str, Pair | None]
    """synapses, updates, messages, hops: lowest and highest"""
    static_nj_per_inference: Pair | None
    """the chips' static power while the inference lasts; not in the total"""
    evidence: str | None
    """of the weakest figure used"""
    sources: dict[str, str]
    """figure -> where it comes from"""
    formula_45nm_nj_per_step: Formula


@dataclass(frozen=True)
class LatencySummary:
    """Microseconds; all None where the target states no times."""

    us_per_step: float | None = None
    """the highest estimate"""
    us_per_step_low: float | None = None
    us_per_step_high: float | None = None
    us_worst_step: float | None = None
    us_per_inference_low: float | None = None
    us_per_inference_high: float | None = None
    evidence: str | None = None


@dataclass(frozen=True, kw_only=True)
class HardwareSummary:
    """What a network takes of a target, and costs there; None where it does not fit, or where no data were given."""

    mapping: MappingSummary | None = None
    energy: EnergySummary | None = None
    latency: LatencySummary | None = None
    operations: Operations | None = None
    assumptions: tuple[str, ...] = ()
    missing_neurons: tuple[str, ...] = ()
    """kinds of neuron that the target does not have: the cost is then that of a network of this shape"""
    figures: str | None = None
    """whose figures energy and latency are modelled from, as the target says it"""


def hardware_summary(placement: Placement | None, cost: Cost | None = None) -> HardwareSummary:
    """The figures of a placement and of its cost."""
    if placement is None:
        return HardwareSummary()
    peaks = {name: row.peak for name, row in placement.utilization().items()}
    mapping = MappingSummary(placement.target, placement.strategy, len(placement.cores), placement.chips, peaks)
    if cost is None:
        return HardwareSummary(mapping=mapping)
    total, e, t = cost.energy.total or (None, None), cost.energy, cost.latency
    latency = LatencySummary()
    if t is not None:
        latency = LatencySummary(
            t.us_per_step[HIGH], t.us_per_step[LOW], t.us_per_step[HIGH], t.us_worst_step[HIGH],
            t.us_per_inference[LOW], t.us_per_inference[HIGH], t.evidence,
        )  # fmt: skip
    return HardwareSummary(
        mapping=mapping,
        energy=EnergySummary(total[LOW], total[HIGH], e.parts, e.static, e.evidence, e.sources, cost.formula_45nm),
        latency=latency, operations=cost.operations,
        assumptions=cost.assumptions, missing_neurons=cost.missing_neurons, figures=cost.figures,
    )  # fmt: skip


@dataclass(frozen=True)
class CoreSummary:
    """One core in use, and its place in the mesh of tiles."""

    chip: int
    core: int
    """its number on the chip"""
    x: int
    y: int
    slices: tuple[Slice, ...]
    used: dict[str, int]


@dataclass(frozen=True)
class PlacementSummary:
    """``mapping.json``: where every neuron lies."""

    target: str
    strategy: str
    chips: int
    hops: int
    """axons between cores times the tiles that they cross"""
    available: dict[str, int | None]
    utilization: dict[str, Utilization]
    cores: tuple[CoreSummary, ...]
    format: str = FORMAT
    version: int = FORMAT_VERSION

    @property
    def memory_bytes(self) -> int:
        """Of all cores together: synapses, axons and states."""
        return -(-sum(core.used["core_memory"] for core in self.cores) // 8)

    def check(self, fixed: FixedNetwork) -> None:
        """Raise `TclifError` unless this is a placement of a network like ``fixed``."""
        sizes = {layer.name: layer.size for layer in fixed.layers}
        if not self.cores or set(self.available) != set(RESOURCES):
            raise TclifError("it places nothing, or counts other resources than a core has")
        for core in self.cores:
            if set(core.used) != set(RESOURCES):
                raise TclifError(f"core {core.core} of chip {core.chip} uses other resources than it has")
            for piece in core.slices:
                if not 0 <= piece.start <= piece.stop <= sizes.get(piece.layer, -1):
                    raise TclifError(f"the network has no neurons {piece.layer}[{piece.start}:{piece.stop}]")
        spans = [[getattr(core, axis) for core in self.cores] for axis in ("x", "y")]
        if math.prod(max(span) - min(span) + 1 for span in spans) > MOST_TILES:
            raise TclifError(f"its mesh has more than {MOST_TILES:,} tiles")


def placement_summary(placement: Placement) -> PlacementSummary:
    """What ``mapping.json`` holds of a placement."""
    x, y = placement.mesh.position(placement.slots)
    return PlacementSummary(
        placement.target, placement.strategy, placement.chips, placement.hops,
        dict(zip(RESOURCES, placement.available, strict=True)), placement.utilization(),
        tuple(
            CoreSummary(c.chip, c.number, int(cx), int(cy), c.slices, dict(zip(RESOURCES, c.used, strict=True)))
            for c, cx, cy in zip(placement.cores, x, y, strict=True)
        ),
    )  # fmt: skip
