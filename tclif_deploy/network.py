"""The float network: layers of canonical two-compartment neurons and their connections.

One neuron carries every type (DESIGN of the arithmetic: ``docs/arithmetic.md``). With dendrite ``u``,
soma ``v`` and input current ``i`` (which enters ``u``, or ``v`` where ``input_to == "soma"``)::

    u <- a_u*u + b_u*v + i + bias_u
    v <- a_v*v + b_v*u + bias_v            (the new u)
    s <- v >= threshold                    (v > threshold where ``strict``)
    soft reset:  u <- u - r_u*s ;  v <- v - (r_v + q*u)*s     (u taken before its own reset)
    hard reset:  v <- v_reset where s ;  u <- u - r_u*s
    start:       u = u0, v = v0 and s = s0 before the first step, whose s0 still resets: see `Neuron.start`

A layer that does not spike (a readout) has ``spiking=False``, and neither threshold nor reset.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked, checked_fields, to_numbers
from tclif_deploy.convolution import Conv, LinearMap, check_kernel
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.grid import InputGrid, LayerGrid
from tclif_deploy.readout import Readout
from tclif_deploy.settings import Limits
from tclif_deploy.start import check_s0
from tclif_deploy.text import count

Float = NDArray[np.float64]
AnyLayer = TypeVar("AnyLayer", bound=Any)
"""a layer of the float or of the fixed-point network"""
InputTo = Literal["dendrite", "soma"]
Reset = Literal["soft", "hard"]

INPUT = "input"
"""The name by which a connection's ``source`` means the network's input."""

LEAST, MOST = 1e-30, 1e30
"""magnitudes of the numbers that a network and its data may have: float32 holds them all, float64 their products"""
LONGEST_NAME = 1000
"""characters of a layer's name"""

