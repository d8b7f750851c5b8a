"""The fast engine: bit for bit what `tclif_deploy.simulate.reference` says, compiled by numba."""

from tclif_deploy.simulate.engine.run import simulate

__all__ = ["simulate"]
