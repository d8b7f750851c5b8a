"""What would make a network fit: the smallest change of bits, chips or sparsity, each tried by placing."""

from __future__ import annotations

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping.memory import number
from tclif_deploy.mapping.partition import CannotFit
from tclif_deploy.mapping.placement import Placement, place
from tclif_deploy.mapping.workload import Workload
from tclif_deploy.target.schema import Target

DENSITIES = (0.75, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
"""shares of synapses kept that are tried, the mildest first"""


def advise(network: FixedNetwork | Workload, target: Target, strategy: str = "greedy") -> tuple[str, ...]:
    """One sentence for each single change that would fit, or one that says that none of them does."""
    workload = Workload.of(network, target) if isinstance(network, FixedNetwork) else network
    changes = []
    unlimited = target.model_copy(update={"chips": None})
    if target.chips is not None and (needed := _tried(workload, unlimited, strategy)) is not None:
        changes.append(f"{needed.chips:,} chips hold it ({target.chips.value:,} exist)")
    for bits in range(target.weight_bits.value - 1, 1, -1):
        if _tried(workload, target.override(weight_bits=bits), strategy) is not None:
            changes.append(f"{bits}-bit weights would fit")
            break
    for density in DENSITIES:
        if _tried(workload.subsampled(density), target, strategy) is not None:
            changes.append(f"keeping {density:.0%} of the synapses would fit")
            break
    if not changes:
        cores = number(target.cores_per_chip, 1) * number(target.chips, 1)
        return (f"no number of chips, no weight width and no sparsity down to 1 % fits {cores:,} cores of this kind",)
    return tuple(changes)


def _tried(workload: Workload, target: Target, strategy: str) -> Placement | None:
    try:
        return place(workload, target, strategy)
    except CannotFit:
        return None
