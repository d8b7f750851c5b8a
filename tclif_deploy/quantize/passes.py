"""Passes that better a quantized network on calibration data, layer by layer, each seeing its sources' integers.

A pass is a frozen dataclass with a ``name`` and one ``apply``; its fields are its options.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT, Float, Network, Neuron
from tclif_deploy.simulate import simulate
from tclif_deploy.simulate.floating import batches

SAMPLES = 128
"""passes look at no more calibration samples than this"""
BATCH = 16
"""samples whose activity is held as real numbers at a time"""


class Pass(Protocol):
    """One improvement."""

    name: ClassVar[str]

    def apply(self, fixed: FixedNetwork, network: Network, data: Dataset, limit: int) -> FixedNetwork:
        """A better ``fixed``: the integers of ``network``, whose weights lie in +-``limit``."""


@dataclass(frozen=True)
class CompensateWeights:
    """Rounds each layer's weights so that their errors cancel in what the neuron makes of them.

    GPTQ (Frantar et al., ICLR 2023): weights are rounded one source after another, and what one rounding adds to the
    output is taken from the sources still to come, by the covariance of the sources. The output here is not the
    current but the soma's response to it: a source's spikes pass through the neuron's own rotation, faded over
    ``memory`` steps, so that what the neuron would forget is not paid for, and what it keeps is.
    """

    name: ClassVar[str] = "compensate"
    memory: float = 200.0
    """steps over which a response fades (a spike's reset, not a decay, ends it in the network)"""
    damping: float = 0.01
    """share of the mean variance added to every source's"""

    def apply(self, fixed: FixedNetwork, network: Network, data: Dataset, limit: int) -> FixedNetwork:
        """See `Pass`."""
        for n, layer in enumerate(network.layers):
            if any(c.conv is not None for c in layer.connections):
                continue
            old = fixed.layers[n]
            width = sum(c.weight.shape[1] for c in layer.connections)
            covariance = np.zeros((width, width))
            for sources in _activity(fixed, old, data):
                joint = np.concatenate([self._response(source, layer.neuron) for source in sources], axis=1)
                covariance += joint.T @ joint
            real = np.concatenate([c.weight for c in layer.connections], axis=1)
            steps = _steps(old, fixed)
            rounded = round_compensated(real / steps, covariance, steps, limit, self.damping)
            ends = np.cumsum([c.weight.shape[1] for c in layer.connections])[:-1]
            parts = np.split(rounded, ends, axis=1)
            connections = tuple(replace(c, weight=w) for c, w in zip(old.connections, parts, strict=True))
            fixed = _with_layer(fixed, n, replace(old, connections=connections))
        return fixed

    def _response(self, source: Float, neuron: Neuron) -> Float:
        """What the soma makes of each source, (samples * time, sources), by the layer's mean coefficients."""
        a_u, b_u, a_v, b_v = (float(getattr(neuron, name).mean()) for name in ("a_u", "b_u", "a_v", "b_v"))
        fade = float(np.exp(-1.0 / self.memory))
        samples, time, width = source.shape
        u, v = np.zeros((samples, width)), np.zeros((samples, width))
        out = np.empty((time, samples, width))
        for t in range(time):
            i_u, i_v = (source[:, t], 0.0) if neuron.input_to == "dendrite" else (0.0, source[:, t])
            u = fade * (a_u * u + b_u * v) + i_u
            v = fade * a_v * v + b_v * u + i_v
            out[t] = v
        return out.reshape(time * samples, width)


@dataclass(frozen=True)
class CorrectBias:
    """Gives each neuron back, as bias, the mean current that rounding its weights took."""

    name: ClassVar[str] = "bias"

    def apply(self, fixed: FixedNetwork, network: Network, data: Dataset, limit: int) -> FixedNetwork:
        """See `Pass`."""
        for n, layer in enumerate(network.layers):
            if any(c.conv is not None for c in layer.connections):
                continue
            old = fixed.layers[n]
            sums = [
                np.concatenate([source.sum(axis=(0, 1)) for source in part]) for part in _activity(fixed, old, data)
            ]
            mean = np.sum(sums, axis=0) / (min(data.samples, SAMPLES) * data.time)
            real = np.concatenate([c.weight for c in layer.connections], axis=1)
            rounded = np.concatenate([c.weight for c in old.connections], axis=1) * _steps(old, fixed)
            missing = (real - rounded) @ mean
            if layer.neuron.input_to == "dendrite":
                bias = np.rint((layer.neuron.bias_u + missing) / old.lsb_u).astype(np.int64)
                fixed = _with_layer(fixed, n, replace(old, bias_u=bias))
            else:
                bias = np.rint((layer.neuron.bias_v + missing) / old.lsb_v).astype(np.int64)
                fixed = _with_layer(fixed, n, replace(old, bias_v=bias))
        return fixed


def round_compensated(wanted: Float, covariance: Float, steps: Float, limit: int, damping: float) -> Int:
    """Integers near ``wanted`` (neurons, sources) whose summed error is small on sources of that ``covariance``.

    ``steps`` (neurons, sources) is what one integer means, alike in all sources of a neuron up to a factor that all
    neurons share. The sources with the most power are rounded first.
    """
    sources = covariance.shape[0]
    shared = steps[0] / steps[0, 0]  # per source; errors are compensated in units of the first source's step
    covariance = covariance * np.outer(shared, shared)
    power = np.diag(covariance)
    covariance = covariance + np.eye(sources) * max(damping * float(power.mean()), 1e-12)
    order = np.argsort(-power, kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(covariance[np.ix_(order, order)])).T
    left = wanted[:, order].copy()
    found = np.empty_like(left)
    for j in range(sources):
        found[:, j] = np.clip(np.rint(left[:, j]), -limit, limit)
        error = (left[:, j] - found[:, j]) / upper[j, j]
        left[:, j + 1 :] -= np.outer(error, upper[j, j + 1 :])
    result = np.empty(found.shape, np.int64)
    result[:, order] = found
    return result


def _activity(fixed: FixedNetwork, layer: FixedLayer, data: Dataset) -> Iterator[list[Float]]:
    """What each connection of ``layer`` carries, in real units, delayed: (samples, time, sources), by batches."""
    x, _ = fixed.input.encode(data.x[:SAMPLES], data.scale)
    spikes = simulate(fixed, x, spikes=True).spikes if any(c.source != INPUT for c in layer.connections) else {}
    for part in batches(x.shape[0], BATCH):
        found = []
        for c in layer.connections:
            carried = x[part] * fixed.input.lsb if c.source == INPUT else spikes[c.source][part].astype(np.float64)
            late = np.zeros_like(carried)
            late[:, c.delay :] = carried[:, : max(0, carried.shape[1] - c.delay)]
            found.append(late)
        yield found


def _steps(layer: FixedLayer, fixed: FixedNetwork) -> Float:
    """What one integer of each weight means to the float network, (neurons, sources) over all connections."""
    lsb = layer.lsb_u if layer.input_to == "dendrite" else layer.lsb_v
    unit = lsb * 2.0**layer.shift
    parts = []
    for c in layer.connections:
        source = fixed.input.lsb if c.source == INPUT else 1.0
        parts.append(np.broadcast_to(unit[:, None] * 2.0**c.exponent / source, c.weight.shape))
    return np.concatenate(parts, axis=1)


def _with_layer(fixed: FixedNetwork, n: int, layer: FixedLayer) -> FixedNetwork:
    return replace(fixed, layers=(*fixed.layers[:n], layer, *fixed.layers[n + 1 :]))


PASSES: dict[str, Pass] = {item.name: item for item in (CompensateWeights(), CorrectBias())}
"""every pass by its name, in the order in which they are applied"""


def chosen_passes(names: tuple[str, ...]) -> tuple[Pass, ...]:
    """The passes of those names, in their own order. Raises `TclifError` for an unknown one."""
    for name in names:
        if name not in PASSES:
            raise TclifError(f"pass {name!r} is not known", f"known: {', '.join(PASSES)}")
    return tuple(item for name, item in PASSES.items() if name in names)
