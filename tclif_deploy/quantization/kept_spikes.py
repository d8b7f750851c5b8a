"""What quantized layers fire on the calibration data: each is run once, when no number before it changes any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data import Dataset
from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, InputEncoding
from tclif_deploy.network import INPUT
from tclif_deploy.simulation import simulate

SAMPLES = 128
"""no more calibration samples than this are looked at"""


class KeptSpikes:
    """Spikes of a network's layers on the first `SAMPLES` of ``data``."""

    def __init__(self, encoding: InputEncoding, arithmetic: Arithmetic, data: Dataset) -> None:
        self.encoding, self.arithmetic, self.data = encoding, arithmetic, data
        self._kept: dict[str, NDArray[Any]] = {}

    @cached_property
    def x(self) -> NDArray[Any]:
        """The data as the network's input integers, (samples, time, features)."""
        return self.encoding.encode(self.data.x[:SAMPLES], self.data.scale)[0]

    def of(self, layers: Sequence[FixedLayer], final: Collection[str]) -> dict[str, NDArray[Any]]:
        """The input's integers, and what ``layers`` fire: name -> (samples, time, neurons).

        ``layers`` stand in evaluation order, all their sources among them. What those of the names ``final`` fire is
        kept for the next call: no integer that it depends on may change any more.
        """
        missing = [layer for layer in layers if layer.name not in self._kept]
        if not missing:
            return {INPUT: self.x, **self._kept}
        began = [layer.name for layer in layers if layer.s0.any()]
        spliced = None if self._hears_start(missing, began) else self._spliced(missing)
        run, x = (layers, self.x) if spliced is None else spliced
        encoding = self.encoding if spliced is None else self._entry(x.shape[2], self._sources(missing))
        if self.arithmetic.most_spikes > 1:  # of the last layer, a neuron fires once a step, so none of these is last
            links = (FixedConnection(run[-1].name, np.zeros((run[-1].size,) * 2, np.int64)),)
            names = {layer.name for layer in run}
            last = next(name for n in range(len(names) + 1) if (name := f"last {n}") not in names)
            run = [*run, replace(run[-1], name=last, connections=links)]
        spikes = simulate(FixedNetwork(encoding, self.arithmetic, tuple(run)), x, spikes=True).spikes
        self._kept |= {name: fired for name, fired in spikes.items() if name in final}
        return {INPUT: self.x, **self._kept, **spikes}

    def _sources(self, layers: Sequence[FixedLayer]) -> list[str]:
        """The input and layers that ``layers`` read and that are none of them."""
        names = {layer.name for layer in layers}
        return list(dict.fromkeys(c.source for layer in layers for c in layer.connections if c.source not in names))

    def _hears_start(self, layers: Sequence[FixedLayer], began: Collection[str]) -> bool:
        """Whether a delay lets ``layers`` hear kept ones, of those that ``began`` by firing before the first step, of
        which an input has no word."""
        heard = (c.source for layer in layers for c in layer.connections if c.delay and c.source in self._kept)
        return any(source in began for source in heard)

    def _entry(self, size: int, sources: Sequence[str]) -> InputEncoding:
        """Of an input that holds what ``sources`` send, side by side."""
        of_spikes = 1 + self.arithmetic.most_spikes.bit_length()
        return InputEncoding(size, 1.0, max(self.encoding.bits, of_spikes) if INPUT in sources else of_spikes)

    def _spliced(self, layers: Sequence[FixedLayer]) -> tuple[list[FixedLayer], NDArray[Any]] | None:
        """``layers`` by themselves, with their sources' spikes for input; None where a convolution is one of several
        that read that input, since it has no place for the others' columns."""
        sources = self._sources(layers)
        arriving = [self.x if source == INPUT else self._kept[source] for source in sources]
        ends = np.cumsum([0, *(each.shape[2] for each in arriving)])

        def moved(c: FixedConnection) -> FixedConnection:
            if c.source not in sources:
                return c
            if len(sources) == 1:
                return replace(c, source=INPUT)
            first = ends[sources.index(c.source)]
            weight = np.zeros((len(c.weight), ends[-1]), np.int64)
            weight[:, first : first + c.sources] = c.weight
            return replace(c, source=INPUT, weight=weight)

        if len(sources) > 1 and any(c.conv for la in layers for c in la.connections if c.source in sources):
            return None
        spliced = [replace(la, connections=tuple(map(moved, la.connections))) for la in layers]
        dtype = np.result_type(*arriving)
        x = arriving[0] if len(sources) == 1 else np.concatenate([each.astype(dtype) for each in arriving], axis=2)
        return spliced, x
