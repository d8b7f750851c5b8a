"""Targets: what a machine can hold, as data, in TOML files."""

from tclif_deploy.target.held import WIDTHS, largest_factor, largest_held, nearest_factor, nearest_held, unit_of
from tclif_deploy.target.read import as_target, build, known_targets, load_target, shipped_origin, targets_folder
from tclif_deploy.target.schema import EVIDENCE, UNITS, Limit, Overrides, Target

__all__ = [
    "EVIDENCE",
    "UNITS",
    "WIDTHS",
    "Limit",
    "Overrides",
    "Target",
    "as_target",
    "build",
    "known_targets",
    "largest_factor",
    "largest_held",
    "load_target",
    "nearest_factor",
    "nearest_held",
    "shipped_origin",
    "targets_folder",
    "unit_of",
]
