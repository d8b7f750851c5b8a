"""A session: a network that takes its input step by step, and keeps its state in between."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked, described, is_finite, is_number, to_array, to_numbers
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import LAYER_ARRAYS, MOST_BITS, FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT, LATER_ARRAYS, MOST, NEURON_ARRAYS, Network
from tclif_deploy.settings import Limits
from tclif_deploy.simulation.float_result import FloatResult
from tclif_deploy.simulation.float_session import FloatSession
from tclif_deploy.simulation.result import Result, check_integers
from tclif_deploy.simulation.session_state import SimulatorState
from tclif_deploy.text import count

PLAIN = frozenset(np.dtype(name) for name in ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"))
"""input that int64 holds"""


class Step(NamedTuple):
    """What `Simulator.step` gives; as a tuple, ``spikes, readout``.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> session = tc.Simulator(tc.load(model))
    >>> spikes, readout = session.step(tc.load_data(data).values()[0, 0])
    >>> {name: fired.shape for name, fired in spikes.items()}, readout.shape
    ({'features.1': (1, 128), 'features.3': (1, 128)}, (1, 10))
    """

    spikes: dict[str, NDArray[np.bool_]]
    """spiking layer -> (batch, neurons)"""
    readout: NDArray[Any]
    """what the network's `Readout` says after the step: the last layer's soma, its spikes so far, ...; (batch,
    outputs), int64 or, of a float network, float64"""


class Simulator(Shown):
    """A network in a session: ``batch`` samples that take their input step by step, and keep their state in between.

    Equal, bit for bit, to one run of `tclif_deploy.simulate` over all steps since the last reset, however they are cut
    into calls of `step` and `run`. A call that raises `TclifError` leaves the state as it was. One thread at a time may
    use it.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> session = tc.Simulator(fixed)
    >>> for x in test.values()[0, :50]:
    ...     spikes, readout = session.step(x, scale=1.0)
    >>> rest = session.run(test.values()[0, 50:], scale=1.0)
    >>> session
    Simulator: 1 sample after 92 steps of a FixedNetwork of 3 layers
    >>> session.classes.tolist(), bool((rest.readout == tc.simulate(fixed, test.values()[:1]).readout).all())
    ([5], True)
    >>> session.state.u["features.1"].shape, session.state.steps
    ((1, 128), 92)
    >>> session.reset()
    >>> session.step([1, 2])
    Traceback (most recent call last):
        ...
    tclif_deploy.errors.TclifError: Simulator.step: x has shape (2,), this network takes 13 features a step of each of \
