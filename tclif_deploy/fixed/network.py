"""The network of integers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked, checked_fields
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed.layers import FixedConnection, FixedLayer, check_layer, weight_bits
from tclif_deploy.fixed.machine import COEFFICIENTS, OF_DENDRITE, Arithmetic, InputEncoding, Int
from tclif_deploy.network import (
    INPUT,
    Float,
    Network,
    check_topology,
    layer_named,
    readout_brief,
    sources,
    totals,
    weights,
)
from tclif_deploy.readout import Readout
from tclif_deploy.text import count


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class FixedNetwork(Shown):
    """Everything that a simulator or a backend may know; its arrays become read-only.

    `tclif_deploy.quantize` makes one. Raises `TclifError` where layers do not fit together, or where an array is not
    int64 of its layer's size.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> digits.layers[0].neuron.b_u[:3].round(5).tolist(), fixed.to_real(fixed.layers[0], "b_u")[:3].round(5).tolist()
    ([-0.50009, -0.50009, -0.50009], [-0.50009, -0.50009, -0.50009])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fixed.save(f"{folder}/fixed.npz")
    ...     tc.FixedNetwork.load(f"{folder}/fixed.npz").output
    FixedLayer features.4: 10 neurons from features.3, 1,280 weights of 8 bits
    """

    input: InputEncoding
    """how data become the first layers' integers"""
    arithmetic: Arithmetic
    """widths, rounding and overflow, of the target"""
    layers: tuple[FixedLayer, ...]
    """in evaluation order"""
    notices: tuple[str, ...] = ()
    """what the quantizer decided that the user should know"""
    readout: Readout = Readout()
    """how the last layer becomes an answer; what ``first`` and ``threshold`` wait for in a layer that does not fire are
    the integers of its `FixedLayer.threshold`"""

    def __post_init__(self) -> None:
        check_topology(self.input.size, self.layers)
        for layer in self.layers:
            check_layer(layer)
        if not self.layers:  # what a first layer depends on
            return
        readout = self.readout.of(self.output.name, self.output.size, self.output.spiking)
        if readout.rule == "softmax":
            raise TclifError("readout softmax: integers have no exponential", "sum, mean or max stand for it")
        object.__setattr__(self, "readout", readout)

    @property
    def counts_spikes(self) -> bool:
        """Whether the readout counts spikes; else it is made of the last layer's soma."""
        return self.readout.counts_spikes(self.output.spiking)

    @property
    def usual_readout(self) -> bool:
        """Whether the readout is what a network without any rule gets."""
        return self.readout.usual(self.output.spiking)

    @property
    def readout_multiplier(self) -> Int:
        """What outputs are compared by: readout * this, int64 (outputs,)."""
        return self.output.multiplier[:: self.readout.votes]

    @property
    def output(self) -> FixedLayer:
        """The last layer, which says the class."""
        return self.layers[-1]

    @checked
    def layer(self, name: str) -> FixedLayer:
        """The layer of that name. Raises `TclifError` where there is none."""
        return layer_named(self.layers, name)

    def _brief(self) -> Brief:
        m = self.arithmetic
        widths = f"states of {m.bits_u} and {m.bits_v} bits, coefficients of {m.frac_bits}, rounded {m.rounding}"
        inputs = f"{count(self.input.size, 'input feature')} of {self.input.bits} bits{readout_brief(self)}"
        return layers_brief(f"FixedNetwork: {inputs}, {widths}", self.layers, self.notices)

    def source_size(self, source: str) -> int:
        """Width of a connection's source."""
        return self.input.size if source == INPUT else self.layer(source).size

    def source_unit(self, source: str) -> float:
        """What one integer from ``source`` means to the float network: the input's LSB, or 1 for a spike."""
        return self.input.unit(source)

    def weight_step(self, layer: FixedLayer, connection: FixedConnection) -> Float:
        """What one integer of each weight means to the float network; it broadcasts with ``connection.weight``."""
        step = connection.per_row(layer.accumulator_lsb) * 2.0**connection.exponent
        return np.asarray(step / self.source_unit(connection.source))

    @property
    def readout_unit(self) -> Float:
        """What one integer of the readout means, before `Readout.divisor`: the LSB of the last layer's soma, or 1
        spike; (outputs,)."""
        return np.ones(self.readout.outputs(self.output.size)) if self.counts_spikes else self.output.lsb_v

    def to_real(self, layer: FixedLayer, name: str, integers: NDArray[Any] | None = None) -> Float:
        """What ``integers`` (default: the layer's own) of the array ``name``, one of `LAYER_ARRAYS`, mean to the float
        network; (neurons,).

        A factor from one state to the other is counted by the ratio of their LSBs.
        """
        values = np.asarray(getattr(layer, name) if integers is None else integers)
        if name == "s0":
            return values.astype(np.float64)
        if name not in COEFFICIENTS:
            return values * (layer.lsb_u if name in OF_DENDRITE else layer.lsb_v)
        factor = values / self.arithmetic.one
        return (
            factor / layer.lsb_ratio if name == "b_u" else factor * layer.lsb_ratio if name in ("b_v", "q") else factor
        )

    def from_real(self, layer: FixedLayer, name: str, values: Float) -> Float:
        """``values`` of the float network counted in the integers of the array ``name``, not rounded: the way back from
        `to_real`."""
        if name == "s0":
            return values
        if name not in COEFFICIENTS:
            return values / (layer.lsb_u if name in OF_DENDRITE else layer.lsb_v)
        factor = (
            values * layer.lsb_ratio if name == "b_u" else values / layer.lsb_ratio if name in ("b_v", "q") else values
        )
        return factor * self.arithmetic.one

    @checked
    def save(self, path: Path | str) -> None:
        """Write ``fixed.npz``: plain arrays and one JSON header, nothing pickled, same input same bytes.

        Raises `TclifError` where it cannot be written.
        """
        from tclif_deploy.fixed.file import write_fixed

        write_fixed(self, path)

    @classmethod
    @checked
    def load(cls, path: Path | str) -> FixedNetwork:
        """Read what `save` wrote. Raises `TclifError`, which names the file, where it holds anything else."""
        from tclif_deploy.fixed.file import read_fixed

        return read_fixed(path)


