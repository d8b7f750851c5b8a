"""Will it fit, what will it cost: placement on cores, design rules, energy and latency."""

from tclif_deploy.mapping.partition import CannotFit, Slice
from tclif_deploy.mapping.placement import STRATEGIES, Core, Placement, place
from tclif_deploy.mapping.workload import Group, Link, Workload

__all__ = ["STRATEGIES", "CannotFit", "Core", "Group", "Link", "Placement", "Slice", "Workload", "place"]