1 sample; expected (13,) or (1, 13)
    """

    @checked
    def __init__(self, network: FixedNetwork | Network, batch: Annotated[int, Limits(1, 1 << 20)] = 1) -> None:
        """``batch`` samples of ``network``, before their first step."""
        self.network = network
        self.batch = int(batch)
        self._features = network.input.size if isinstance(network, FixedNetwork) else network.input_size
        self._shape = (self.batch, self._features)
        self._as_they_are = {self._shape, self._shape[1:]} if self.batch == 1 else {self._shape}
        self._takes = PLAIN if isinstance(network, FixedNetwork) else frozenset()
        """shapes and dtypes of a step's input that need no look"""
        self._fingerprint = ""
        if isinstance(network, FixedNetwork):
            # Imported here, because numba takes a while and not every use of this package simulates.
            from tclif_deploy.simulation.engine.session import EngineSession

            self._session: EngineSession | FloatSession = EngineSession(network, self.batch)
        else:
            self._session = FloatSession(network, self.batch)

    def step(self, x: Any, *, scale: float | None = None) -> Step:
        """One step with ``x``, (batch, features), or (features,) of one sample: every layer's spikes, and the readout.

        A fixed-point network takes its own integers, as `InputEncoding.encode` makes them; with ``scale`` real values,
        ``x * scale`` being what the float network sees. A float network takes that, too (``scale`` is 1 by default).
        Raises `TclifError` where ``x`` is no such input, or a float network's states grow without end.
        """
        if (
            scale is not None
            or type(x) is not np.ndarray
            or x.dtype not in self._takes
            or x.shape not in self._as_they_are
        ):
            x = self._input(x, scale, ())
        return Step(*self._session.step(x))

    @checked
    def run(
        self,
        x: Any,
        *,
        scale: Annotated[float, Limits(above=0)] | None = None,
        lengths: Int | None = None,
        spikes: bool = False,
        counts: bool = False,
        jobs: Annotated[int, Limits(1, 1024)] | None = None,
    ) -> Result | FloatResult:
        """Many steps at once: ``x`` is (batch, time, features), or (time, features) of one sample.

        The result is that of these steps, as `tclif_deploy.simulate` gives it, but for the readout: that is the one
        after ``lengths`` of them (batch,) (default: all), of all steps since the reset. Steps after a sample's length
        run too. ``scale`` is that of `step`, ``spikes``, ``counts`` and ``jobs`` are those of `tclif_deploy.simulate`.
        Raises `TclifError` as `step` does.
        """
        x = self._input(x, scale, (-1,))
        return self._session.run(x, lengths=lengths, spikes=spikes, counts=counts, jobs=jobs)

    def reset(self) -> None:
        """Back to before the first step."""
        self._session.reset()

    @property
    def classes(self) -> Int:
        """The class that the network names now, int64 (batch,): argmax of readout*multiplier, ties to the lowest."""
        return self._session.classes

    @property
    def decided(self) -> Int:
        """The step at which a rule that waits for a threshold decided, -1: not yet; int64 (batch,)."""
        return self._session.decided

    @property
    def overflows(self) -> dict[str, Int]:
        """layer -> int64 (4,): values that did not fit since the last reset (u charged, v charged, u reset, v reset)
        of the whole batch; empty for a float network. No part of the state."""
        return self._session.overflows

    @property
    def state(self) -> SimulatorState:
        """What the last step left, as a copy. Set, it is what the next step starts from: `TclifError` is raised where
        it is that of another network or batch, and the simulator stays as it was."""
        u, v = self._session.states()
        in_flight = {source: self._session.in_flight(source, steps) for source, steps in self._delays().items()}
        return SimulatorState(
            u,
            v,
            in_flight,
            self._session.value.copy(),
            self._session.steps,
            self._network_fingerprint(),
            self._session.decided.copy(),
        )

    @state.setter
    def state(self, state: SimulatorState) -> None:
        if not isinstance(state, SimulatorState):
            raise TclifError(
                f"Simulator.state is {described(state)}", "expected a SimulatorState: Simulator.state is one"
            )
        own = self.state
        if state.fingerprint != own.fingerprint:
            raise TclifError(
                f"the state is that of another network (fingerprint {state.fingerprint:.16}, this one's is "
                f"{own.fingerprint})",
                "give it to a Simulator of the network that it was taken from",
            )
        if len(state.readout) != self.batch:
            raise TclifError(
                f"the state is that of {count(len(state.readout), 'sample')}, this simulator has {self.batch}",
                f"make one with batch={len(state.readout)}",
            )
        late = np.asarray(state.decided) >= state.steps
        if state.steps >= 1 << 53 or late.any() or (np.asarray(state.decided) < -1).any():
            raise TclifError(
                f"the state is after {state.steps} steps and decided at {np.asarray(state.decided).max()}",
                "decisions are at steps before, or -1",
            )
        u, v, in_flight = (
            {name: _like(each, taken.get(name), f"{key}[{name!r:.60}]") for name, each in expected.items()}
            for key, expected, taken in (
                ("u", own.u, state.u),
                ("v", own.v, state.v),
                ("in_flight", own.in_flight, state.in_flight),
            )
        )
        if isinstance(self.network, FixedNetwork):
            _check_in_flight(self.network, in_flight)
        value, decided = (_like(getattr(own, name), getattr(state, name), name) for name in ("readout", "decided"))
        self._session.restore(u, v, in_flight, value, decided, state.steps)

    def _network_fingerprint(self) -> str:
        self._fingerprint = self._fingerprint or fingerprint(self.network)
        return self._fingerprint

    def _delays(self) -> dict[str, int]:
        """source -> the longest delay of what it sends, where there is one."""
        delays: dict[str, int] = {}
        for layer in self.network.layers:
            for c in layer.connections:
                if c.delay:
                    delays[c.source] = max(delays.get(c.source, 0), c.delay)
        return delays

    def _input(self, x: Any, scale: float | None, steps: tuple[int, ...]) -> NDArray[Any]:
        """``x`` as the network takes it, (batch, *steps, features)."""
        where = "Simulator.run: x" if steps else "Simulator.step: x"
        array = to_array(x, where)
        if array.dtype.kind not in "biuf":
            raise TclifError(f"{where} is {described(x)}", "expected an array of numbers")
        shape = (self.batch, *steps, self._features)
        if self.batch == 1 and array.ndim == len(shape) - 1:
            array = array[None]
        if array.ndim != len(shape) or array.shape[0] != self.batch or array.shape[-1] != self._features:
            names = [str(n) if n >= 0 else "time" for n in shape]
            short = f"({', '.join(names[1:])}{',' if len(names) == 2 else ''}) or " if self.batch == 1 else ""
            raise TclifError(
                f"{where} has shape {np.shape(x)}, this network takes {count(self._features, 'feature')} a step of "
                f"each of {count(self.batch, 'sample')}",
                f"expected {short}({', '.join(names)})",
            )
        if scale is None and isinstance(self.network, FixedNetwork):
            if array.dtype.kind == "f":
                raise TclifError(
                    f"{where} holds {array.dtype}, the network's own integers are expected without a scale",
                    "give scale=1.0 where x is what the float network sees",
                )
            if steps:
                return array  # the engine looks at it
            return check_integers(self.network.input, array[:, None])[:, 0]
        factor = _scale(1.0 if scale is None else scale, where)
        values = to_numbers(array, where)
        if not np.isfinite(values).all():
            raise TclifError(f"{where} holds {values[~np.isfinite(values)][0]}", "inputs must be finite")
        with np.errstate(over="ignore"):
            values = values * factor
        if values.size and np.abs(values).max() > MOST:
            raise TclifError(f"{where} reaches {np.abs(values).max():g} times its scale", f"up to {MOST:g} is read")
        if not values.size:
            raise TclifError(f"{where} has 0 steps", "at least one is needed")
        if isinstance(self.network, Network):
            return values
        encoded, _ = self.network.input.encode(array.astype(np.uint8) if array.dtype == np.bool_ else array, factor)
        return encoded.astype(np.int64, copy=False)

    def _brief(self) -> Brief:
        layers = count(len(self.network.layers), "layer")
        kind = type(self.network).__name__
        line = f"Simulator: {count(self.batch, 'sample')} after {count(self._session.steps, 'step')}"
        return Brief(f"{line} of a {kind} of {layers}")


