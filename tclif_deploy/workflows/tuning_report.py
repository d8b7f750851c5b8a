"""What a build says of its fine-tuning."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.builds.report import NumberFit, Tuning, TuningControl, TuningNumbers
from tclif_deploy.data import Dataset
from tclif_deploy.nn.config import Epoch, TuneSettings
from tclif_deploy.nn.objective import Score
from tclif_deploy.simulation.scores import judged
from tclif_deploy.verification import Verdict


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one training did to the network."""

    epochs: tuple[Epoch, ...]
    before: Score
    """on the test data before it"""
    answers: NDArray[Any]
    """to the test data after it: classes or numbers, of samples or of steps"""


def tuning_of(
    settings: TuneSettings,
    verdict: Verdict,
    test: Dataset,
    tuned: Outcome,
    control: Outcome | None,
    overflows: int,
    teacher: tuple[NDArray[Any], float] | None,
) -> Tuning:
    """What the report says of it; ``teacher`` is what was learned in place of labels, with its temperature."""
    original, after = verdict.accuracy_float, verdict.accuracy_fixed
    labelled = test.y is not None  # otherwise what was measured is agreement with the float network
    before = tuned.before.accuracy if labelled else None
    beside: TuningControl | bool = False
    if control is not None:
        right = control.epochs[-1].test
        beside = TuningControl(right, _points(right, after), _same(control, tuned, test), control.epochs)
    distilled = {"distil": teacher is not None, "temperature": None if teacher is None else teacher[1]}
    given = {**asdict(settings), **distilled, "control": beside}
    return Tuning(
        easy=given.pop("min_sample_probability"), **given, samples_tested=verdict.samples, original=original,
        quantized=before, tuned=after, drop=_points(original, after),
        drop_quantized=_points(original, before), agreement=verdict.agreement_argmax,
        agreement_quantized=None if labelled else tuned.before.accuracy,
        epochs_tuned=tuned.epochs, overflows=overflows, numbers=_numbers(verdict, tuned, control),
    )  # fmt: skip


def _points(better: float | None, worse: float | None) -> float | None:
    """How much is lost, in points of a hundred; None where there are no accuracies."""
    return None if better is None or worse is None else 100 * (better - worse)


def _same(one: Outcome, other: Outcome, test: Dataset) -> float | None:
    """Share of classes that both choose alike, of samples or of the steps that count; None for numbers."""
    if test.task not in ("label", "step-label"):
        return None
    counts = judged(test, test.task)
    return float(np.mean((one.answers == other.answers)[counts]))


def _numbers(verdict: Verdict, tuned: Outcome, control: Outcome | None) -> TuningNumbers | None:
    """What stands in place of accuracies where targets are numbers."""
    if verdict.r2 is None or verdict.rmse is None:
        return None
    last = None if control is None else control.epochs[-1].numbers
    return TuningNumbers(
        original=NumberFit(verdict.r2.original, verdict.rmse.original),
        tuned=NumberFit(verdict.r2.quantized, verdict.rmse.quantized),
        quantized=NumberFit(tuned.before.r2, tuned.before.rmse),
        agreement=NumberFit(verdict.r2.agreement, verdict.rmse.agreement),
        control=None if last is None else NumberFit(last.test_r2, last.test_rmse),
    )
