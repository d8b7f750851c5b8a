"""Which neuron has a synapse from which source: dense, or sparse as compressed rows.

Placement asks only for counts over ranges of neurons, so a million-neuron network needs no weight matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Int
from tclif_deploy.mapping.memory import SynapseFormat


@dataclass(frozen=True)
class SliceUse:
    """What the first 1, 2, ... neurons of a range take; every array is int64 of shape ``(neurons of the range,)``."""

    axons: Int
    """sources with a synapse into them"""
    bits: Int
    """their synapses, in the smaller of both forms"""
    dense: NDArray[np.bool_]
    """whether that is the dense form"""


class Connectivity(Protocol):
    """Synapses from ``sources`` into ``neurons``."""

    @property
    def neurons(self) -> int:
        """Number of targets."""

    @property
    def sources(self) -> int:
        """Number of sources."""

    @property
    def synapses(self) -> int:
        """Number of synapses."""

    def fan_in(self) -> Int:
        """Synapses of each neuron, (neurons,)."""

    def fan_out(self) -> Int:
        """Synapses of each source, (sources,)."""

    def use(self, start: int, stop: int, form: SynapseFormat) -> SliceUse:
        """What each prefix of the neurons ``start..stop`` takes of a core."""

    def list_lengths(self, start: int, stop: int) -> Int:
        """Synapses of each source into the neurons ``start..stop``, (sources,)."""

    def senders(self, start: int, stop: int) -> Int:
        """Sources with a synapse into the neurons ``start..stop``, each once."""

    def subsampled(self, density: float, seed: int) -> Connectivity:
        """The same with each synapse kept with that probability."""


@dataclass(frozen=True)
class Dense:
    """Every source has a synapse into every neuron."""

    neurons: int
    sources: int

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return self.neurons * self.sources

    def fan_in(self) -> Int:
        """Synapses of each neuron, (neurons,)."""
        return np.full(self.neurons, self.sources, np.int64)

    def fan_out(self) -> Int:
        """Synapses of each source, (sources,)."""
        return np.full(self.sources, self.neurons, np.int64)

    def use(self, start: int, stop: int, form: SynapseFormat) -> SliceUse:
        """What each prefix of the neurons ``start..stop`` takes of a core."""
        count = stop - start
        bits = self.sources * form.prefix_bits(count, sparse=False)[1:]
        return SliceUse(np.full(count, self.sources, np.int64), bits, np.ones(count, np.bool_))

    def list_lengths(self, start: int, stop: int) -> Int:
        """Synapses of each source into the neurons ``start..stop``, (sources,)."""
        return np.full(self.sources, stop - start, np.int64)

    def senders(self, start: int, stop: int) -> Int:
        """Sources with a synapse into the neurons ``start..stop``, each once."""
        return np.arange(self.sources, dtype=np.int64)

    def subsampled(self, density: float, seed: int) -> Sparse:
        """The same with each synapse kept with that probability."""
        return Sparse.of(np.random.default_rng(seed).random((self.neurons, self.sources)) < density)


@dataclass(frozen=True, eq=False)
class Sparse:
    """Compressed rows: neuron n's sources are ``indices[indptr[n]:indptr[n + 1]]``, each at most once.

    Examples
    --------
    >>> Sparse.of(np.array([[True, False], [True, True]])).fan_out()
    array([2, 1])
    """

    sources: int
    indptr: Int
    """int64 (neurons + 1,)"""
    indices: NDArray[np.int32]

    def __post_init__(self) -> None:
        if self.indptr[-1] != self.indices.size or self.indptr[0] != 0 or (np.diff(self.indptr) < 0).any():
            raise TclifError("sparse connection: indptr does not describe indices")
        if self.indices.size and not 0 <= int(self.indices.min()) <= int(self.indices.max()) < self.sources:
            raise TclifError(f"sparse connection: an index lies outside 0..{self.sources - 1}")

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Sparse:
        """From a mask (neurons, sources)."""
        indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(mask, axis=1))]).astype(np.int64)
        return cls(mask.shape[1], indptr, np.nonzero(mask)[1].astype(np.int32))

    @property
    def neurons(self) -> int:
        """Number of targets."""
        return int(self.indptr.size - 1)

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return int(self.indptr[-1])

    def fan_in(self) -> Int:
        """Synapses of each neuron, (neurons,)."""
        return np.diff(self.indptr)

    def fan_out(self) -> Int:
        """Synapses of each source, (sources,)."""
        return np.bincount(self.indices, minlength=self.sources).astype(np.int64)

    @cached_property
    def _scratch(self) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
        return np.zeros(self.sources, np.int8), np.zeros(self.sources, np.int32)

    def use(self, start: int, stop: int, form: SynapseFormat) -> SliceUse:
        """What each prefix of the neurons ``start..stop`` takes of a core."""
        from tclif_deploy.mapping.kernels import grow

        count = stop - start
        table = form.prefix_bits(count, sparse=True)
        axons, sparse_bits = np.zeros(count, np.int64), np.zeros(count, np.int64)
        grow(self.indptr, self.indices, start, stop, table, *self._scratch, axons, sparse_bits)
        dense_bits = axons * form.prefix_bits(count, sparse=False)[1:]
        return SliceUse(axons, np.minimum(dense_bits, sparse_bits), dense_bits <= sparse_bits)

    def list_lengths(self, start: int, stop: int) -> Int:
        """Synapses of each source into the neurons ``start..stop``, (sources,)."""
        from tclif_deploy.mapping.kernels import list_lengths

        lengths = np.zeros(self.sources, np.int64)
        list_lengths(self.indptr, self.indices, start, stop, lengths)
        return lengths

    def senders(self, start: int, stop: int) -> Int:
        """Sources with a synapse into the neurons ``start..stop``, each once."""
        from tclif_deploy.mapping.kernels import senders

        sources: Int = senders(self.indptr, self.indices, start, stop, self._scratch[0])
        return sources

    def subsampled(self, density: float, seed: int) -> Sparse:
        """The same with each synapse kept with that probability."""
        keep = np.random.default_rng(seed).random(self.indices.size, dtype=np.float32) < density
        before = np.concatenate([[0], np.cumsum(keep)])
        return Sparse(self.sources, before[self.indptr].astype(np.int64), self.indices[keep])


@dataclass(frozen=True, eq=False)
class Shared(Sparse):
    """A convolution on a machine that keeps a kernel once: neurons of a channel follow one another and share a row."""

    neurons_per_row: int
    """neurons of a channel"""
    weights: int
    """of a channel's row of the kernel"""

    def use(self, start: int, stop: int, form: SynapseFormat) -> SliceUse:
        """What each prefix of the neurons ``start..stop`` takes of a core: the rows of the kernel that they need."""
        axons = super().use(start, stop, form).axons
        rows = np.arange(start, stop) // self.neurons_per_row - start // self.neurons_per_row + 1
        bits = rows * int(form.list_bits(self.weights, sparse=False))
        return SliceUse(axons, bits, np.zeros(stop - start, np.bool_))
