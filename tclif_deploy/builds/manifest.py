"""``manifest.json``: what a build was made of and how: enough to make it again, byte for byte."""

from __future__ import annotations

import hashlib
import math
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from tclif_deploy.builds.folder import FORMAT, FORMAT_VERSION
from tclif_deploy.builds.report import Tuning
from tclif_deploy.data.dataset import Dataset, Task
from tclif_deploy.fixed import Arithmetic, FixedLayer, FixedNetwork, InputEncoding
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.formulas.dynamics import rotation_frequency
from tclif_deploy.json_form import EXACT
from tclif_deploy.network import Layer, Network
from tclif_deploy.quantization import QuantizeSettings
from tclif_deploy.quantization.calibration import Calibration, digest
from tclif_deploy.simulation import Engine
from tclif_deploy.target import Target
from tclif_deploy.verification import Requirements
from tclif_deploy.version import __version__


@dataclass(frozen=True)
class ModelSource:
    """The model that was compiled, and how it was read."""

    path: str
    """its file, as it was named; the class of a live module"""
    sha256: str | None
    """of the file; None for a live module"""
    read: ReadOptions


@dataclass(frozen=True)
class LayerSummary:
    """Scales and couplings of one layer; a pair is the least and the greatest over its neurons."""

    name: str
    neurons: int
    shift: int
    lsb_u: tuple[float, float]
    lsb_v: tuple[float, float]
    threshold: tuple[int, int] | None
    """None where the layer does not spike"""
    couplings: tuple[tuple[int, int], ...]
    """each (B_u, B_v) that occurs"""
    frequency_error: float | None
    """largest relative error of a rotation frequency; None where nothing turns"""


@dataclass(frozen=True)
class DataSource:
    """The data that were given, before any were left out."""

    path: str | None
    """their file, as it was named; None where they were in memory"""
    sha256: str
    """of the samples, and of all else that a verdict depends on: targets, lengths and mask"""
    samples: int
    task: Task | None
    """what y was said to mean; None where its shape and dtype said it"""


@dataclass(frozen=True)
class Choices:
    """What else was chosen."""

    backend: str
    """backends' names, separated by commas; ``none``, ``all``, or ``default`` for the target's own"""
    backend_samples: int
    backend_batched: bool
    engine: Engine
    auto_bits_max_drop: float | None
    """the accuracy that the choice of the narrowest weights might lose; None where they were not chosen by that"""
    auto_bits_max_memory: int | None = None
    """KiB of synaptic memory that the chosen weights might take"""
    auto_bits_max_cores: int | None = None
    """cores that the chosen weights might take"""
    rtl_lanes: int | None = None
    """neurons that the rtl backend adds up at once; None for as many as fit, and for builds of earlier versions"""
    rtl_pipelines: int | None = None
    """neurons that the rtl backend updates in a clock; None for one, and for builds of earlier versions"""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a build was made of."""

    __pydantic_config__ = EXACT

    format: str = FORMAT
    version: int = FORMAT_VERSION
    versions: dict[str, str]
    """package -> version that took part"""
    model: ModelSource
    target: Target
    settings: QuantizeSettings
    requirements: Requirements
    calibration: Calibration
    samples: int | None
    """only the first so many samples of the data were used; None: all"""
    command: str
    """the command line that asked for this, empty where it was a program"""
    input: InputEncoding
    arithmetic: Arithmetic
    layers: tuple[LayerSummary, ...]
    notices: tuple[str, ...]
    sizes: dict[str, dict[str, int]]
    """backend -> bytes, of backends that say them"""
    finetune: Tuning | None = None
    verified_on: DataSource | None = None
    """None where no data were given, and for builds of earlier versions"""
    choices: Choices | None = None
    """None for builds of earlier versions, and of ``tclif finetune``"""


def data_source(data: Dataset) -> DataSource:
    """What is remembered of data; the task is for the caller to fill in."""
    seen = hashlib.sha256(digest(data).encode())
    for values in (data.y, data.lengths, data.mask):
        seen.update(b"-" if values is None else repr((values.dtype.str, values.shape)).encode())
        seen.update(b"" if values is None else np.ascontiguousarray(values).data)
    path = data.name if Path(data.name).is_file() else None
    return DataSource(path, seen.hexdigest(), data.samples, None)


def versions() -> dict[str, str]:
    """The packages that take part in a compilation."""
    packages = {name: metadata.version(name) for name in ("numpy", "torch", "nir")}
    return {"tclif_deploy": __version__, "python": platform.python_version(), **packages}


def layer_summaries(network: Network, fixed: FixedNetwork) -> tuple[LayerSummary, ...]:
    """Every layer of ``fixed``, beside the float layer that it was made of."""
    one = fixed.arithmetic.one
    return tuple(_layer(a, b, one) for a, b in zip(network.layers, fixed.layers, strict=True))


def _layer(original: Layer, layer: FixedLayer, one: float) -> LayerSummary:
    before = [rotation_frequency(u, v, math.nan) for u, v in zip(original.neuron.b_u, original.neuron.b_v, strict=True)]
    after = [rotation_frequency(u / one, v / one, math.nan) for u, v in zip(layer.b_u, layer.b_v, strict=True)]
    turning = [(a, b) for a, b in zip(before, after, strict=True) if np.isfinite(a) and np.isfinite(b) and a > 0]
    return LayerSummary(
        layer.name, layer.size, layer.shift,
        (float(layer.lsb_u.min()), float(layer.lsb_u.max())), (float(layer.lsb_v.min()), float(layer.lsb_v.max())),
        (int(layer.threshold.min()), int(layer.threshold.max())) if layer.spiking else None,
        tuple(sorted({(int(u), int(v)) for u, v in zip(layer.b_u, layer.b_v, strict=True)})),
        max((float(abs(b / a - 1)) for a, b in turning), default=None),
    )  # fmt: skip


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
