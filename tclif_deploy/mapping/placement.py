"""Placement: which core of which chip holds which neurons, and what of its resources they use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, Int, check_fixed
from tclif_deploy.mapping.memory import RESOURCES, UNBOUNDED, limits_of, number
from tclif_deploy.mapping.mesh import Mesh
from tclif_deploy.mapping.partition import CannotFit, Cores, Slice, partition
from tclif_deploy.mapping.traffic import Traffic, arrange, traffic
from tclif_deploy.mapping.workload import Workload
from tclif_deploy.target import Target, as_target


@dataclass(frozen=True)
class Strategy:
    """How layers are cut, and how the cores are laid out."""

    name: str
    cut: str
    """``greedy`` or ``balanced``"""
    near: bool
    """bring cores that talk to each other together"""
    description: str


STRATEGIES: dict[str, Strategy] = {
    s.name: s
    for s in (
        Strategy("greedy", "greedy", False, "as few cores as possible, in evaluation order"),
        Strategy("balanced", "balanced", False, "each layer in equal pieces, so that no core is the slowest by far"),
        Strategy("traffic", "greedy", True, "greedy, then cores moved towards those that they talk to"),
    )
}


@dataclass(frozen=True)
class Core:
    """One core in use."""

    chip: int
    number: int
    """on its chip"""
    slices: tuple[Slice, ...]
    used: tuple[int, ...]
    """in the order of `RESOURCES`"""


@dataclass(frozen=True)
class Utilization:
    """How much of one resource the cores use; shares are None where the target states no limit."""

    available: int | None
    """of each core"""
    most: int
    """used by the fullest core"""
    peak: float | None
    """share that the fullest core uses"""
    mean: float | None


@dataclass(frozen=True)
class Placement:
    """Where everything lies.

    Examples
    --------
    >>> from tclif_deploy import load_target
    >>> from tclif_deploy.mapping import Workload, place
    >>> placement = place(Workload.synthetic(neurons=4000, fan_in=16, layers=2, seed=0), load_target("loihi1"))
    >>> len(placement.cores), placement.chips
    (4, 1)
    """

    target: str
    strategy: str
    chips: int
    cores: tuple[Core, ...]
    available: tuple[int | None, ...]
    """of each core, in the order of `RESOURCES`; None where the target states no limit"""
    hops: int
    """axons between cores times the tiles that they cross"""
    mesh: Mesh

    @property
    def slots(self) -> Int:
        """Each core's place in the mesh, (cores,)."""
        return np.array([c.chip * self.mesh.cores_per_chip + c.number for c in self.cores], dtype=np.int64)

    @property
    def partition(self) -> Cores:
        """The slices of each core."""
        return [list(core.slices) for core in self.cores]

    def utilization(self) -> dict[str, Utilization]:
        """How much of each resource the cores use."""
        table = {}
        for n, (name, limit) in enumerate(zip(RESOURCES, self.available, strict=True)):
            used = [core.used[n] for core in self.cores]
            shares = (None, None) if limit is None else (max(used) / limit, sum(used) / limit / len(used))
            table[name] = Utilization(limit, max(used), *shares)
        return table


@checked
def place(network: FixedNetwork | Workload, target: Target | Path | str, strategy: str = "greedy") -> Placement:
    """Place ``network`` on ``target``. Raises `CannotFit` where it does not fit (see `mapping.advice` for what would).

    The same input gives the same placement.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> placement = tc.place(fixed, "loihi2")
    >>> len(placement.cores), f"{placement.utilization()['synaptic_memory'].peak:.0%} of a core's synaptic memory"
    (1, "45% of a core's synaptic memory")
    """
    if strategy not in STRATEGIES:
        raise TclifError(f"placement strategy is {strategy!r:.60}", f"known: {', '.join(STRATEGIES)}")
    plan, target = STRATEGIES[strategy], as_target(target)
    if not isinstance(network, Workload):
        check_fixed(network)
    workload = network if isinstance(network, Workload) else Workload.of(network, target)
    cores, usage = partition(workload, target, plan.cut)
    per_chip = number(target.cores_per_chip, len(cores))
    chips = -(-len(cores) // per_chip)
    available = number(target.chips, 1 << 60)
    if chips > available:
        raise CannotFit(
            f"{len(cores):,} cores are needed, {target.name} has {available * per_chip:,} "
            f"({available} chip{'s' if available > 1 else ''} of {per_chip:,}): {len(cores) - available * per_chip:,} "
            "too many"
        )
    mesh = Mesh.of(target, chips, len(cores))
    axons = traffic(workload, cores) if target.mesh_width is not None else None
    slots = arrange(axons, mesh) if plan.near and axons is not None else np.arange(len(cores), dtype=np.int64)
    return _placement(target, plan, cores, usage, mesh, slots, axons)


def _placement(
    target: Target, plan: Strategy, cores: Cores, usage: Int, mesh: Mesh, slots: Int, axons: Traffic | None
) -> Placement:
    order = np.argsort(slots, kind="stable").tolist()
    chip = mesh.chip(slots)
    return Placement(
        target=target.name,
        strategy=plan.name,
        chips=int(chip.max()) + 1,
        cores=tuple(
            Core(int(chip[n]), int(slots[n] % mesh.cores_per_chip), tuple(cores[n]), tuple(usage[n].tolist()))
            for n in order
        ),
        available=tuple(None if v >= UNBOUNDED else int(v) for v in limits_of(target)),
        hops=0 if axons is None else axons.hops(mesh, slots),
        mesh=mesh,
    )
