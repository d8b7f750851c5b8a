"""The fixed-point network: integers only, the single contract of every simulator and backend.

Arithmetic of one layer (k = ``frac_bits``, f = ``shift``; everything is computed wide enough never to
overflow before the stated operation)::

    acc = sum over connections of (W.x << exponent)          x: input integers, or spikes delayed by `delay`;
                                                             W a matrix, or a kernel (`tclif_deploy.convolution`)
    i   = shift(acc, f)                                      acc*2^f, or rnd(acc, -f) for f < 0
    u   = ovf_u( rnd(A_u*u, k) + rnd(B_u*v, k) + i + bias_u )
    v   = ovf_v( rnd(A_v*v, k) + rnd(B_v*u, k) + bias_v )    i enters here instead where input_to is "soma"
    s   = v >= threshold                                     (spiking layers only)
    soft: u' = ovf_u(u - r_u*s) ;  v' = ovf_v(v - (r_v + rnd(Q*u, k))*s)
    hard: v' = v_reset where s
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import json_form
from tclif_deploy.aliases import OldName
from tclif_deploy.arguments import checked, checked_fields
from tclif_deploy.convolution import Conv, LinearMap
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, narrowest_int, open_npz
from tclif_deploy.network import (
    INPUT,
    LEAST,
    MOST,
    Float,
    InputTo,
    Network,
    Reset,
    check_kernel,
    check_topology,
    layer_named,
    readout_brief,
    sources,
    totals,
    weights,
)
from tclif_deploy.outputs import write_npz
from tclif_deploy.readout import Readout
from tclif_deploy.settings import Limits
from tclif_deploy.text import count

Int = NDArray[np.int64]
Rounding = Literal["toward_zero", "floor", "nearest"]
Overflow = Literal["saturate", "wrap"]

FORMAT = "tclif-fixed"
FORMAT_VERSIONS = (1, 2)
"""2: with a readout that is not the usual one, which a reader of 1 would take wrongly"""

LAYER_ARRAYS = (
    "a_u", "b_u", "a_v", "b_v", "q", "threshold", "r_u", "r_v", "v_reset", "bias_u", "bias_v", "v0",
)  # fmt: skip
"""The per-neuron integers of `FixedLayer`, in the order in which files list them."""
COEFFICIENTS = ("a_u", "b_u", "a_v", "b_v", "q")
"""those of them that are factors, with fractional bits; all others count LSBs of a state"""
OF_DENDRITE = ("r_u", "bias_u")
"""those that count LSBs of u"""
MOST_BITS = 32
"""of an input, a weight, a factor or a state, sign included: their products then stay within 64"""
MOST_SUM_BITS = 62
"""of what is compared with a state or added to it: no target holds a threshold of so many, and the rules say so"""
SUMMANDS = ("threshold", "r_u", "r_v", "bias_u", "bias_v")
MOST_SHIFT = 62
MOST_DELAY = 1 << 16
"""steps; memory is taken for the spikes of all of them"""
AGAIN = "compile the model again"


@dataclass(frozen=True)
@checked_fields
class Arithmetic:
    """How the machine computes; one for the whole network.

    Examples
    --------
    >>> from tclif_deploy import load_target
    >>> from tclif_deploy.fixed import Arithmetic
    >>> Arithmetic(12, "floor", bits_u=24, bits_v=24, overflow_u="saturate", overflow_v="wrap").one
    4096
    >>> load_target("loihi2").arithmetic.rounding
    'toward_zero'
    """

    frac_bits: int
    """k: fractional bits of A, B and Q, and the shift after each product"""
    rounding: Rounding
    """of every right shift: ``toward_zero`` sign*(|p|>>k), ``floor`` p>>k, ``nearest`` (p+2^(k-1))>>k"""
    bits_u: int
    """width of the dendrite's state, sign included"""
    bits_v: int
    overflow_u: Overflow
    """``saturate`` to +-(2^(bits-1)-1), or ``wrap`` (two's complement)"""
    overflow_v: Overflow

    @property
    def one(self) -> int:
        """2^k, the integer of a factor of 1."""
        return 1 << self.frac_bits

    def __post_init__(self) -> None:
        if not 0 <= self.frac_bits <= 24:
            raise TclifError(f"arithmetic: frac_bits is {self.frac_bits}", "0 to 24 are supported")
        for name, bits in (("bits_u", self.bits_u), ("bits_v", self.bits_v)):
            if not 2 <= bits <= 32:
                raise TclifError(f"arithmetic: {name} is {bits}", "2 to 32 are supported")
        if self.rounding not in ("toward_zero", "floor", "nearest"):
            raise TclifError(f"arithmetic: rounding is {self.rounding!r}", "toward_zero, floor or nearest")
        for overflow in (self.overflow_u, self.overflow_v):
            if overflow not in ("saturate", "wrap"):
                raise TclifError(f"arithmetic: overflow is {overflow!r}", "saturate or wrap")