def layers_brief(line: str, layers: tuple[FixedLayer, ...], notices: tuple[str, ...] = ()) -> Brief:
    """Layers for a person, after the beginning of a ``line``."""
    rows = [
        (
            la.name, f"{la.size:,}", f"{la.reset} reset" if la.spiking else "readout",
            sources(la), f"{weights(la):,}", str(weight_bits(la)), str(la.shift),
        )
        for la in layers
    ]  # fmt: skip
    columns = ("layer", "neurons", "type", "from", "weights", "their bits", "shift")
    return Brief(f"{line}, {totals(layers, notices)}", columns, rows)


def check_same_layers(network: Network, fixed: FixedNetwork, where: str, hint: str) -> None:
    """Raise `TclifError`, ``where`` first, unless both have inputs and layers of the same names, sizes and kinds."""
    if network.input_size != fixed.input.size:
        raise TclifError(f"{where}: {network.input_size} features in the one, {fixed.input.size} in the other", hint)
    rows = [[(la.name, la.size, spiking) for la, spiking in layers] for layers in (
        [(la, la.neuron.spiking) for la in network.layers], [(la, la.spiking) for la in fixed.layers],
    )]  # fmt: skip
    for one, other in itertools.zip_longest(*rows):
        if one != other:
            shown = (
                "no layer" if row is None else f"layer {row[0]} of {row[1]} {'spiking' if row[2] else 'silent'} neurons"
                for row in (one, other)
            )
            raise TclifError(f"{where}: {' in the one, '.join(shown)} in the other", hint)


def check_fixed(network: object) -> None:
    """Raise `TclifError` unless ``network`` is a `FixedNetwork`."""
    if not isinstance(network, FixedNetwork):
        raise TclifError(f"expected a FixedNetwork, got a {type(network).__name__}", "tclif_deploy.quantize makes one")
