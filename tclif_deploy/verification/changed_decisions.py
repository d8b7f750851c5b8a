"""Samples that float and fixed decide differently: how sure the float network itself was of them.

A network that is chaotic at the level of spikes decides some samples by less than float64 itself holds. Integers
keep such a decision by luck: the float network does not keep it either where its somas start a millionth of a
threshold away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tclif_deploy.data import Dataset
from tclif_deploy.network import Float, Network
from tclif_deploy.readout import Readout
from tclif_deploy.simulation.floating import batches, simulate_float

DRAWS = 5
"""starts that are tried"""
NUDGE = 1e-6
"""how far a soma starts from where it would, as a share of its threshold; the sign is drawn for each neuron"""
MOST = 128
"""changed samples, the first ones, of which margins are kept and starts tried"""
BATCH = 32


@dataclass(frozen=True)
class ChangedDecision:
    """A sample that float and fixed decide differently, both by the integers' rule."""

    sample: int
    original: Annotated[int, Field(alias="float")]
    """class of the float network"""
    quantized: Annotated[int, Field(alias="fixed")]
    margin: float
    """float's readout of its class less that of its next best one, in the float network's units"""
    margin_lost: float
    """how much of it fixed lost: all of it and more, where the readout's largest output decides"""
    chaotic: bool
    """whether float itself decides otherwise when its somas start a millionth of a threshold away"""


@dataclass(frozen=True)
class ChangedDecisions:
    """The samples that float and fixed decide differently."""

    count: int
    """all of them"""
    looked_at: int
    """the first ones, of which the rest is known"""
    chaotic: int
    """of those that were looked at"""
    draws: int
    """starts that were tried for each"""
    nudge: float
    """share of the threshold by which a soma's start was moved up or down"""
    samples: tuple[ChangedDecision, ...]


@dataclass(frozen=True)
class Margins:
    """Of the samples of a batch whose decision changed: the rows of `ChangedDecision` but for ``chaotic``."""

    sample: NDArray[np.int64]
    original: NDArray[np.int64]
    quantized: NDArray[np.int64]
    margin: Float
    lost: Float

    @classmethod
    def of(cls, start: int, classes: tuple[NDArray[np.int64], NDArray[np.int64]], said: tuple[Float, Float]) -> Margins:
        """``classes`` (samples,) and readouts ``said`` (samples, outputs) of float and fixed, whose first sample is
        number ``start``."""
        rows = np.flatnonzero(classes[0] != classes[1])
        own, other = classes[0][rows], classes[1][rows]
        before, after = (_lead(readout[rows], own) for readout in said)
        return cls(rows + start, own, other, before, before - after)


def _lead(readout: Float, classes: NDArray[np.int64]) -> Float:
    """Readout of each sample's class less the best of the others; (samples,)."""
    rows = np.arange(len(readout))
    others = readout.copy()
    others[rows, classes] = -np.inf
    return np.asarray(readout[rows, classes] - others.max(axis=1, initial=-np.inf))


def changed_decisions(network: Network, data: Dataset, found: list[Margins], rule: Readout | None) -> ChangedDecisions:
    """What was ``found`` in the batches of ``data``, with what float does from starts nearby.

    ``rule`` is the integers' own, where it is not the float network's.
    """
    columns = [np.concatenate([getattr(part, name) for part in found]) for name in Margins.__dataclass_fields__]
    count = len(columns[0])
    sample, original, quantized, margin, lost = (column[:MOST] for column in columns)
    chaotic = _chaotic(network, data, sample, original, rule)
    rows = zip(*(c.tolist() for c in (sample, original, quantized, margin, lost, chaotic)), strict=True)
    listed = tuple(ChangedDecision(*row) for row in rows)
    return ChangedDecisions(count, len(listed), int(chaotic.sum()), DRAWS, NUDGE, listed)


def _chaotic(
    network: Network, data: Dataset, samples: NDArray[np.int64], classes: NDArray[np.int64], rule: Readout | None
) -> NDArray[np.bool_]:
    """Whether ``network`` gives these samples other classes from any start nearby; (samples,)."""
    chaotic = np.zeros(len(samples), np.bool_)
    for nudged in nudged_starts(network) if len(samples) else ():
        for part in batches(len(samples), BATCH):
            batch = data[samples[part]]
            run = simulate_float(nudged, batch.values(), lengths=batch.lengths, spikes=False, other=rule)
            now = run.classes if run.other_classes is None else run.other_classes
            chaotic[part] |= now != classes[part]
    return chaotic


def nudged_starts(network: Network, draws: int = DRAWS) -> list[Network]:
    """``network`` with every spiking neuron's v0 moved by ±`NUDGE` of its threshold, always in the same ways."""
    rng = np.random.default_rng(0)
    networks = []
    for _ in range(draws):
        layers = []
        for layer in network.layers:
            n = layer.neuron
            if n.spiking:
                signs = rng.choice((-1.0, 1.0), layer.size)
                layer = replace(layer, neuron=replace(n, v0=n.v0 + signs * NUDGE * n.threshold))
            layers.append(layer)
        networks.append(replace(network, layers=tuple(layers)))
    return networks