NEURON_ARRAYS = (
    "a_u", "b_u", "a_v", "b_v", "threshold", "r_u", "r_v", "v_reset", "q", "bias_u", "bias_v", "v0", "u0", "s0",
)  # fmt: skip
"""The per-neuron coefficients of `Neuron`, in the order in which files list them."""
LATER_ARRAYS = ("u0", "s0")
"""those of them that older files lack, and that are 0 where nothing is said"""
_NOT_SAID: Float = np.zeros(0)


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class Neuron(Shown):
    """A population of canonical two-compartment neurons; every array is float64 of shape ``(neurons,)``.

    Made by a constructor of `tclif_deploy.neurons`. Raises `TclifError` for arrays of different sizes and for numbers
    that are not finite. The arrays become read-only.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import neurons
    >>> fast_and_slow = neurons.lif(2, decay=[0.5, 0.9], threshold=1.0)
    >>> fast_and_slow.size, fast_and_slow.a_v.tolist(), fast_and_slow.reset
    (2, [0.5, 0.9], 'soft')
    >>> fast_and_slow.with_current_bias(np.array([0.0, 0.1])).bias_u.tolist()
    [0.0, 0.1]
    """

    a_u: Float
    """dendrite's own factor (1 for TC-LIF)"""
    b_u: Float
    """soma to dendrite (TC-LIF's beta1)"""
    a_v: Float
    """soma's own factor"""
    b_v: Float
    """dendrite to soma (TC-LIF's beta2)"""
    threshold: Float
    """firing threshold of the soma; 0 and without meaning where ``spiking`` is false"""
    r_u: Float
    """taken from the dendrite at a spike (TC-LIF's gamma)"""
    r_v: Float
    """taken from the soma at a spike (TC-LIF's Vth); soft reset only"""
    v_reset: Float
    """the soma's value after a spike; hard reset only"""
    q: Float
    """share of the dendrite taken from the soma at a spike; soft reset only"""
    bias_u: Float
    """constant current into the dendrite, every step"""
    bias_v: Float
    """constant current into the soma, every step"""
    v0: Float
    """the soma's value before the first step"""
    strict: bool = False
    """fires at v > threshold instead of v >= threshold"""
    reset: Reset = "soft"
    """``soft`` subtracts r_u and r_v + q*u, ``hard`` subtracts r_u and sets v to ``v_reset``"""
    input_to: InputTo = "dendrite"
    """the compartment that the input current enters"""
    spiking: bool = True
    """false for a readout: no threshold, no reset, no spikes"""
    type: str = "generic"
    """name of the constructor that made it; for people, nothing depends on it"""
    u0: Float = field(default_factory=lambda: _NOT_SAID)
    """the dendrite's value before the first step; zeros where it is not given"""
    s0: Float = field(default_factory=lambda: _NOT_SAID)
    """whether it fired just before the first step, 0 or 1: what its reset and delays of one step or more still bring"""

    def __post_init__(self) -> None:
        for name in NEURON_ARRAYS:
            value = np.zeros(np.shape(self.a_u)) if getattr(self, name) is _NOT_SAID else getattr(self, name)
            value = to_numbers(value, f"neuron {self.type}: {name}")
            if name in LATER_ARRAYS:
                value = value + 0.0  # not -0.0: files leave out what is 0
            if value.ndim != 1:
                raise TclifError(f"neuron {self.type}: {name} has shape {value.shape}, expected (neurons,)")
            if value.shape != np.shape(self.a_u):
                raise TclifError(f"neuron {self.type}: {name} has {value.size} values, a_u has {np.size(self.a_u)}")
            if not np.isfinite(value).all():
                bad = int(np.flatnonzero(~np.isfinite(value))[0])
                raise TclifError(f"neuron {self.type}: {name}[{bad}] is {value[bad]}", "coefficients must be finite")
            if value.size and np.abs(value).max() > MOST:
                raise TclifError(
                    f"neuron {self.type}: {name} is {value[np.abs(value).argmax()]:g}", f"at most {MOST:g} is supported"
                )
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        check_s0(self.s0, self.spiking, f"neuron {self.type}")

    @property
    def start(self) -> tuple[Float, Float]:
        """u and v at the beginning of the first step: u0 and v0 after the reset of s0, each (neurons,)."""
        after = self.v_reset if self.reset == "hard" else self.v0 - (self.r_v + self.q * self.u0)
        fired = self.s0 != 0
        return np.where(fired, self.u0 - self.r_u, self.u0), np.where(fired, after, self.v0)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.a_u.size)

    def _brief(self) -> Brief:
        ranges = [(n, f"{getattr(self, n).min():.6g}", f"{getattr(self, n).max():.6g}") for n in NEURON_ARRAYS]
        fires = f"v {'>' if self.strict else '>='} threshold, {self.reset} reset" if self.spiking else "never"
        line = f"Neuron: {count(self.size, self.type + ' neuron')}, fires: {fires}, input to the {self.input_to}"
        return Brief(line, ("coefficient", "least", "greatest"), ranges)

    @property
    def current_bias(self) -> Float:
        """The bias that enters with the input current."""
        return self.bias_u if self.input_to == "dendrite" else self.bias_v

    def with_current_bias(self, bias: Float) -> Neuron:
        """The same neurons with another `current_bias`."""
        name = "bias_u" if self.input_to == "dendrite" else "bias_v"
        return replace(self, **{name: bias})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class Connection(LinearMap):
    """Weights from one source into one layer, read-only. Raises `TclifError` for a wrong shape or a number not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection
    >>> feedback = Connection("hidden", np.array([[0.0, 0.5], [-0.5, 0.0]]), delay=1)
    >>> feedback
    Connection from hidden (delay 1): 2x2 weights of -0.5 to 0.5
    >>> feedback.fan_in().tolist(), feedback.apply(np.array([[1.0, 0.0]])).tolist()
    ([1, 1], [[0.0, -0.5]])
    """

    source: str
    """name of a layer, or `INPUT`"""
    weight: Float
    """float64 (neurons, sources); where ``conv`` moves it, (channels out, channels in / groups, height, width)"""
    delay: Annotated[int, Limits(0)] = 0
    """steps; 0 only from the input or an earlier layer, 1 or more for recurrence"""
    conv: Conv | None = None
    """how a kernel moves over the source; None: a matrix"""

    def __post_init__(self) -> None:
        where = f"connection from {self.source}"
        weight = to_numbers(self.weight, f"{where}: weight")
        if self.conv is None and (weight.ndim != 2 or 0 in weight.shape):
            raise TclifError(f"{where}: weight has shape {weight.shape}, expected (neurons, sources)")
        if not np.isfinite(weight).all():
            place = [int(v) for v in np.argwhere(~np.isfinite(weight))[0]]
            raise TclifError(
                f"{where}: weight{place} is {weight[tuple(place)]}",
                "weights must be finite: was the training interrupted by a NaN loss?",
            )
        if weight.size and max(weight.max(), -weight.min()) > MOST:
            raise TclifError(f"{where}: weights reach {np.abs(weight).max():g}", f"at most {MOST:g} is supported")
        weight.setflags(write=False)
        object.__setattr__(self, "weight", weight)
        check_kernel(self, where)


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class Layer(Shown):
    """A named population and all connections into it.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, neurons
    >>> Layer("hidden", neurons.lif(4, decay=0.9, threshold=1.0), (Connection("input", np.ones((4, 3))),))
    Layer hidden: 4 lif neurons from input, 12 weights
    """

    name: str
    neuron: Neuron
    """the population, (neurons,)"""
    connections: tuple[Connection, ...]
    """all that leads into it; their currents add up"""
    grid: LayerGrid | None = None
    """where its numbers are integers already: their units"""

    def __post_init__(self) -> None:
        if self.grid is not None:
            self.grid.check(self.size, tuple(len(c.weight) for c in self.connections), f"layer {self.name}")

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.neuron.size

    def _brief(self) -> Brief:
        neurons = count(self.size, f"{self.neuron.type} neuron")
        return Brief(f"Layer {self.name}: {neurons} from {sources(self)}, {count(weights(self), 'weight')}")


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class Network(Shown):
    """Layers in evaluation order; the last one is what the network says.

    Raises `TclifError` where names, sizes, delays and order of the layers do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons
    >>> hidden = Layer("hidden", neurons.tclif(2, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0),
    ...                (Connection("input", np.ones((2, 3))), Connection("hidden", np.eye(2), delay=1)))
    >>> out = Layer("out", neurons.readout(2), (Connection("hidden", np.ones((2, 2))),))
    >>> Network(3, (hidden, out))
    Network: 3 input features, 2 layers, 4 neurons, 14 weights
      layer   neurons  type     from                     weights
      hidden  2        tclif    input, hidden (delay 1)  10
      out     2        readout  hidden                   4
    """

    input_size: int
    """features a step"""
    layers: tuple[Layer, ...]
    notices: tuple[str, ...] = ()
    """what a front end decided that the user should know"""
    readout: Readout = Readout()
    """how the last layer becomes an answer"""
    input_grid: InputGrid | None = None
    """where the input is integers already: their unit"""

    def __post_init__(self) -> None:
        if not self.layers:
            raise TclifError("network has no layers")
        if self.input_size < 1:
            raise TclifError(f"network has an input of {self.input_size} features", "at least 1 is needed")
        check_topology(self.input_size, self.layers)
        out = self.layers[-1]
        object.__setattr__(self, "readout", self.readout.of(out.name, out.size, out.neuron.spiking))

    @property
    def outputs(self) -> int:
        """How many values the network says: classes, or numbers."""
        return self.readout.outputs(self.layers[-1].size)

    @property
    def usual_readout(self) -> bool:
        """Whether the readout is what a network without any rule gets."""
        return self.readout.usual(self.layers[-1].neuron.spiking)

    @checked
    def with_readout(self, readout: Readout | str) -> Network:
        """The same layers, read by another rule (a text as `Readout.parse` takes). Raises `TclifError` where the last
        layer has not what it takes."""
        return replace(self, readout=Readout.parse(readout) if isinstance(readout, str) else readout)

    @property
    def spiking_layers(self) -> tuple[Layer, ...]:
        """The layers that fire, in evaluation order."""
        return tuple(layer for layer in self.layers if layer.neuron.spiking)

    @checked
    def layer(self, name: str) -> Layer:
        """The layer of that name. Raises `TclifError` where there is none."""
        return layer_named(self.layers, name)

    def _brief(self) -> Brief:
        return layers_brief(
            f"Network: {count(self.input_size, 'input feature')}{readout_brief(self)}", self.layers, self.notices
        )


