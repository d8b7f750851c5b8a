"""Will it fit, what will it cost: placement on cores, design rules, energy and latency."""

from tclif_deploy.mapping.activity import Activity, ActivityRecorder, Behaviour, LayerBehaviour, measure
from tclif_deploy.mapping.cost import Cost, cost
from tclif_deploy.mapping.findings import Finding
from tclif_deploy.mapping.partition import CannotFit, Slice
from tclif_deploy.mapping.placement import STRATEGIES, Core, Placement, place
from tclif_deploy.mapping.proof import unproven
from tclif_deploy.mapping.rules import RULES, check
from tclif_deploy.mapping.rules_behaviour import behaviour_findings
from tclif_deploy.mapping.step_sums import StepSums
from tclif_deploy.mapping.summary import HardwareSummary, hardware_summary, placement_summary
from tclif_deploy.mapping.workload import Group, SynapseGroup, Workload

__all__ = [
    "RULES",
    "STRATEGIES",
    "Activity",
    "ActivityRecorder",
    "Behaviour",
    "CannotFit",
    "Core",
    "Cost",
    "Finding",
    "Group",
    "HardwareSummary",
    "LayerBehaviour",
    "Placement",
    "Slice",
    "StepSums",
    "SynapseGroup",
    "Workload",
    "behaviour_findings",
    "check",
    "cost",
    "hardware_summary",
    "measure",
    "place",
    "placement_summary",
    "unproven",
]  # fmt: skip
