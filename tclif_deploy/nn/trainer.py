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

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.nn.config import TrainConfig
from tclif_deploy.nn.sequence import SequenceNetwork

MICRO_BATCH = 16
"""samples that one thread takes at once: few enough for its states of one step to stay in the second cache level"""


class Trainer:
    """A network, its optimizer and the threads that compute gradients; `step` is one optimizer step."""

    def __init__(self, network: SequenceNetwork, config: TrainConfig) -> None:
        self.config = config
        self.device = torch.device(config.device)
        self.network = network.to(self.device)
        self.parameters = list(network.parameters())
        self.optimizer = torch.optim.AdamW(network.parameter_groups(), lr=config.lr, weight_decay=0.0)
        self.threads = config.threads or os.cpu_count() or 1
        self.pool = ThreadPoolExecutor(self.threads)
        cpu = self.device.type == "cpu"
        self.micro_batch = MICRO_BATCH if cpu else config.batch_size
        self.dtype = torch.bfloat16 if cpu else None

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

    def _gradients(self, data: Dataset, index: Any, weight: Tensor, noise: Tensor | None) -> tuple[Tensor, int, Any]:
        assert data.y is not None
        x, lengths = self.inputs(data, index, noise)
        y = torch.from_numpy(data.y[index]).to(self.device)
        scores = self.network(x, lengths, dtype=self.dtype)
        losses = torch.nn.functional.cross_entropy(scores, y, reduction="none")
        grads = torch.autograd.grad((losses * weight.to(self.device)).sum(), self.parameters)
        return losses.detach().cpu(), int((scores.argmax(1) == y).sum()), grads

    def step(
        self, data: Dataset, index: Any, rate: float, weight: Tensor | None = None, noise: Tensor | None = None
    ) -> tuple[Tensor, int]:
        """One optimizer step at learning rate ``rate`` on the samples ``index``: (each one's loss, how many correct).

        ``weight`` says how much each counts, summing to 1. Where a loss or the gradient is not finite the weights
        stay as they are, and the losses are NaN.
        """
        weight = torch.full((len(index),), 1 / len(index)) if weight is None else weight
        batches = [slice(i, i + self.micro_batch) for i in range(0, len(index), self.micro_batch)]
        results = list(
            self.pool.map(
                lambda b: self._gradients(data, index[b], weight[b], None if noise is None else noise[b]), batches
            )
        )
        losses = torch.cat([result[0] for result in results])
        for n, parameter in enumerate(self.parameters):
            # summed in the batches' order, so that a run is the same bytes however the threads raced
            parameter.grad = torch.stack([result[2][n] for result in results]).sum(0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        if bool(torch.isfinite(losses).all()) and math.isfinite(norm):
            self.optimizer.step()
        else:
            losses = torch.full_like(losses, math.nan)
        return losses, sum(result[1] for result in results)

    def loss(self, data: Dataset) -> float:
        """Mean loss over ``data``."""
        batches = [
            np.arange(i, min(i + self.micro_batch, data.samples)) for i in range(0, data.samples, self.micro_batch)
        ]

        def losses(index: NDArray[np.int64]) -> Tensor:
            assert data.y is not None
            with torch.no_grad():
                x, lengths = self.inputs(data, index)
                scores = self.network(x, lengths, dtype=self.dtype).cpu()
            return torch.nn.functional.cross_entropy(scores, torch.from_numpy(data.y[index]), reduction="none")

        return float(torch.cat(list(self.pool.map(losses, batches))).mean())

    def accuracy(self, data: Dataset) -> float:
        """Share of ``data`` whose class the network finds."""
        assert data.y is not None
        return float(np.mean(self.classes(data) == data.y))

    def classes(self, data: Dataset) -> NDArray[np.int64]:
        """The class that the network finds for each sample."""

        @torch.no_grad()
        def classes(batch: slice) -> NDArray[np.int64]:
            x, lengths = self.inputs(data, batch)
            classes: NDArray[np.int64] = self.network(x, lengths, dtype=self.dtype).argmax(1).cpu().numpy()
            return classes

        batches = [slice(i, i + self.micro_batch) for i in range(0, data.samples, self.micro_batch)]
        return np.concatenate(list(self.pool.map(classes, batches)))


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
