"""What can be chosen about a build; apart from the jobs, so that the command line reads it without loading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tclif_deploy.aliases import renamed_field
from tclif_deploy.backends.rtl.layout import LANES, MOST_LANES, PIPELINES, check_lanes
from tclif_deploy.data.dataset import Task
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.quantization.settings import QuantizeSettings
from tclif_deploy.settings import Limits, Named, check_settings
from tclif_deploy.simulation import Engine
from tclif_deploy.verification.requirements import Requirements


@dataclass(frozen=True)
class BuildOptions:
    """What can be chosen about any build, apart from the model, the target and the data."""

    read: ReadOptions = ReadOptions()
    quantize: QuantizeSettings = QuantizeSettings()
    requirements: Requirements = Requirements()
    backend: str = "default"
    """backends' names, separated by commas; ``none``, ``all``, or ``default`` for the target's own"""
    backend_samples: Annotated[int, Limits(1)] = 4
    """samples that every backend runs, compared with the reference bit for bit"""
    allow_misfit: bool = False
    """a network that does not fit its target is no reason to fail"""
    backend_batched: bool = False
    """run a backend's fast, simulation-only form, where it has one, on all samples"""
    rtl_lanes: Annotated[int | None, Limits(1, MOST_LANES)] = None
    """neurons of a layer that the circuit of the rtl backend adds up at once; as many as fit the target unless said"""
    rtl_pipelines: Annotated[int | None, Limits(1, PIPELINES[-1])] = None
    """neurons of a layer that the circuit of the rtl backend updates in a clock, a power of two that divides its lanes;
    1 unless said"""
    engine: Engine = "auto"
    """what simulates the integers: the fast engine, or the reference, which is the specification"""
    command: Annotated[str, Named(None, "what was typed")] = ""
    """the command line that asked for this, for the record"""

    def __post_init__(self) -> None:
        check_settings(self)
        check_lanes(self.rtl_lanes or LANES, self.rtl_pipelines or 1)


@renamed_field("narrowest", "auto_bits_max_drop")
@dataclass(frozen=True)
class CompileOptions(BuildOptions):
    """What can be chosen about a compilation.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> quick, strict = tc.QuantizeSettings(passes=()), tc.Requirements(min_jaccard=1.0)
    >>> options = tc.CompileOptions(quantize=quick, requirements=strict, backend="none", samples=8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile(model, data=data, output=f"{folder}/build", options=options)
    >>> build.verdict.samples, build.shortfalls[0]
    (8, 'spike overlap (Jaccard) of layer features.1 is 0.9201, required at least 1')
    """

    auto_bits_max_drop: Annotated[float | None, Limits(0, 1), Named("--auto-max-drop")] = None
    """choose the narrowest weights of each layer that lose at most this fraction of accuracy on the calibration data
    (of ``--weight-bits auto`` alone: 0.005)"""
    auto_bits_max_memory: Annotated[int | None, Limits(1), Named("--auto-max-memory")] = None
    """choose weight widths that take at most so many KiB of synaptic memory, all cores together"""
    auto_bits_max_cores: Annotated[int | None, Limits(1), Named("--auto-max-cores")] = None
    """choose weight widths that take at most so many cores"""
    samples: Annotated[int | None, Limits(1)] = None
    """use only the first samples of the data"""
    task: Task | None = None
    """what the data's y means, where its shape and dtype do not say it: a label or numbers, of a sample or of each
    step"""
