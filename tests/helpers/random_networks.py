"""Seeded random fixed-point networks that really fire, and integer inputs that make them.

Every network is run through the reference before it is handed out: each spiking layer fires in 1 to 60 %
of its neuron steps, and with ``saturating=True`` states overflowed both when charged and (soft reset) when reset.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume, reject
from hypothesis import strategies as st
from numpy.typing import NDArray

from tclif_deploy.convolution import Conv, Kernel
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, InputEncoding, Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation.reference import simulate
from tclif_deploy.simulation.result import Result

LOWEST_RATE, HIGHEST_RATE = 0.01, 0.60
"""Share of neuron steps with a spike that a layer must keep to, or a test on it proves nothing."""

ATTEMPTS, ROUNDS = 40, 14


STARTS: dict[str, dict[str, Any]] = {
    "u0 and v0": {"u0": True, "v0": True, "bias": True, "leaky": True},
    "s0, long delays": {"s0": True, "delay": 3, "forward_delay": 2, "skip": True, "spiking_output": True},
    "s0 and feedback of one step": {"s0": True, "u0": True, "v0": True, "q": True, "leaky": True, "skip": True},
    "a hard reset that takes r_u": {
        "reset": "hard", "reset_u": True, "leaky": True, "input_to": "soma", "bits_u": 20, "bits_v": 20,
    },
    "s0 before such a reset": {"reset": "hard", "reset_u": True, "s0": True, "u0": True, "spiking_output": True},
    "all of it, where states overflow": {
        "u0": True, "v0": True, "s0": True, "q": True, "overflow_v": "wrap", "bits_u": 16, "bits_v": 14,
        "saturating": True, "rounding": "toward_zero",
    },
    "a soma that grows": {"growing": True, "u0": True, "rounding": "nearest", "bits_u": 20, "bits_v": 20},
    "a hard reset beyond the dendrite's range": {
        "reset": "hard", "reset_u": True, "s0": True, "saturating": True, "bits_u": 14, "bits_v": 16, "signed": True,
        "rounding": "nearest",
    },
}  # fmt: skip
"""options of `random_network` for starts that are not 0, hard resets that change the dendrite, and factors above 1"""

_PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


def random_network(
    seed: int,
    *,
    rounding: str = "floor",
    overflow_u: str = "saturate",
    overflow_v: str = "saturate",
    bits_u: int = 24,
    bits_v: int = 24,
    frac_bits: int = 12,
    reset: str = "soft",
    recurrent: bool = False,
    skip: bool = False,
    feedback: bool = False,
    delay: int = 1,
    forward_delay: int = 0,
    graded: bool = True,
    signed: bool = False,
    density: float = 0.3,
    input_bits: int = 9,
    sizes: tuple[int, ...] = (5, 19, 17, 4),
    weight_bits: int = 8,
    exponent: int = 0,
    input_to: str = "dendrite",
    q: bool = False,
    bias: bool = False,
    v0: bool = False,
    u0: bool = False,
    s0: bool = False,
    reset_u: bool = False,
    growing: bool = False,
    leaky: bool = False,
    per_neuron: bool = True,
    spiking_output: bool = False,
    saturating: bool = False,
    conv: bool = False,
    samples: int = 3,
    time: int = 40,
) -> tuple[FixedNetwork, Int]:
    """A network and an input, int64 (samples, time, sizes[0]); the same for the same arguments.

    Parameters
    ----------
    sizes : input, hidden layers, output
    recurrent, delay : each hidden layer feeds itself, ``delay`` steps late
    skip : the input also feeds the last layer, one step late, and so does the first hidden layer, in the same step
    feedback : the last hidden layer also feeds the first, one step late
    forward_delay : delay of the connections from each layer to the next
    graded, signed, density, input_bits : input values reach the payload's limit, or are 0 and 1 (and -1)
    exponent : left shift of the first hidden layer's recurrent sum, or else of its input's
    u0, s0 : the dendrite's start, and neurons that fired just before the first step
    reset_u : a hard reset takes r_u from the dendrite
    growing : the soma's own factor is above 1, and the dendrite's as far below
    leaky : A below 2^k, where it is the "no multiplication" flag otherwise
    per_neuron : every neuron has its own coefficients, or the layer's neurons share them
    conv : the hidden layers are maps of convolutions, random in all they can be, instead of ``sizes``; the network's
        input is a map too, and recurrence is a convolution that keeps the map's size
    saturating : the state range is too small, so that u or v overflow when charged and (soft reset) when reset
    """
    rng = np.random.default_rng([seed, len(sizes), time])
    arithmetic = Arithmetic(frac_bits, rounding, bits_u, bits_v, overflow_u, overflow_v)  # type: ignore[arg-type]
    bits = input_bits if graded else 2
    kernels: list[Kernel] = []
    if conv:
        kernels = _kernels(rng, len(sizes) - 2)
        sizes = (kernels[0].sources, *(kernel.neurons for kernel in kernels), sizes[-1])
    encoding = InputEncoding(sizes[0], 1.0, bits)
    for _ in range(ATTEMPTS):
        x = _input(rng, (samples, time, sizes[0]), encoding.limit, signed, density)
        layers: list[FixedLayer] = []
        names = [f"layer{n}" for n in range(len(sizes) - 1)]
        for n, name in enumerate(names):
            last = n == len(names) - 1
            links = [(INPUT if n == 0 else names[n - 1], forward_delay, exponent if n == 0 and not recurrent else 0)]
            if recurrent and not last:
                links.append((name, delay, exponent if n == 0 else 0))
            if feedback and n == 0 and len(names) > 2:
                links.append((names[-2], delay, 0))
            if skip and last:
                links.append((INPUT, 1, 0))
                if len(names) > 2:
                    links.append((names[0], 0, 0))
            widths = {INPUT: sizes[0], **dict(zip(names, sizes[1:], strict=True))}
            connections = tuple(
                _connection(rng, source, d, e, weight_bits, widths[source], sizes[n + 1], name, kernels[n : n + 1])
                for source, d, e in links
            )
            spiking = not last or spiking_output
            layers.append(
                _layer(rng, name, connections, arithmetic, spiking, reset, input_to, leaky, per_neuron, q, bias, v0)
            )
            layers[-1] = _started(rng, layers[-1], u0, s0, reset_u)
            if growing and spiking:
                layers[-1] = _growing(rng, layers[-1], arithmetic.one)
        tuned = _tune(FixedNetwork(encoding, arithmetic, tuple(layers)), x, saturating)
        if tuned is not None:
            return tuned, x
    raise AssertionError(f"seed {seed}: no network that fires as it should in {ATTEMPTS} attempts")


def spike_rates(result: Result) -> dict[str, float]:
    """Share of neuron steps with a spike, by spiking layer."""
    return {name: float(s.mean()) for name, s in result.spikes.items()}


def assert_alive(result: Result) -> None:
    """Each spiking layer fires between 1 and 60 %: an equality test on silence would prove nothing."""
    for name, rate in spike_rates(result).items():
        assert LOWEST_RATE <= rate <= HIGHEST_RATE, f"{name} fires in {rate:.1%} of its neuron steps"


def assert_same(result: Result, expected: Result) -> None:
    """Every spike, state, readout, class, count and trace is equal, and of the same dtype and shape."""
    for field in ("spikes", "u", "v", "overflows", "traces", "counts"):
        left, right = getattr(result, field), getattr(expected, field)
        assert left.keys() == right.keys(), field
        for name in right:
            assert left[name].dtype == right[name].dtype, (field, name)
            np.testing.assert_array_equal(left[name], right[name], err_msg=f"{field} of {name}")
    for field in ("readout", "classes", "readouts", "decided", "step_classes"):
        assert (getattr(result, field) is None) == (getattr(expected, field) is None), field
        if getattr(expected, field) is None:
            continue
        assert getattr(result, field).dtype == getattr(expected, field).dtype
        np.testing.assert_array_equal(getattr(result, field), getattr(expected, field), err_msg=field)


@st.composite
def random_kernels(draw: st.DrawFn, shape: tuple[int, int, int] | None = None, symmetric: bool = False) -> Kernel:
    """A convolution of whole-number weights."""
    shape = shape or (draw(st.sampled_from([1, 2, 3, 4, 6])), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    groups = draw(st.sampled_from([g for g in (1, 2, 3, 4, 6) if shape[0] % g == 0]))
    before = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    after = before if symmetric else draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    conv = Conv(shape, draw(_PAIRS), (*before, *after), draw(_PAIRS), groups)
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    size = (groups * draw(st.integers(1, 3)), shape[0] // groups, *draw(_PAIRS))
    try:
        return Kernel(rng.integers(-5, 6, size).astype(np.float64), conv)
    except TclifError:
        assume(False)
        raise


def drawn_network(**chosen: Any) -> tuple[FixedNetwork, Int]:
    """`random_network` inside a hypothesis test: rare arguments with which nothing fires are skipped."""
    try:
        return random_network(**chosen)
    except AssertionError:
        reject()


@st.composite
def network_options(draw: st.DrawFn, **fixed: Any) -> dict[str, Any]:
    """Keyword arguments of `random_network`, over all that it can vary; ``fixed`` ones stay as given."""
    flag = st.booleans()
    width = st.sampled_from([1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 100, 130])
    drawn = {
        "seed": draw(st.integers(0, 2**20)),
        "rounding": draw(st.sampled_from(["toward_zero", "floor", "nearest"])),
        "overflow_u": draw(st.sampled_from(["saturate", "wrap"])),
        "overflow_v": draw(st.sampled_from(["saturate", "wrap"])),
        "bits_u": draw(st.sampled_from([12, 16, 20, 24, 31, 32])),
        "bits_v": draw(st.sampled_from([12, 16, 20, 24, 31, 32])),
        "frac_bits": draw(st.sampled_from([0, 4, 7, 12, 16, 24])),
        "reset": draw(st.sampled_from(["soft", "hard"])),
        "recurrent": draw(flag), "skip": draw(flag), "feedback": draw(flag),
        "delay": draw(st.integers(1, 3)), "forward_delay": draw(st.sampled_from([0, 0, 1, 2])),
        "graded": draw(flag), "signed": draw(flag), "density": draw(st.sampled_from([0.05, 0.3, 1.0])),
        "input_bits": draw(st.sampled_from([4, 9, 16])),
        "sizes": (draw(st.integers(1, 70)), *draw(st.lists(width, min_size=1, max_size=3)), draw(st.integers(2, 20))),
        "weight_bits": draw(st.sampled_from([2, 8, 12])), "exponent": draw(st.sampled_from([0, 3])),
        "input_to": draw(st.sampled_from(["dendrite", "soma"])),
        "q": draw(flag), "bias": draw(flag), "v0": draw(flag),
        "u0": draw(flag), "s0": draw(flag), "reset_u": draw(flag), "growing": draw(flag),
        "leaky": draw(flag), "per_neuron": draw(flag),
        "spiking_output": draw(flag), "conv": draw(st.sampled_from([False, False, True])),
        "samples": draw(st.integers(1, 5)), "time": draw(st.integers(20, 60)),
    }  # fmt: skip
    return {**drawn, **fixed}


def _input(
    rng: np.random.Generator, shape: tuple[int, ...], limit: int, signed: bool, density: float
) -> NDArray[np.int64]:
    values = rng.integers(1, limit + 1, shape)
    if signed:
        values *= rng.choice([-1, 1], shape)
    x = np.where(rng.random(shape) < density, values, 0)
    x[0, 0, 0] = limit
    return x


def _kernels(rng: np.random.Generator, count: int) -> list[Kernel]:
    """Convolutions one after another on small maps, random in stride, padding, dilation and groups; weights all 0."""
    shape = (int(rng.integers(1, 4)), int(rng.integers(4, 9)), int(rng.integers(4, 9)))
    kernels: list[Kernel] = []
    while len(kernels) < count:
        groups = int(rng.choice([g for g in (1, 2, 3) if shape[0] % g == 0]))
        size = tuple(int(v) for v in rng.integers(1, 4, 2))
        conv = Conv(
            shape, stride=tuple(int(v) for v in rng.integers(1, 3, 2)),  # type: ignore[arg-type]
            padding=tuple(int(v) for v in rng.integers(0, 3, 4)),  # type: ignore[arg-type]
            dilation=tuple(int(v) for v in rng.integers(1, 3, 2)), groups=groups,  # type: ignore[arg-type]
        )  # fmt: skip
        try:
            kernel = Kernel(np.zeros((groups * int(rng.integers(1, 4)), shape[0] // groups, *size), np.int64), conv)
        except TclifError:
            continue  # larger than the map
        kernels.append(kernel)
        shape = kernel.output_shape  # type: ignore[assignment]
    return kernels


def _connection(
    rng: np.random.Generator, source: str, delay: int, exponent: int, bits: int, sources: int, neurons: int, name: str,
    kernels: list[Kernel],
) -> FixedConnection:  # fmt: skip
    """A connection with random weights: dense, but into a map from the layer before and from itself."""
    shape: tuple[int, ...] = (neurons, sources)
    moves = None
    if kernels and source == name:
        size, height, width = kernels[0].output_shape
        shape, moves = (size, 1, 3, 3), Conv((size, height, width), padding=(1, 1, 1, 1), groups=size)
    elif kernels and kernels[0].sources == sources:
        shape, moves = kernels[0].weight.shape, kernels[0].conv
    return FixedConnection(source, _weight(rng, shape, bits, exponent), delay, exponent, moves)


def _weight(rng: np.random.Generator, shape: tuple[int, ...], bits: int, exponent: int) -> Int:
    """Signed weights, a little more positive than negative; smaller where the sum is shifted left afterwards."""
    limit = max(2 ** (bits - 1) - 1 >> exponent, 1)
    weight = rng.normal(0.15, 0.4, shape) * limit
    return np.clip(np.rint(weight), -limit, limit).astype(np.int64)


def _layer(
    rng: np.random.Generator,
    name: str,
    connections: tuple[FixedConnection, ...],
    m: Arithmetic,
    spiking: bool,
    reset: str,
    input_to: str,
    leaky: bool,
    per_neuron: bool,
    q: bool,
    bias: bool,
    v0: bool,
) -> FixedLayer:
    """A layer at drive 1: thresholds, resets, biases and shift are set by `_scaled`."""
    size = connections[0].neurons
    one = 1 << m.frac_bits

    def spread(low: float, high: float) -> NDArray[np.float64]:
        return rng.uniform(low, high, size if per_neuron else 1) * np.ones(size)

    def coefficient(low: float, high: float) -> Int:
        return np.rint(spread(low, high) * one).astype(np.int64)

    zero = np.zeros(size, np.int64)
    full = np.full(size, one)
    decay = coefficient(0.6, 1.0) if leaky else full
    if spiking:
        a_u, b_u, a_v, b_v = decay, -coefficient(0.2, 0.7), decay if rng.random() < 0.5 else full, coefficient(0.2, 0.7)
        if m.frac_bits == 0:
            b_u, b_v = -full, full
        if rng.random() < 0.2:
            a_u, b_u, a_v, b_v = zero, zero, coefficient(0.7, 1.0), full
    else:
        a_u, b_u, a_v, b_v = zero, zero, decay, full
    pattern = {
        "threshold": spread(0.7, 1.4), "r_u": spread(0.2, 0.6), "r_v": spread(0.7, 1.2), "v_reset": spread(-0.3, 0.3),
        "bias_u": spread(-0.05, 0.1) * bias, "bias_v": spread(-0.05, 0.1) * bias, "v0": spread(-0.5, 0.5) * v0,
    }  # fmt: skip
    # The unit of the pattern is 2^20, which `_scaled` brings to the layer's own level.
    arrays = {key: np.rint(value * 2.0**20).astype(np.int64) for key, value in pattern.items()}
    return FixedLayer(
        name, connections, 0, a_u, b_u, a_v, b_v, q=coefficient(-0.2, 0.2) * q, lsb_u=np.ones(size),
        lsb_v=np.ones(size), multiplier=rng.integers(2**14, 2**15, size), reset=reset,  # type: ignore[arg-type]
        input_to=input_to, spiking=spiking, **arrays,  # type: ignore[arg-type]
    )  # fmt: skip


def _started(rng: np.random.Generator, layer: FixedLayer, u0: bool, s0: bool, reset_u: bool) -> FixedLayer:
    """``layer`` with a start of its own, and whether its hard reset changes the dendrite; nothing is drawn for none."""
    arrays: dict[str, Int] = {}
    if u0:
        arrays["u0"] = np.rint(rng.uniform(-0.5, 0.5, layer.size) * 2.0**20).astype(np.int64)
    if s0 and layer.spiking:
        arrays["s0"] = (rng.random(layer.size) < 0.4).astype(np.int64)
    if layer.reset == "hard" and not reset_u:
        arrays["r_u"] = np.zeros_like(layer.r_u)
    return replace(layer, **arrays)  # type: ignore[arg-type]


def _growing(rng: np.random.Generator, layer: FixedLayer, one: int) -> FixedLayer:
    """``layer`` with A_v above 2^k, and A_u so far below that the pair of states does not grow."""
    factor = rng.uniform(1.0, 1.3, layer.size)
    a_v = np.minimum(np.maximum(np.rint(factor * one), one + 1), 2 * one - 1).astype(np.int64)
    return replace(layer, a_v=a_v, a_u=np.rint(0.95 * one / factor).astype(np.int64))


def _scaled(layer: FixedLayer, m: Arithmetic, level: float, shift: int, saturating: bool) -> FixedLayer:
    """``layer`` with its thresholds around ``level`` and its accumulator shifted by ``shift``."""
    limit_u, limit_v = 2 ** (m.bits_u - 1) - 1, 2 ** (m.bits_v - 1) - 1
    arrays: dict[str, Int] = {}
    for key in ("threshold", "r_u", "r_v", "v_reset", "bias_u", "bias_v", "v0", "u0"):
        limit = limit_u if key.endswith("_u") or key == "u0" else limit_v
        scaled = np.rint(getattr(layer, key) * (level / 2.0**20))
        arrays[key] = np.clip(scaled, -limit, limit).astype(np.int64)
    arrays["threshold"] = np.maximum(arrays["threshold"], 1)
    arrays["r_v"] = np.maximum(arrays["r_v"], 1)
    arrays["v_reset"] = np.minimum(arrays["v_reset"], arrays["threshold"] - 1)
    if saturating:
        # Some neurons are pushed over the edge by their own reset, else ovf after the reset would never act.
        if layer.r_u.any():
            arrays["r_u"][::3] = -limit_u
        arrays["r_v"][1::4] = -(limit_v // 2)
        arrays["v_reset"][::3] = -limit_v
        if layer.size == 1:
            arrays["r_v"][:] = -(limit_v // 2)
    if not layer.spiking:
        arrays["r_u"] = np.zeros_like(layer.r_u)
    if not layer.spiking or layer.reset == "hard":
        arrays["r_v"] = np.zeros_like(layer.r_v)
    if layer.reset == "soft":
        arrays["v_reset"] = np.zeros_like(layer.v_reset)
    if not layer.spiking:
        arrays["threshold"] = np.zeros_like(layer.threshold)
    return replace(layer, shift=shift, **arrays)  # type: ignore[arg-type]


def _tune(network: FixedNetwork, x: Int, saturating: bool) -> FixedNetwork | None:
    """``network`` with levels and shifts at which every layer fires as it should, or None."""
    m = network.arithmetic
    headroom = 1.2 if saturating else 12.0
    top = 2.0 ** (min(m.bits_u, m.bits_v) - 1) / headroom
    levels = {layer.name: top for layer in network.layers}
    shifts = {layer.name: _first_shift(network, layer, x, top) for layer in network.layers}
    for _ in range(ROUNDS):
        layers = tuple(
            _scaled(layer, m, levels[layer.name], shifts[layer.name], saturating) for layer in network.layers
        )
        tuned = replace(network, layers=layers)
        result = simulate(tuned, x)
        wrong = False
        for layer in tuned.layers:
            rate = spike_rates(result).get(layer.name)
            if rate is None:
                continue
            if rate < 2 * LOWEST_RATE:
                shifts[layer.name] += 1
            elif rate > 0.9 * HIGHEST_RATE:
                shifts[layer.name] -= 1
            wrong = wrong or not LOWEST_RATE <= rate <= HIGHEST_RATE
        if wrong:
            continue
        counts = np.sum(list(result.overflows.values()), axis=0)
        soft = any(layer.reset == "soft" and layer.spiking for layer in tuned.layers)
        if saturating and not (counts[:2].any() and (counts[2:].any() or not soft)):
            for layer in tuned.layers:
                shifts[layer.name] += 1
            continue
        return tuned
    return None


def _first_shift(network: FixedNetwork, layer: FixedLayer, x: Int, top: float) -> int:
    """Shift at which the current's usual size is an eighth of the threshold, were sources to fire at 20 %."""
    power = 0.0
    for c in layer.connections:
        weight = c.shared_rows.astype(np.float64) * 2.0**c.exponent
        source = np.mean(x.astype(np.float64) ** 2) if c.source == INPUT else 0.2
        power += float((weight**2).sum(axis=1).mean()) * source
    return int(np.floor(np.log2(top / 8 / max(np.sqrt(power), 1.0))))
