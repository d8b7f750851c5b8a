"""Running a fixed-point network fast: blocks of samples, a thread for each core, the kernels that fit."""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.simulate.engine.general import GeneralPlan, plan_general, run_general
from tclif_deploy.simulate.result import Result, check_input, check_lengths

BLOCK = 64
"""Samples that one thread takes at a time."""


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def simulate(
    network: FixedNetwork,
    x: NDArray[Any],
    *,
    lengths: Int | None = None,
    spikes: bool = False,
    traces: Collection[str] = (),
    jobs: int | None = None,
) -> Result:
    """Run ``x`` (samples, time, features), integers as `InputEncoding.encode` gives them.

    Equal to `simulate.reference.simulate` in every number. ``lengths`` (samples,) is the number of steps after
    which a sample's readout is taken (default: all). ``spikes`` keeps every layer's spikes; ``traces`` names
    layers whose u and v are kept, after each step. ``jobs`` is the number of threads (default: one a core).

    Raises `TclifError` for input that does not fit the network, or for an unknown layer in ``traces``.
    """
    x = np.asarray(x)
    check_input(network, x[:1])
    samples, time, _ = x.shape
    last = check_lengths(lengths, samples, time) - 1
    if jobs is not None and jobs < 1:
        raise TclifError(f"jobs is {jobs}", "at least one thread is needed")
    plan = plan_general(network)
    out = _Outputs(network, samples, time, spikes, traces)
    blocks = [slice(start, min(start + BLOCK, samples)) for start in range(0, samples, BLOCK)]
    workers = min(jobs or cores(), len(blocks))
    if workers == 1:
        for block in blocks:
            _run_block(network, plan, x, last, out, block)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda block: _run_block(network, plan, x, last, out, block), blocks))
    return out.result()


class _Outputs:
    """Where the blocks write: every array has one row a sample."""

    def __init__(self, network: FixedNetwork, samples: int, time: int, spikes: bool, traces: Collection[str]) -> None:
        layers = network.layers
        neurons = sum(layer.size for layer in layers)
        self.network = network
        self.u = np.empty((samples, neurons), np.int64)
        self.v = np.empty((samples, neurons), np.int64)
        self.readout = np.empty((samples, network.output.size), np.int64)
        self.overflows = np.empty((samples, len(layers), 4), np.int64)
        self.keep_spikes = spikes
        self.spikes = np.zeros((samples, time, neurons) if spikes else (samples, 0, 0), np.uint8)
        self.trace_at = np.full(len(layers), -1, np.int64)
        width = 0
        for name in traces:
            layer = network.layer(name)
            self.trace_at[layers.index(layer)] = width
            width += layer.size
        self.trace = np.empty((2, samples, time if width else 0, width), np.int64)

    def result(self) -> Result:
        """The outputs, cut into layers."""
        u: dict[str, Int] = {}
        v: dict[str, Int] = {}
        overflows: dict[str, Int] = {}
        spikes: dict[str, NDArray[np.bool_]] = {}
        traces: dict[str, Int] = {}
        at = 0
        for n, layer in enumerate(self.network.layers):
            end = at + layer.size
            u[layer.name] = np.ascontiguousarray(self.u[:, at:end])
            v[layer.name] = np.ascontiguousarray(self.v[:, at:end])
            overflows[layer.name] = self.overflows[:, n].sum(axis=0)
            if layer.spiking and self.keep_spikes:
                spikes[layer.name] = np.ascontiguousarray(self.spikes[:, :, at:end]).view(np.bool_)
            if self.trace_at[n] >= 0:
                traces[layer.name] = self.trace[..., self.trace_at[n] : self.trace_at[n] + layer.size]
            at = end
        classes = np.argmax(self.readout * self.network.output.multiplier, axis=1)
        return Result(spikes, u, v, self.readout, classes, overflows, traces)


def _run_block(
    network: FixedNetwork, plan: GeneralPlan, x: NDArray[Any], last: Int, out: _Outputs, block: slice
) -> None:
    """Run the samples of ``block``, and write their rows."""
    integers = check_input(network, x[block])
    run_general(
        plan.machine, plan.neurons, plan.layers, plan.connections, plan.weights, plan.ring, integers, last[block],
        out.u[block], out.v[block], out.readout[block], out.overflows[block], out.spikes[block],
        out.trace_at, out.trace[:, block],
    )  # fmt: skip