def readout_brief(network: Any) -> str:
    """The rule of a network, float or fixed-point, for a person; nothing where it is the usual one."""
    return "" if network.usual_readout else f", readout: {network.readout}"


def layers_brief(line: str, layers: tuple[Layer, ...], notices: tuple[str, ...] = ()) -> Brief:
    """Layers for a person, after the beginning of a ``line``."""
    rows = [(la.name, f"{la.size:,}", la.neuron.type, sources(la), f"{weights(la):,}") for la in layers]
    return Brief(f"{line}, {totals(layers, notices)}", ("layer", "neurons", "type", "from", "weights"), rows)


def sources(layer: Any) -> str:
    """What leads into a layer, float or fixed-point, in words."""
    return ", ".join(c.label for c in layer.connections)


def weights(layer: Any) -> int:
    """Stored weights of a layer, float or fixed-point."""
    return sum(c.weight.size for c in layer.connections)


def totals(layers: tuple[Any, ...], notices: tuple[str, ...]) -> str:
    """How large a network, float or fixed-point, is, in words."""
    sizes = {"layer": len(layers), "neuron": sum(la.size for la in layers), "weight": sum(map(weights, layers))}
    notice_count = {"notice": len(notices)} if notices else {}
    return ", ".join(count(number, name) for name, number in (sizes | notice_count).items())


