"""``report.json``: what was measured of a build, as `Report` reads and writes it."""

from __future__ import annotations

from dataclasses import dataclass

from tclif_deploy.json_form import EXACT
from tclif_deploy.mapping import Finding, HardwareSummary
from tclif_deploy.nn.config import Epoch, Learned
from tclif_deploy.quantization.width_trials import WidthSearch
from tclif_deploy.verification.neurobench import NeuroBench
from tclif_deploy.verification.verdict import VerdictSummary

FORMAT, FORMAT_VERSION = "tclif-report", 1


@dataclass(frozen=True)
class TuningControl:
    """The float network, trained on in the same way."""

    accuracy: float | None
    """None where the targets are numbers, as for all three"""
    drop: float | None
    """its accuracy less the fine-tuned network's, in points of a hundred"""
    agreement: float | None
    """share of test samples (or steps) for which it and the fine-tuned network choose the same class"""
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True)
class NumberFit:
    """How well numbers fit; None is undefined."""

    r2: float | None
    rmse: float | None


@dataclass(frozen=True)
class TuningNumbers:
    """What fine-tuning did where the targets are numbers, on the test data."""

    original: NumberFit
    """the float network"""
    tuned: NumberFit
    quantized: NumberFit
    """before fine-tuning"""
    agreement: NumberFit
    """the tuned network against the original one"""
    control: NumberFit | None


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What fine-tuning was told and what it did: accuracies (of samples or steps) as fractions, drops in points of a
    hundred; None where the targets are numbers."""

    epochs: int
    batch_size: int
    lr: float
    warmup: float
    clip: float
    easy: float
    seed: int
    threads: int
    control: TuningControl | bool
    """whether a control was asked for, or what it came to"""
    task: str | None
    samples: int | None
    distil: bool = False
    """whether what the float network says was learned in place of labels; then no control was trained"""
    temperature: float | None = None
    """what its readouts were divided by"""
    mismatch: float = 0.0
    """standard deviation by which the devices that were trained for differ; builds of earlier versions have none"""
    learn: tuple[Learned, ...] = ()
    """what was learned beside weights, biases, thresholds and couplings; builds of earlier versions have none"""
    samples_tested: int
    original: float | None
    """accuracy of the float network"""
    quantized: float | None
    """before fine-tuning"""
    tuned: float | None
    drop: float | None
    """original less tuned"""
    drop_quantized: float | None
    agreement: float | None
    """share of test samples (or steps) for which the tuned and the original network choose the same class"""
    agreement_quantized: float | None = None
    """the same before fine-tuning, where the test data have no labels"""
    epochs_tuned: tuple[Epoch, ...]
    overflows: int
    """state values that left their range while training"""
    numbers: TuningNumbers | None = None
    """in place of accuracies, where the targets are numbers"""


@dataclass(frozen=True, kw_only=True)
class Report(VerdictSummary, HardwareSummary):
    """Everything measured of a build; what nobody could measure is None, or empty."""

    __pydantic_config__ = EXACT

    format: str = FORMAT
    version: int = FORMAT_VERSION
    model: str
    """the model's file, as it was named to the compiler"""
    target: str
    verified: bool
    """whether float and fixed were compared on data"""
    notices: tuple[str, ...] = ()
    """what a user should know"""
    shortfalls: tuple[str, ...] = ()
    """which limits are missed beyond doubt, and which backends differ from the reference"""
    uncertain: tuple[str, ...] = ()
    """which limits are missed by less than so few samples can tell"""
    limited: bool = True
    """whether any limit applied"""
    findings: tuple[Finding, ...] = ()
    """what to worry about, worst first: how it fits the target, and what it does on the data"""
    unproven: str | None = None
    """what of this network nobody else's simulator shows to be what the target's chip computes"""
    finetune: Tuning | None = None
    widths: WidthSearch | None = None
    """how the weights' widths were chosen, where they were"""
    neurobench: NeuroBench | None = None
    """NeuroBench's metrics of the float and the fixed-point network"""

    @property
    def fits(self) -> bool:
        """Whether the target can hold the network."""
        return not any(finding.is_misfit for finding in self.findings)
