"""``network.json`` of an emitted circuit, and whether its files are as they were written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tclif_deploy import json_form
from tclif_deploy.backends.rtl.layout import STEP_BITS
from tclif_deploy.backends.rtl.source import DESCRIPTION, FORMAT, digest
from tclif_deploy.convolution import MOST_UNITS
from tclif_deploy.errors import TclifError
from tclif_deploy.files import read_bytes
from tclif_deploy.fixed import InputEncoding

AGAIN = "compile with --backend rtl"


@dataclass(frozen=True)
class DescribedLayer:
    """One layer."""

    name: str
    size: int
    spiking: bool
    lanes: int
    pipelines: int = 1


@dataclass(frozen=True)
class Description:
    """What runs and places the circuit needs to know."""

    __pydantic_config__ = json_form.EXACT

    format: int
    input: InputEncoding
    layers: tuple[DescribedLayer, ...]
    period: int
    weight_bits: int
    """of the widest layer"""
    memory_bits: dict[str, int]
    sha256: dict[str, str]

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise TclifError(f"format {self.format} is not known", f"this version reads {FORMAT}")
        if not self.layers or not all(0 < layer.size <= MOST_UNITS for layer in self.layers) or self.period < 1:
            raise TclifError("a layer without neurons, or none at all")
        for layer in self.layers:
            if min(layer.lanes, layer.pipelines) < 1:
                raise TclifError(f"layer {layer.name} has {layer.lanes} lanes and {layer.pipelines} pipelines")

    @property
    def most_steps(self) -> int:
        """Steps to which the circuit counts."""
        return (1 << STEP_BITS) - 1


def read_description(folder: Path) -> Description:
    """What lies in ``folder``. Raises `TclifError` where a file is missing or is not as it was written.

    A memory file that lacks words is read without a word by every tool, and what is missing is then anything.
    """
    path = folder / DESCRIPTION
    try:
        description = json_form.parse(Description, read_bytes(path, ""), str(path), "")
    except TclifError as error:
        raise TclifError(f"{folder}: holds no circuit ({error.what})", AGAIN) from error
    for name, expected in description.sha256.items():
        if Path(name).name != name:
            raise TclifError(f"{path}: {name!r:.60} is no file of its folder", AGAIN)
        if digest(read_bytes(folder / name, AGAIN, most=1 << 30)) != expected:
            raise TclifError(f"{folder / name}: is not as it was written, it was changed or cut off", AGAIN)
    return description