def _check_in_flight(network: FixedNetwork, in_flight: dict[str, NDArray[Any]]) -> None:
    """Raise `TclifError` where a state is to bring what no step of ``network`` sends."""
    if INPUT in in_flight:
        check_integers(network.input, in_flight[INPUT])
    for name, sent in in_flight.items():
        most = 1 if name == network.output.name else network.arithmetic.most_spikes
        if name != INPUT and sent.size and sent.max() > most:
            raise TclifError(
                f"the state's in_flight[{name!r:.60}] holds {sent.max()} spikes", f"a step has up to {most}"
            )


def _scale(scale: Any, where: str) -> float:
    """``scale`` as a positive number."""
    if not (is_number(scale) and is_finite(scale) and scale > 0):
        raise TclifError(f"{where.removesuffix('x')}scale is {described(scale)}", "expected a positive number")
    return float(scale)


def _like(own: NDArray[Any], given: Any, where: str) -> NDArray[Any]:
    """``given`` as an array of the shape and kind of ``own``; raises `TclifError` where it is none."""
    if given is None:
        raise TclifError(f"the state has no {where}", "take a Simulator's state and change its values alone")
    array = to_array(given, f"the state's {where}")
    kinds = {"b": "b", "u": "bu", "i": "iu", "f": "iuf"}[own.dtype.kind]
    if array.shape != own.shape or array.dtype.kind not in kinds:
        raise TclifError(
            f"the state's {where} is {described(array)}", f"expected an array of {own.dtype}, shape {own.shape}"
        )
    limit = float(1 << (MOST_BITS - 1)) if own.dtype.kind == "i" and not where.startswith("readout") else np.inf
    if array.size and array.dtype.kind != "b":
        wrong = ~(np.isfinite(array) & (array < limit) & (array >= -limit))
        if wrong.any():
            least = f"{MOST_BITS} bits are supported" if limit < np.inf else "states must be finite"
            raise TclifError(f"the state's {where} holds {array[wrong][0]}", least)
    return array.astype(own.dtype)


def fingerprint(network: FixedNetwork | Network) -> str:
    """Of all numbers that decide what ``network`` computes: another network, another fingerprint."""
    digest = hashlib.sha256()

    def add(*values: Any) -> None:
        for value in values:
            if isinstance(value, np.ndarray):
                digest.update(repr((value.dtype.str, value.shape)).encode() + value.tobytes())
            else:
                digest.update(repr(value).encode())

    def said(numbers: Any, names: tuple[str, ...]) -> list[NDArray[Any]]:
        """Arrays that states of older versions had no word for count where they say something."""
        arrays = {name: getattr(numbers, name) for name in names}
        return [values for name, values in arrays.items() if name not in LATER_ARRAYS or values.any()]

    if isinstance(network, FixedNetwork):
        add("fixed", network.input, network.arithmetic, network.readout)
    else:
        add("float", network.input_size, network.readout)
    for layer in network.layers:
        add(layer.name)
        if isinstance(layer, FixedLayer):
            add(*said(layer, LAYER_ARRAYS), layer.multiplier)
            add(*(getattr(layer, name) for name in ("shift", "reset", "input_to", "spiking")))
        else:
            add(*said(layer.neuron, NEURON_ARRAYS))
            add(*(getattr(layer.neuron, name) for name in ("strict", "reset", "input_to", "spiking")))
        for connection in layer.connections:
            add(*(getattr(connection, field.name) for field in fields(connection)))
    return digest.hexdigest()[:16]
