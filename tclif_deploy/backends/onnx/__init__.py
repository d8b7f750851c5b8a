"""ONNX: a network as integer graphs, of one step and of a whole sequence, for any onnxruntime."""

from tclif_deploy.backends.onnx.files import SEQUENCE, STEP, TRACE, check_installed, emit, run

__all__ = ["SEQUENCE", "STEP", "TRACE", "check_installed", "emit", "run"]
