"""Compile trained TC-LIF spiking networks for neuromorphic hardware, and prove that they still work."""

from tclif_deploy.errors import TclifError

__all__ = ["TclifError", "__version__"]
__version__ = "0.1.0"
