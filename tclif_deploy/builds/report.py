"""``report.json``: what was measured of a build, as `Report` reads and writes it."""

from __future__ import annotations

from dataclasses import dataclass

from tclif_deploy.json_form import EXACT
from tclif_deploy.mapping import Finding, HardwareSummary
from tclif_deploy.nn.config import Epoch
from tclif_deploy.verification.verdict import VerdictSummary

FORMAT, FORMAT_VERSION = "tclif-report", 1


@dataclass(frozen=True)
class TuningControl:
    """The float network, trained on in the same way."""

    accuracy: float
    drop: float
    """its accuracy less the fine-tuned network's, in points of a hundred"""
    agreement: float
    """share of test samples for which it and the fine-tuned network choose the same class"""
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What fine-tuning was told and what it did: accuracies as fractions, drops in points of a hundred."""

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
    samples_tested: int
    original: float
    """accuracy of the float network"""
    quantized: float
    """before fine-tuning"""
    tuned: float
    drop: float
    """original less tuned"""
    drop_quantized: float
    agreement: float
    """share of test samples for which the tuned and the original network choose the same class"""
    epochs_tuned: tuple[Epoch, ...]
    overflows: int
    """state values that left their range while training"""


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
    finetune: Tuning | None = None

    @property
    def fits(self) -> bool:
        """Whether the target can hold the network."""
        return not any(finding.is_misfit for finding in self.findings)
