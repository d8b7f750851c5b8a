"""The fast engine: bit for bit what `tclif_deploy.simulation.reference` says, compiled by numba."""

from tclif_deploy.simulation.engine.run import simulate

__all__ = ["simulate"]
