"""The epochs of a training: what is shown, what is measured, what is kept, and how it goes on after a stop."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tclif_deploy import jit
from tclif_deploy.data.dataset import Dataset
from tclif_deploy.data.shifts import Shifts
from tclif_deploy.data.tasks import Task
from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.nn.checkpoint import load_torch, save_torch
from tclif_deploy.nn.config import LEARNED, Epoch, NumberFigures, TrainConfig, TrainResult, rate_at
from tclif_deploy.nn.objective import spread, weight_of
from tclif_deploy.nn.sequence import SequenceNetwork
from tclif_deploy.nn.trainer import Trainer
from tclif_deploy.outputs import write_file
from tclif_deploy.progress import Progress, Say, no_progress, say_nothing

RATE_SAMPLES = 64
"""test samples that the firing rates are taken from"""
STATE_KEYS = {"min_sample_probability": "easy"}
"""field -> its key in the state to resume from, where that is older than the field's name"""
TINY = 1e-12
SINCE = {"shift": 0, "label_smoothing": 0.0, "average": 0.0}
"""settings that args.json leaves out where they are these"""
ADDED = {"readout_decay": None, **SINCE}
"""field -> its value in a state that was written before there was such a setting"""
SMALLER = "try a smaller --lr or --clip, or a longer --warmup"


def resume_path(out: Path) -> Path:
    """Where an unfinished training to ``out`` keeps its optimizer and history."""
    return out.with_name(f"{out.name}.resume")


def fit(
    config: TrainConfig,
    trainer: Trainer,
    task: Task,
    validation_data: Dataset | None = None,
    progress: Progress = no_progress,
    say: Say = say_nothing,
    worst: float = math.inf,
    shifts: Shifts | None = None,
    describe: Callable[[], None] = lambda: None,
) -> TrainResult:
    """The epochs of `train` on a network that ``trainer`` holds; ``validation_data``
    choose the best one, and ``shifts`` move the images that are shown. The state stays. ``describe`` writes what
    stands beside the checkpoint, once there is one.

    Raises `TclifError` also where an epoch's mean loss is above ``worst``.
    """
    data = task.train
    chances = torch.full((data.samples,), 255, dtype=torch.uint8)
    run = _Run(config, trainer, task, data, validation_data, shifts, chances, [])
    run.resume()
    if len(run.history) > config.epochs:
        raise TclifError(
            f"{resume_path(config.out)}: {len(run.history)} epochs are done, --epochs asks for {config.epochs}",
            "give more, or remove the file to start anew",
        )
    if not run.history and config.epochs == 1 and data.samples <= config.batch_size and rate_at(config, 1) == 0:
        raise TclifError(
            f"one step of {data.samples} samples is all of this training, and the schedule ends at a rate of 0",
            "nothing would be learned: give more --epochs, or a smaller --batch-size",
        )
    if run.history:  # a kill may have come between the state and what is written after it
        describe()
        run.save()
    stopped = False
    while len(run.history) < config.epochs and not stopped:
        epoch = run.epoch(progress)
        if epoch.loss > worst:
            raise TclifError(
                f"epoch {epoch.epoch}: the loss is {epoch.loss:.3g}, more than {worst:.3g}; {run.kept()}", run.smaller
            )
        run.history.append(epoch)
        if len(run.history) == 1:
            describe()
        run.save()
        say(run.history[-1].line())
        stopped = bool(config.patience) and len(run.history) - run.best >= config.patience
    return TrainResult(config.out, tuple(run.history), run.best, stopped)