@dataclass(frozen=True)
@checked_fields
class InputEncoding:
    """How real input becomes the integers that the first layers see: ``clip(rint(x * scale / lsb))``.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy.fixed import InputEncoding
    >>> integers, clipped = InputEncoding(size=1, lsb=0.25, bits=4).encode(np.array([[[0.5], [-1.1], [9.0]]]))
    >>> integers.ravel().tolist(), clipped
    ([2, -4, 7], 1)
    """

    size: Annotated[int, Limits(1)]
    """features a step"""
    lsb: Annotated[float, Limits(above=0)]
    """what one integer unit means to the float network"""
    bits: Annotated[int, Limits(1, 63)]
    """signed payload: integers lie in +-(2^(bits-1)-1)"""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise TclifError(f"input: size is {self.size}", "at least 1 feature is needed")
        if not 2 <= self.bits <= MOST_BITS:
            raise TclifError(f"input: bits is {self.bits}", f"2 to {MOST_BITS} are supported")
        if not LEAST <= self.lsb <= MOST:
            raise TclifError(f"input: lsb is {self.lsb:g}", f"{LEAST:g} to {MOST:g} are supported")

    @property
    def limit(self) -> int:
        """Largest magnitude of an input integer."""
        return int(2 ** (self.bits - 1) - 1)

    def unit(self, source: str) -> float:
        """What one integer from a connection's ``source`` means to the float network: 1 for a spike."""
        return self.lsb if source == INPUT else 1.0

    def encode(self, x: NDArray[Any], scale: float = 1.0) -> tuple[NDArray[Any], int]:
        """Integers of the shape of ``x``, and how many values were clipped.

        Integer data whose ``scale`` is this encoding's ``lsb`` enters unchanged: ``x`` itself comes back where nothing
        is clipped. Everything else comes back in int64.
        """
        if np.issubdtype(x.dtype, np.integer) and scale == self.lsb:
            if x.size == 0 or max(int(x.max()), -int(x.min())) <= self.limit:
                return x, 0
            raw = x.astype(np.int64)
        else:
            raw = np.rint(x.astype(np.float64) * (scale / self.lsb)).clip(-(2.0**62), 2.0**62).astype(np.int64)
        clipped = np.clip(raw, -self.limit, self.limit)
        return clipped, int(np.count_nonzero(clipped != raw))


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class FixedConnection(LinearMap):
    """Integer weights from one source into one layer: ``2**exponent * weight`` counts units of its accumulator.

    Raises `TclifError` where the weights are no kernel that ``conv`` can move.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> feedback = fixed.layer("features.3").connections[1]
    >>> feedback
    FixedConnection from features.3 (delay 1): 128x128 weights of -127 to 127
    >>> feedback.weight.dtype, feedback.exponent
    (dtype('int64'), 0)
    """

    source: str
    """name of a layer, or ``input``"""
    weight: Int
    """int64 (neurons, sources); where ``conv`` moves it, (channels out, channels in / groups, height, width)"""
    delay: int = 0
    """steps"""
    exponent: int = 0
    """the connection's sum is shifted left by this much before it joins the others (exact)"""
    conv: Conv | None = None

    def __post_init__(self) -> None:
        where = f"connection from {self.source}"
        if self.conv is None and (self.weight.ndim != 2 or 0 in self.weight.shape):
            raise TclifError(f"{where}: weight has shape {self.weight.shape}, expected (neurons, sources)")
        check_kernel(self, where)


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class FixedLayer(Shown):
    """One layer's integers; every array is int64 of shape ``(neurons,)``.

    They are those of `tclif_deploy.network.Neuron`: the factors a_u, b_u, a_v, b_v and q count 2^-``frac_bits``, r_u
    and bias_u count LSBs of u, all others LSBs of v.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> layer = fixed.layer("features.1")
    >>> layer
    FixedLayer features.1: 128 neurons from input, features.1 (delay 1), 18,048 weights of 8 bits
    >>> layer.shift, layer.threshold.dtype, layer.threshold.shape
    (6, dtype('int64'), (128,))
    """

    name: str
    connections: tuple[FixedConnection, ...]
    shift: int
    """f: left shift of the accumulator (right, rounded, where negative)"""
    a_u: Int
    b_u: Int
    a_v: Int
    b_v: Int
    q: Int
    threshold: Int
    """of the soma; of a layer that does not fire 0, or what the network's `Readout` waits for"""
    r_u: Int
    r_v: Int
    v_reset: Int
    bias_u: Int
    bias_v: Int
    v0: Int
    lsb_u: Float
    """what one unit of the dendrite means to the float network; float64 (neurons,), no simulator needs it"""
    lsb_v: Float
    """likewise of the soma"""
    multiplier: Int
    """of the last layer: outputs compare as readout*multiplier"""
    reset: Reset = "soft"
    input_to: InputTo = "dendrite"
    """the compartment that the current enters"""
    spiking: bool = True
    """false for a readout"""

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.a_u.size)

    @property
    def lsb_ratio(self) -> Float:
        """LSB of v over LSB of u (rho), a free choice that changes no spike; (neurons,)."""
        return self.lsb_v / self.lsb_u

    rho = OldName("lsb_ratio")

    @property
    def accumulator_lsb(self) -> Float:
        """What one unit of the accumulator means to the float network, (neurons,)."""
        return (self.lsb_u if self.input_to == "dendrite" else self.lsb_v) * 2.0**self.shift

    def _brief(self) -> Brief:
        neurons, stored = count(self.size, "neuron"), count(weights(self), "weight")
        return Brief(f"FixedLayer {self.name}: {neurons} from {sources(self)}, {stored} of {weight_bits(self)} bits")


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
            _check_layer(layer)
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
        if name not in COEFFICIENTS:
            return values * (layer.lsb_u if name in OF_DENDRITE else layer.lsb_v)
        factor = values / self.arithmetic.one
        return (
            factor / layer.lsb_ratio if name == "b_u" else factor * layer.lsb_ratio if name in ("b_v", "q") else factor
        )

    def from_real(self, layer: FixedLayer, name: str, values: Float) -> Float:
        """``values`` of the float network counted in the integers of the array ``name``, not rounded: the way back from
        `to_real`."""
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
        header: dict[str, Any] = {
            "format": FORMAT, "version": FORMAT_VERSIONS[not self.usual_readout], "input": asdict(self.input),
            "arithmetic": asdict(self.arithmetic), "notices": list(self.notices), "layers": [],
        }  # fmt: skip
        if not self.usual_readout:
            header["readout"] = asdict(self.readout)
        arrays: dict[str, NDArray[Any]] = {}
        for n, layer in enumerate(self.layers):
            connections = [
                {f: getattr(c, f) for f in ("source", "delay", "exponent", "kind")}
                | ({} if c.conv is None else {"conv": asdict(c.conv)})
                for c in layer.connections
            ]
            plain = {f: getattr(layer, f) for f in ("name", "shift", "reset", "input_to", "spiking")}
            header["layers"].append({**plain, "connections": connections})
            for name in (*LAYER_ARRAYS, "multiplier", "lsb_u", "lsb_v"):
                arrays[f"{n}.{name}"] = getattr(layer, name)
            for m, connection in enumerate(layer.connections):
                arrays[f"{n}.weight.{m}"] = connection.weight.astype(narrowest_int(connection.weight))
        arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
        write_npz(path, arrays)

    @classmethod
    @checked
    def load(cls, path: Path | str) -> FixedNetwork:
        """Read what `save` wrote. Raises `TclifError`, which names the file, where it holds anything else."""
        path = as_path(path, "compile first, or name the build folder")
        with open_npz(path, "not a compiled network", AGAIN) as file:
            text = file.text("header")
            given = json_form.parse(Format, text, "header", AGAIN)
            if given.format != FORMAT or given.version not in FORMAT_VERSIONS:
                raise TclifError(
                    f"{path}: format {given.format:.40} {given.version}, expected {FORMAT} {FORMAT_VERSIONS[-1]}",
                    "compile the model again with this version",
                )
            header = json_form.parse(_Header, text, "header", AGAIN)
            layers = []
            for n, item in enumerate(header.layers):
                names, real = (*LAYER_ARRAYS, "multiplier", "lsb_u", "lsb_v"), ("lsb_u", "lsb_v")
                shape = file.shape(f"{n}.{names[-1]}")  # all others have it, or are not read
                if len(shape) != 1:
                    raise TclifError(f"{n}.{names[-1]} has shape {shape}, expected (neurons,)")
                arrays: dict[str, Any] = {
                    name: file.array(f"{n}.{name}", "f" if name in real else "iu", shape).astype(
                        np.float64 if name in real else np.int64
                    )
                    for name in names
                }
                connections = tuple(
                    c.connection(
                        file.array(f"{n}.weight.{m}", "iu", ndim=2 if c.kind == "dense" else 4).astype(np.int64)
                    )
                    for m, c in enumerate(item.connections)
                )
                plain = {name: getattr(item, name) for name in ("name", "shift", "reset", "input_to", "spiking")}
                layers.append(FixedLayer(connections=connections, **plain, **arrays))
            return cls(header.input, header.arithmetic, tuple(layers), header.notices, header.readout)


