"""ONNX: a network as integer graphs, of one step and of a whole sequence, for any onnxruntime."""

from tclif_deploy.backends.onnx.files import SEQUENCE, STEP, TRACE, check_emit, check_installed, emit, run
from tclif_deploy.readout import OF_INTEGERS as READOUTS

__all__ = ["READOUTS", "SEQUENCE", "STARTS", "STEP", "TRACE", "check_emit", "check_installed", "emit", "run"]

STARTS = True
"""see `tclif_deploy.backends.check_starts`"""
