"""The TC-LIF neuron as a Lava process: fixed point (all the arithmetic a chip may have) and floating point.

One step, with dendrite u, soma v and the incoming sum a (integers in fixed point)::

    i = shift(a, f)                                    a*2^f, or rnd(a, -f) for f < 0
    u = ovf_u( rnd(a_u*u, k) + rnd(b_u*v, k) + i + bias_u )
    v = ovf_v( rnd(a_v*v, k) + rnd(b_v*u, k) + bias_v )      i enters here where input_to is "soma"
    s = v >= threshold                                 (a spiking layer only)
    soft: u = ovf_u(u - r_u*s) ;  v = ovf_v(v - (r_v + rnd(q*u, k))*s)     u before its own reset
    hard: u = ovf_u(u - r_u*s) ;  v = v_reset where s

The states start at u0 and v0. What s0 says to have fired just before the first step is sent in the step before that, in
which nothing else happens; its resets are in u0 and v0 already.

``rnd(p, k)`` is p/2^k by the machine's rounding and ``ovf`` brings a state into its width. In floating point
both are left out.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

Int = NDArray[np.int64]


def toward_zero(p: Int, k: int) -> Int:
    """sign(p) * (\\|p\\| >> k): a negative p is lifted by 2^k - 1, then floored."""
    return (p + ((p >> 63) & ((1 << k) - 1))) >> k


def floor(p: Int, k: int) -> Int:
    """p >> k."""
    return p >> k


def nearest(p: Int, k: int) -> Int:
    """(p + 2^(k-1)) >> k."""
    return (p + ((1 << k) >> 1)) >> k


def saturate(x: Int, bits: int) -> Int:
    """x clipped to +-(2^(bits-1) - 1)."""
    limit = (1 << (bits - 1)) - 1
    return np.minimum(np.maximum(x, -limit), limit)


def wrap(x: Int, bits: int) -> Int:
    """x as two's complement of that many bits."""
    half_range = 1 << (bits - 1)
    return ((x + half_range) & (2 * half_range - 1)) - half_range


ROUNDINGS: dict[str, Callable[..., Any]] = {
    "toward_zero": toward_zero, "floor": floor, "nearest": nearest,
}  # fmt: skip
OVERFLOWS: dict[str, Callable[..., Any]] = {"saturate": saturate, "wrap": wrap}