@dataclass(frozen=True)
class Format:
    """What a header says of its file."""

    format: str
    version: int


@dataclass(frozen=True)
class _ConnectionHeader:
    source: str
    delay: int
    exponent: int
    kind: Literal["dense", "conv"]
    conv: Conv | None = None

    def connection(self, weight: Int) -> FixedConnection:
        if (self.conv is None) != (self.kind == "dense"):
            raise TclifError(f"connection from {self.source}: of kind {self.kind}, but its kernel says otherwise")
        return FixedConnection(self.source, weight, self.delay, self.exponent, self.conv)


@dataclass(frozen=True)
class _LayerHeader:
    name: str
    shift: int
    reset: Reset
    input_to: InputTo
    spiking: bool
    connections: tuple[_ConnectionHeader, ...]


@dataclass(frozen=True)
class _Header(Format):
    """The header of ``fixed.npz``: everything but the arrays."""

    __pydantic_config__ = json_form.EXACT

    input: InputEncoding
    arithmetic: Arithmetic
    notices: tuple[str, ...]
    layers: tuple[_LayerHeader, ...]
    readout: Readout = Readout()


def _check_layer(layer: FixedLayer) -> None:
    """Raise `TclifError` unless the arrays of a layer are what the arithmetic can hold; they become read-only."""
    where = f"layer {layer.name}"
    if abs(layer.shift) > MOST_SHIFT:
        raise TclifError(f"{where}: shift is {layer.shift}", f"-{MOST_SHIFT} to {MOST_SHIFT} are supported")
    for name, known in (("reset", ("soft", "hard")), ("input_to", ("dendrite", "soma"))):
        if getattr(layer, name) not in known:
            raise TclifError(f"{where}: {name} is {getattr(layer, name)!r:.40}", " or ".join(known))
    for name in (*LAYER_ARRAYS, "multiplier"):
        value = getattr(layer, name)
        if value.dtype != np.int64 or value.shape != (layer.size,):
            raise TclifError(f"{where}: {name} is {value.dtype}{value.shape}, expected int64 ({layer.size},)")
        _check_range(value, MOST_SUM_BITS if name in SUMMANDS else MOST_BITS, f"{where}: {name}")
        value.setflags(write=False)
    for name in ("lsb_u", "lsb_v"):
        value = getattr(layer, name)
        if value.dtype != np.float64 or value.shape != (layer.size,):
            raise TclifError(f"{where}: {name} is {value.dtype}{value.shape}, expected float64 ({layer.size},)")
        wrong = ~((value > 0) & (value < math.inf))
        if wrong.any():
            raise TclifError(f"{where}: {name} is {value[wrong][0]:g}", "a positive number is needed")
    for connection in layer.connections:
        link = f"{where}: connection from {connection.source}"
        if connection.weight.dtype != np.int64 or not 0 <= connection.exponent <= MOST_SHIFT:
            raise TclifError(f"{link} is not of int64 with exponent 0 to {MOST_SHIFT}")
        if connection.delay > MOST_DELAY:
            raise TclifError(f"{link}: delay is {connection.delay}", f"at most {MOST_DELAY:,} steps are supported")
        _check_range(connection.weight, MOST_BITS, f"{link}: a weight")
        connection.weight.setflags(write=False)


def _check_range(values: Int, bits: int, where: str) -> None:
    """Raise `TclifError` for an integer beyond so many bits."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if max(~low, high).bit_length() >= bits:
        raise TclifError(f"{where} is {high if high > ~low else low}", f"{bits} bits are supported")


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


def weight_bits(layer: FixedLayer) -> int:
    """Bits, sign included, that a layer's weights need."""
    return 1 + max(max(int(c.weight.max()), ~int(c.weight.min())).bit_length() for c in layer.connections)


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