@dataclass
class _Run:
    """A training under way."""

    config: TrainConfig
    trainer: Trainer
    task: Task
    data: Dataset
    validation_data: Dataset | None
    shifts: Shifts | None
    chances: Tensor
    """each training sample's chance to be shown in an epoch, in 1/255 (a byte, so that a state to resume is small)"""
    history: list[Epoch]

    def __post_init__(self) -> None:
        self.weight, self.unit = weight_of(self.data), spread(self.data)
        self.fingerprint = _fingerprint(self.data)

    @property
    def best(self) -> int:
        """The epoch to keep, from 1: the best on the validation samples, the last where there are none; 0: none."""
        if self.validation_data is None:
            return len(self.history)
        return max((e.epoch for e in self.history), key=lambda n: self.history[n - 1].merit, default=0)

    def kept(self) -> str:
        """What a training that goes wrong leaves."""
        return f"{self.config.out} holds epoch {self.best}" if self.history else "nothing was written"

    @property
    def smaller(self) -> str:
        """What to do about it: the state that is kept goes on with its own settings alone."""
        return f"{SMALLER}, with another --output" if self.history else SMALLER

    def epoch(self, progress: Progress) -> Epoch:
        """Show the training samples once, learned ones less often, then measure."""
        config, data, done = self.config, self.data, len(self.history)
        began = time.monotonic() - jit.seconds_compiling()
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + done)
        chance = self.chances / 255
        order = torch.randperm(data.samples, generator=generator)
        order = order[torch.rand(data.samples, generator=generator)[order] < chance[order]]
        steps = math.ceil(len(order) / config.batch_size)
        if self.shifts is not None:
            moves = torch.randint(len(self.shifts), (data.samples,), generator=generator)
            data = replace(data, x=self.shifts.moved(data.x, moves.numpy()))
        loss, total, correct, targets, rate = 0.0, 0.0, 0, 0, 0.0
        for n in range(steps):
            index = order[n * config.batch_size : (n + 1) * config.batch_size]
            rate = rate_at(config, done + (n + 1) / steps)
            noise = None
            if config.noise:
                noise = config.noise * torch.randn(len(index), data.time, data.features, generator=generator)
            weight = self.weight[index] / chance[index]
            with self._said(f"epoch {done + 1}, step {n + 1}"):
                losses, hits = self.trainer.step(
                    data, index.numpy(), rate, weight / weight.sum().clamp(min=TINY), noise, (config.seed, done, n)
                )
            if bool(losses.isnan().any()):
                raise TclifError(
                    f"epoch {done + 1}, step {n + 1}: the loss is not a number; {self.kept()}", self.smaller
                )
            self.chances[index] = (
                (losses / (LEARNED * self.unit))
                .clamp(config.min_sample_probability, 1.0)
                .mul(255)
                .ceil()
                .to(torch.uint8)
            )
            loss, total = loss + float((losses * weight).sum()), total + float(weight.sum())
            correct += hits
            targets += int(self.weight[index].sum())
            progress(done * data.samples + (n + 1) * data.samples // steps, config.epochs * data.samples)
        with self._said(f"epoch {done + 1}"):
            test = self.trainer.score(self.task.test)
            held = None if self.validation_data is None else self.trainer.score(self.validation_data)
            x, _ = self.trainer.inputs(self.task.test, slice(0, RATE_SAMPLES))
            rates = tuple(self.trainer.judged.rates(x))
        mean = loss / max(total, TINY)
        numbers = None
        if test.rmse is not None and test.smape is not None:
            numbers = NumberFigures(
                math.sqrt(mean), test.rmse, test.r2, test.smape, None if held is None else held.rmse
            )
        assert data.task is not None
        return Epoch(
            done + 1, rate, mean, None if numbers else correct / max(targets, 1), test.accuracy,
            None if held is None else held.accuracy, rates, time.monotonic() - began - jit.seconds_compiling(),
            data.task, numbers,
        )  # fmt: skip

    @contextmanager
    def _said(self, when: str) -> Iterator[None]:
        """Turn a neuron that the last steps made impossible into what it means: they were too large."""
        try:
            yield
        except TclifError as error:
            reason = f"{when}: the last step was so large that a threshold or coupling is not above 0"
            raise TclifError(f"{reason}; {self.kept()}", self.smaller) from error

    def save(self) -> None:
        """Write the state to resume from, the log, and the checkpoint where the last epoch is the best.

        In this order: a checkpoint without a state is a finished training's.
        """
        out, network = self.config.out, self.trainer.network
        state = {
            "settings": {STATE_KEYS.get(name, name): value for name, value in _settings(self.config).items()},
            "history": [asdict(epoch) for epoch in self.history],
            "state_dict": network.state_dict(), "optimizer": self.trainer.optimizer.state_dict(),
            "chances": self.chances, "data": self.fingerprint, "counts": network.counts(),
        } | ({} if self.trainer.average is None else {"average": self.trainer.average.state_dict()})  # fmt: skip
        save_torch(resume_path(out), state)
        lines = "".join(epoch.line() + "\n" for epoch in self.history)
        write_file(out.with_name(f"{out.name}.log"), lines.encode())
        if self.best == len(self.history):
            save_torch(out, _checkpoint(self.trainer.judged, self.history[-1]))

    def resume(self) -> None:
        """Take up the state beside ``config.out``, where there is one."""
        path = resume_path(self.config.out)
        if not path.exists():
            return
        try:
            state, now = load_torch(path), _settings(self.config)
        except TclifError as error:
            raise TclifError(error.what, "remove the file to start anew") from error
        try:
            self._take_up(path, state, now)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = f"{path}: not a state to resume from ({reason_of(error):.100})"
            raise TclifError(reason, "remove the file to start anew") from error

    def _take_up(self, path: Path, state: dict[str, Any], now: dict[str, Any]) -> None:
        before = state["settings"]
        for name, value in now.items():
            stored = before.get(STATE_KEYS.get(name, name), ADDED.get(name))
            if stored != value:
                raise TclifError(
                    f"{path}: belongs to a training with {name} {stored}, not {value}",
                    "give the same settings to resume it, or remove the file to start anew",
                )
        if state.get("data", self.fingerprint) != self.fingerprint:  # states of earlier versions do not say it
            raise TclifError(
                f"{path}: belongs to a training on other data than {self.data.name}",
                "give the same data to resume it, or remove the file to start anew",
            )
        history = [_epoch(entry) for entry in state["history"]]
        if [epoch.epoch for epoch in history] != list(range(1, len(history) + 1)) or not all(map(Epoch.line, history)):
            raise ValueError("its epochs are not numbered from 1")
        average = state.get("average", {})
        for tensor in (*state["state_dict"].values(), *_tensors(state["optimizer"]["state"])):
            if not tensor.is_floating_point():
                raise ValueError(f"a tensor of {tensor.dtype} where real numbers were expected")
        self.trainer.network.load_state_dict(state["state_dict"])
        self.trainer.optimizer.load_state_dict(state["optimizer"])
        for parameter, kept in self.trainer.optimizer.state.items():
            if (
                not isinstance(kept, dict)
                or any(kept[name].shape != parameter.shape for name in ("exp_avg", "exp_avg_sq"))
                or kept["step"].ndim
            ):
                raise ValueError("the optimizer's state is of another network")
        if self.trainer.average is not None:
            self.trainer.average.load_state_dict(average)
        self.chances.copy_(state["chances"])
        self.trainer.network.take_up_counts(state.get("counts", {}))
        self.history[:] = history


def _fingerprint(data: Dataset) -> str:
    """Tells the data of one training from another's."""
    digest = hashlib.sha256(repr((data.task, data.scale)).encode())
    for array in (data.x, data.y, data.lengths, data.mask):
        if array is not None:
            digest.update(repr((array.dtype.str, array.shape)).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _tensors(state: dict[int, dict[str, Tensor]]) -> Iterator[Tensor]:
    """Every tensor of an optimizer's state."""
    for kept in state.values():
        yield from kept.values()


def _epoch(entry: dict[str, Any]) -> Epoch:
    numbers = entry.get("numbers")
    kept = {"rates": tuple(entry["rates"]), "numbers": None if numbers is None else NumberFigures(**numbers)}
    return Epoch(**{**entry, **kept})


def _settings(config: TrainConfig) -> dict[str, Any]:
    """What must agree between a stop and its resume, as plain values."""
    free = ("data", "out", "threads", "device", "start", "epochs", "patience")
    return {key: value for key, value in asdict(config).items() if key not in free}


def _checkpoint(network: SequenceNetwork, last: Epoch) -> dict[str, Any]:
    figure = {"best_acc": 100 * last.test} if last.test is not None else {}
    figure |= {"best_rmse": last.numbers.test_rmse} if last.numbers is not None else {}
    return {"epoch": last.epoch, **figure, "state_dict": network.float_state()}
