"""One optimizer step: gradients summed over micro-batches that threads work on."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tclif_deploy.data.dataset import Dataset, Task
from tclif_deploy.nn.config import TrainConfig
from tclif_deploy.nn.objective import Score, correct, counting, distilled, losses, score, weight_of
from tclif_deploy.nn.sequence import SequenceNetwork

Array = NDArray[Any]
MICRO_BATCH = 16
"""samples that one thread takes at once: few enough for its states of one step to stay in the second cache level"""


class Trainer:
    """A network, its optimizer and the threads that compute gradients; `step` is one optimizer step.

    ``teacher`` is what another network says of the training data, by their samples, and a temperature: it is learned
    then in place of the labels (`objective.distilled`).
    """

    def __init__(
        self, network: SequenceNetwork, config: TrainConfig, teacher: tuple[Array, float] | None = None
    ) -> None:
        self.config = config
        self.teacher = teacher
        self.device = torch.device(config.device)
        self.network = network.to(self.device)
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(network.parameter_groups(), lr=config.lr, weight_decay=0.0)
        self.average: AveragedModel | None = None
        if config.average:
            average = get_ema_multi_avg_fn(config.average)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
        self.threads = config.threads or os.cpu_count() or 1
        self.pool = ThreadPoolExecutor(self.threads)
        cpu = self.device.type == "cpu"
        self.micro_batch = MICRO_BATCH if cpu else config.batch_size
        self.dtype = torch.bfloat16 if cpu else None

    @property
    def judged(self) -> SequenceNetwork:
        """The network that is measured and written: the average of the weights, where one is taken."""
        if self.average is None:
            return self.network
        averaged = self.average.module
        assert isinstance(averaged, SequenceNetwork)
        return averaged

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)

    def inputs(self, data: Dataset, index: Any, noise: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What the network sees of the samples ``index`` (samples, time, features), ``noise`` added, and lengths."""
        x = torch.from_numpy(np.ascontiguousarray(data.x[index])).to(self.device).float() * data.scale
        lengths = None if data.lengths is None else torch.from_numpy(data.lengths[index]).to(self.device)
        if lengths is not None:
            # what lies beyond the longest of these samples is only padding
            x = x[:, : int(lengths.max())]
        if noise is not None:
            x = x + noise[:, : x.shape[1]].to(self.device)
        return x, lengths

    def _said(
        self, network: SequenceNetwork, data: Dataset, index: Any, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(what ``network`` says of the samples ``index``, their targets, which steps of them count)."""
        assert data.y is not None
        assert data.task is not None
        x, lengths = self.inputs(data, index, noise)
        by_step = data.task.startswith("step")
        labels = data.task.endswith("label")
        said = network.answers(x, lengths, by_step=by_step, labels=labels, dtype=self.dtype)
        targets, counts = data.y[index], counting(data, index)[:, : x.shape[1]]
        targets = targets[:, : x.shape[1]] if by_step else targets
        y, steps = (torch.from_numpy(np.ascontiguousarray(rows)).to(self.device) for rows in (targets, counts))
        return said, y if labels else y.to(said.dtype), steps

    def _gradients(
        self, data: Dataset, index: Any, weight: Tensor, noise: Tensor | None, key: tuple[int, ...]
    ) -> tuple[Tensor, int, Any]:
        with self.network.varied(key):
            return self._gradients_of(data, index, weight, noise)

    def _gradients_of(self, data: Dataset, index: Any, weight: Tensor, noise: Tensor | None) -> tuple[Tensor, int, Any]:
        assert data.task is not None
        said, y, counts = self._said(self.network, data, index, noise)
        each = losses(said, y, data.task, counts)
        smoothing, made_small = self.config.label_smoothing, each
        if self.teacher is not None:
            # the samples that are shown are chosen by it too: no label enters
            each = made_small = self._distance(said, index, data.task, counts)
        elif smoothing:
            made_small = losses(said, y, data.task, counts, smoothing)
        grads = torch.autograd.grad((made_small * weight.to(self.device)).sum(), self.parameters)
        return each.detach().cpu(), correct(said, y, data.task, counts), grads

    def _distance(self, said: Tensor, index: Any, task: Task, counts: Tensor) -> Tensor:
        """How far ``said`` is from what the teacher says of the samples ``index``, (samples,)."""
        assert self.teacher is not None
        answers, temperature = self.teacher
        taught = torch.from_numpy(answers[index]).to(said)
        taught = taught[:, : said.shape[1]] if task == "step-label" else taught
        return distilled(said, taught, temperature, task, counts)

    def step(
        self,
        data: Dataset,
        index: Any,
        rate: float,
        weight: Tensor | None = None,
        noise: Tensor | None = None,
        key: tuple[int, ...] = (),
    ) -> tuple[Tensor, int]:
        """One optimizer step at learning rate ``rate`` on the samples ``index``: (each one's loss, how many labels are
        found).

        ``weight`` says how much each counts, summing to 1; what a network draws at random comes from ``key``.

        Where a loss or the gradient is not finite the weights stay as they are, and the losses are NaN.
        """
        weight = torch.full((len(index),), 1 / len(index)) if weight is None else weight
        batches = [slice(i, i + self.micro_batch) for i in range(0, len(index), self.micro_batch)]
        results = list(
            self.pool.map(
                lambda b: self._gradients(
                    data, index[b], weight[b], None if noise is None else noise[b], (*key, b.start)
                ),
                batches,
            )
        )
        each = torch.cat([result[0] for result in results])
        for n, parameter in enumerate(self.parameters):
            # summed in the batches' order, so that a run is the same bytes however the threads raced
            parameter.grad = torch.stack([result[2][n] for result in results]).sum(0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        if bool(torch.isfinite(each).all()) and math.isfinite(norm):
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
        else:
            each = torch.full_like(each, math.nan)
        return each, sum(result[1] for result in results)

    def loss(self, data: Dataset, key: tuple[int, ...] = ()) -> float:
        """Mean over ``data`` of what a step makes small, without smoothing; with a teacher ``data`` are the first of
        those that it spoke of. What the network draws at random in training comes from ``key``."""
        weight = weight_of(data)

        def loss(batch: slice) -> Tensor:
            assert data.task is not None
            with torch.no_grad(), self.judged.varied((*key, batch.start)):
                said, y, counts = self._said(self.judged, data, batch)
                if self.teacher is None:
                    return losses(said, y, data.task, counts).cpu()
                return self._distance(said, batch, data.task, counts).cpu()

        each = torch.cat(list(self.pool.map(loss, self._batches(data))))
        return float(each.mean() if data.task == "label" else (each * weight).sum() / weight.sum().clamp(min=1))

    def _batches(self, data: Dataset) -> list[slice]:
        return [slice(i, i + self.micro_batch) for i in range(0, data.samples, self.micro_batch)]

    def score(self, data: Dataset) -> Score:
        """How good the network's answers to ``data`` are."""
        return score(self.answers(data), data)

    def answers(self, data: Dataset, scores: bool = False) -> NDArray[Any]:
        """What the network says: classes or numbers, (samples[, time][, outputs]) as the data's task asks for; or each
        class's readout, ``scores``, (samples[, time], classes)."""

        @torch.no_grad()
        def answers(batch: slice) -> NDArray[Any]:
            said, _, _ = self._said(self.judged, data, batch)
            if not scores and data.task in ("label", "step-label"):
                said = said.argmax(-1)
            array: NDArray[Any] = said.cpu().numpy()
            # batches are as long as their longest sample
            short = data.time - array.shape[1] if data.task in ("step-label", "step-value") else 0
            return np.pad(array, [(0, 0), (0, short), (0, 0)][: array.ndim]) if short else array

        return np.concatenate(list(self.pool.map(answers, self._batches(data))))


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Torch's own threads off (ours work on micro-batches), freed memory kept for the next one."""
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