class TCLIF(AbstractProcess):  # type: ignore[misc]
    """A population of canonical two-compartment neurons.

    Parameters
    ----------
    shape : (neurons,), or (samples, neurons) where many samples run at once (simulation only)
    coefficients : a_u, b_u, a_v, b_v, q, threshold, r_u, r_v, v_reset, bias_u, bias_v, v0, u0, s0; each of shape
        (neurons,), the last two 0 where they are not given
    shift, reset, input_to, spiking, strict : as in the equations above; ``strict`` fires at v > threshold
    arithmetic : frac_bits, rounding, bits_u, bits_v, overflow_u and overflow_v as attributes; None in floating point
    frames, steps, idle : that many samples, one after another: each takes ``steps`` steps and is followed by ``idle``
        steps in which input is dropped and the states start anew; the last of them, and the step before the first
        frame, sends ``s0``
    phases, offset : step t (idle steps counted) runs at Lava step ``phases*t + offset``, counted from 0; nothing
        happens in between
    lengths : the readout of a frame is taken after that many of its steps; of shape (frames, *shape[:-1])
    readout : what becomes of the soma over a frame's steps: its ``sum`` (also ``mean``, which is not divided), its
        ``max``, else the last one
    outputs : arrays in shared memory that the model fills: ``spikes`` (frames, *shape[:-1], steps, neurons),
        ``u``, ``v`` (after the last step) and ``readout`` (frames, *shape), ``overflows`` (frames, *shape[:-1], 4)

    Ports: ``a_in`` the sum of all connections, ``s_out`` spikes, ``v_out`` the soma after each step.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        coefficients: Mapping[str, np.ndarray],
        shift: int = 0,
        reset: str = "soft",
        input_to: str = "dendrite",
        spiking: bool = True,
        strict: bool = False,
        arithmetic: Any = None,
        frames: int = 1,
        steps: int,
        idle: int = 1,
        phases: int = 1,
        offset: int = 1,
        lengths: np.ndarray,
        outputs: Mapping[str, np.ndarray],
        readout: str = "last",
        name: str | None = None,
    ) -> None:
        super().__init__(
            name=name, shift=shift, reset=reset, input_to=input_to, spiking=spiking, strict=strict,
            arithmetic=arithmetic, frames=frames, steps=steps, idle=idle, phases=phases, offset=offset,
            lengths=lengths, outputs=outputs, readout=readout,
        )  # fmt: skip
        neurons = shape[-1:]
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v_out = OutPort(shape=shape)
        u0, s0 = (coefficients.get(key, np.zeros_like(coefficients["v0"])) for key in ("u0", "s0"))
        self.u = Var(shape=shape, init=np.broadcast_to(u0, shape).copy())
        self.v = Var(shape=shape, init=np.broadcast_to(coefficients["v0"], shape).copy())
        self.a_u = Var(shape=neurons, init=coefficients["a_u"])
        self.b_u = Var(shape=neurons, init=coefficients["b_u"])
        self.a_v = Var(shape=neurons, init=coefficients["a_v"])
        self.b_v = Var(shape=neurons, init=coefficients["b_v"])
        self.q = Var(shape=neurons, init=coefficients["q"])
        self.threshold = Var(shape=neurons, init=coefficients["threshold"])
        self.r_u = Var(shape=neurons, init=coefficients["r_u"])
        self.r_v = Var(shape=neurons, init=coefficients["r_v"])
        self.v_reset = Var(shape=neurons, init=coefficients["v_reset"])
        self.bias_u = Var(shape=neurons, init=coefficients["bias_u"])
        self.bias_v = Var(shape=neurons, init=coefficients["bias_v"])
        self.v0 = Var(shape=neurons, init=coefficients["v0"])
        self.u0 = Var(shape=neurons, init=u0)
        self.s0 = Var(shape=neurons, init=s0)


class AbstractTCLIFModel(PyLoihiProcessModel):  # type: ignore[misc]
    """When a step is due, and what is kept of it; the neuron itself is `advance`."""

    a_in: Any
    s_out: Any
    v_out: Any
    u: Any
    v: Any
    v0: Any
    u0: Any
    s0: Any

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        names = (
            "shift", "reset", "input_to", "spiking", "strict", "frames", "steps", "idle", "phases", "offset",
            "lengths", "outputs", "readout",
        )  # fmt: skip
        for name in names:
            setattr(self, name, proc_params[name])

    def run_spk(self) -> None:
        """One Lava step: receive, advance if it is this layer's turn, send."""
        arrived = self.a_in.recv()
        turn, between = divmod(self.time_step - 1 - self.offset, self.phases)
        frame, t = divmod(turn, self.steps + self.idle)
        spikes = np.zeros(self.u.shape, np.bool_)
        if turn >= -1 and not between and frame < self.frames:
            if t < self.steps:
                spikes = self.advance(arrived, self.outputs["overflows"][frame])
                self.keep(frame, t, spikes)
            else:
                self.u = np.broadcast_to(self.u0, self.u.shape).copy()
                self.v = np.broadcast_to(self.v0, self.v.shape).copy()
                if t == self.steps + self.idle - 1:
                    spikes = np.broadcast_to(self.s0, spikes.shape) != 0
        self.s_out.send(spikes)
        self.v_out.send(self.v)

    @abstractmethod
    def advance(self, arrived: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """One step of the neuron: new states, spikes returned, changed values added to ``counts`` (..., 4)."""

    def keep(self, frame: int, t: int, spikes: np.ndarray) -> None:
        """Write step ``t`` of ``frame`` into the outputs."""
        outputs = self.outputs
        if self.spiking:
            outputs["spikes"][frame, ..., t, :] = spikes
        reads, readout = self.lengths[frame] > t, outputs["readout"][frame]
        if self.readout in ("sum", "mean"):
            readout[reads] += self.v[reads]
        elif self.readout == "max" and t > 0:
            readout[reads] = np.maximum(readout[reads], self.v[reads])
        else:
            readout[reads] = self.v[reads]
        if t == self.steps - 1:
            outputs["u"][frame], outputs["v"][frame] = self.u, self.v


@implements(proc=TCLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyTCLIFModelFixed(AbstractTCLIFModel):
    """Integers: every product is rounded by itself, every completed sum passes ``ovf``, every change is counted."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.bool_, precision=1)
    v_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    u: np.ndarray = LavaPyType(np.ndarray, np.int64)
    v: np.ndarray = LavaPyType(np.ndarray, np.int64)
    a_u: np.ndarray = LavaPyType(np.ndarray, np.int64)
    b_u: np.ndarray = LavaPyType(np.ndarray, np.int64)
    a_v: np.ndarray = LavaPyType(np.ndarray, np.int64)
    b_v: np.ndarray = LavaPyType(np.ndarray, np.int64)
    q: np.ndarray = LavaPyType(np.ndarray, np.int64)
    threshold: np.ndarray = LavaPyType(np.ndarray, np.int64)
    r_u: np.ndarray = LavaPyType(np.ndarray, np.int64)
    r_v: np.ndarray = LavaPyType(np.ndarray, np.int64)
    v_reset: np.ndarray = LavaPyType(np.ndarray, np.int64)
    bias_u: np.ndarray = LavaPyType(np.ndarray, np.int64)
    bias_v: np.ndarray = LavaPyType(np.ndarray, np.int64)
    v0: np.ndarray = LavaPyType(np.ndarray, np.int64)
    u0: np.ndarray = LavaPyType(np.ndarray, np.int64)
    s0: np.ndarray = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        m = proc_params["arithmetic"]
        self.one = 1 << m.frac_bits
        self.trivial: dict[str, int | None] = {}
        self.shifted_right = ROUNDINGS[m.rounding]
        self.rnd = partial(self.shifted_right, k=m.frac_bits)
        self.ovf_u = partial(OVERFLOWS[m.overflow_u], bits=m.bits_u)
        self.ovf_v = partial(OVERFLOWS[m.overflow_v], bits=m.bits_v)

    def times(self, name: str, state: np.ndarray) -> Any:
        """rnd(coefficient*state, k); one or zero for all neurons costs nothing (every rounding keeps state*2^k/2^k)."""
        coefficient = getattr(self, name)
        if name not in self.trivial:
            values = set(coefficient.tolist())
            self.trivial[name] = values.pop() if values in ({0}, {self.one}) else None
        shared = self.trivial[name]
        if shared is None:
            return self.rnd(coefficient * state)
        return state if shared else np.zeros_like(state)

    def advance(self, arrived: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """One step of the neuron in integers."""
        times = self.times
        i = arrived << self.shift if self.shift >= 0 else self.shifted_right(arrived, -self.shift)
        i_u, i_v = (i, 0) if self.input_to == "dendrite" else (0, i)

        u_wide = times("a_u", self.u) + times("b_u", self.v) + i_u + self.bias_u
        u = self.ovf_u(u_wide)
        v_wide = times("a_v", self.v) + times("b_v", u) + i_v + self.bias_v
        v = self.ovf_v(v_wide)
        counts[..., 0] += np.count_nonzero(u != u_wide, axis=-1)
        counts[..., 1] += np.count_nonzero(v != v_wide, axis=-1)

        fires = v >= self.threshold if self.spiking else np.zeros(v.shape, np.bool_)
        if self.spiking and self.reset == "hard":
            u_wide, v = u - self.r_u * fires, np.where(fires, self.v_reset, v)
            u = self.ovf_u(u_wide)
            counts[..., 2] += np.count_nonzero(u != u_wide, axis=-1)
        elif self.spiking:
            u_wide, v_wide = u - self.r_u * fires, v - (self.r_v + times("q", u)) * fires
            u, v = self.ovf_u(u_wide), self.ovf_v(v_wide)
            counts[..., 2] += np.count_nonzero(u != u_wide, axis=-1)
            counts[..., 3] += np.count_nonzero(v != v_wide, axis=-1)
        self.u, self.v = u, v
        return fires


@implements(proc=TCLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyTCLIFModelFloat(AbstractTCLIFModel):
    """float64: the trained network itself."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.bool_, precision=1)
    v_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    u: np.ndarray = LavaPyType(np.ndarray, float)
    v: np.ndarray = LavaPyType(np.ndarray, float)
    a_u: np.ndarray = LavaPyType(np.ndarray, float)
    b_u: np.ndarray = LavaPyType(np.ndarray, float)
    a_v: np.ndarray = LavaPyType(np.ndarray, float)
    b_v: np.ndarray = LavaPyType(np.ndarray, float)
    q: np.ndarray = LavaPyType(np.ndarray, float)
    threshold: np.ndarray = LavaPyType(np.ndarray, float)
    r_u: np.ndarray = LavaPyType(np.ndarray, float)
    r_v: np.ndarray = LavaPyType(np.ndarray, float)
    v_reset: np.ndarray = LavaPyType(np.ndarray, float)
    bias_u: np.ndarray = LavaPyType(np.ndarray, float)
    bias_v: np.ndarray = LavaPyType(np.ndarray, float)
    v0: np.ndarray = LavaPyType(np.ndarray, float)
    u0: np.ndarray = LavaPyType(np.ndarray, float)
    s0: np.ndarray = LavaPyType(np.ndarray, float)

    def advance(self, arrived: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """One step of the neuron in float64; nothing overflows."""
        i_u, i_v = (arrived, 0.0) if self.input_to == "dendrite" else (0.0, arrived)
        u = self.a_u * self.u + self.b_u * self.v + i_u + self.bias_u
        v = self.a_v * self.v + self.b_v * u + i_v + self.bias_v
        fires = np.zeros(v.shape, np.bool_)
        if self.spiking:
            fires = v > self.threshold if self.strict else v >= self.threshold
            if self.reset == "hard":
                u, v = u - self.r_u * fires, np.where(fires, self.v_reset, v)
            else:
                u, v = u - self.r_u * fires, v - (self.r_v + self.q * u) * fires
        self.u, self.v = u, v
        return fires