def check_network(network: object) -> None:
    """Raise `TclifError` unless ``network`` is a float `Network`."""
    if not isinstance(network, Network):
        raise TclifError(f"expected a float Network, got a {type(network).__name__}", "tclif_deploy.load reads one")


def layer_named(layers: tuple[AnyLayer, ...], name: str) -> AnyLayer:
    """The one of ``layers``, float or fixed-point, of that name; raises `TclifError` where there is none."""
    for layer in layers:
        if layer.name == name:
            return layer
    raise TclifError(f"no layer {name!r:.60}", f"known: {', '.join(layer.name for layer in layers)}")


def check_topology(input_size: int, layers: tuple[Any, ...]) -> None:
    """Raise `TclifError` unless names, widths, delays and order of ``layers`` fit together.

    Serves the float and the fixed-point network alike: both have ``name``, ``size`` and ``connections``.
    """
    sizes = {INPUT: input_size}
    order = {INPUT: -1}
    silent: set[str] = set()
    for index, layer in enumerate(layers):
        check_name(layer.name, "layer name")
        if layer.name in sizes:
            raise TclifError(f"layer name {layer.name!r} occurs twice", "layer names must be unique")
        sizes[layer.name], order[layer.name] = layer.size, index
        if not getattr(layer, "spiking", True) or not getattr(getattr(layer, "neuron", None), "spiking", True):
            silent.add(layer.name)
    for index, layer in enumerate(layers):
        if layer.size < 1:
            raise TclifError(f"layer {layer.name}: no neurons")
        if not layer.connections:
            raise TclifError(f"layer {layer.name}: no incoming connection")
        for connection in layer.connections:
            where = f"layer {layer.name:.60}: connection from {connection.source:.60}"
            if connection.source not in sizes:
                raise TclifError(f"{where}: no such layer", f"known: {', '.join(f'{name:.60}' for name in sizes)}")
            if connection.source in silent:
                raise TclifError(f"{where}: that layer does not spike", "only the last layer may be a readout")
            expected = (layer.size, sizes[connection.source])
            if (connection.neurons, connection.sources) != expected:
                given = connection.weight.shape if connection.conv is None else connection.conv.input_shape
                gives = "weight has shape" if connection.conv is None else f"it gives {connection.output_shape} of"
                raise TclifError(f"{where}: {gives} {given}, expected {expected}")
            if connection.delay < 0:
                raise TclifError(f"{where}: delay is {connection.delay}", "delays are 0 or more steps")
            if connection.delay == 0 and order[connection.source] >= index:
                raise TclifError(f"{where}: a loop without delay", "recurrence needs a delay of 1 step or more")


def check_name(name: str, what: str) -> None:
    """Raise `TclifError` unless ``name`` can be shown everywhere: on a terminal, on a page, in a file's keys."""
    if not name or len(name) > LONGEST_NAME:
        raise TclifError(f"{what} {name[:40]!r} has {len(name)} characters", f"expected 1 to {LONGEST_NAME}")
    if not name.isprintable():
        raise TclifError(f"{what} {name[:40]!r} has unprintable characters", "rename it")
