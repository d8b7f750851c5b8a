"""ONNX: a network as two integer graphs, one step and a whole sequence, for any onnxruntime."""

from tclif_deploy.backends.onnx.files import SEQUENCE, STEP, check_installed, emit, run

__all__ = ["SEQUENCE", "STEP", "check_installed", "emit", "run"]
