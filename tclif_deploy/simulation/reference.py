"""The executable specification of the fixed-point network: plain numpy int64, nothing clever.

If the engine, Lava, ONNX or C disagree with this file by one bit, one of them is wrong.
The arithmetic is stated in `tclif_deploy.fixed`; this file is that statement, executed.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.fixed import Arithmetic, FixedLayer, FixedNetwork, Int, Overflow, Rounding
from tclif_deploy.network import INPUT
from tclif_deploy.readout import RunningReadout
from tclif_deploy.simulation.result import Result, check_input, check_lengths, check_readout_range, spike_type


def rnd(p: Int, k: int, rounding: str) -> Int:
    """p / 2^k by the machine's rounding, int64 of the shape of p.

    ``rounding`` is ``toward_zero``, ``floor``, ``nearest`` (half up) or ``ceiling``, as in
    `tclif_deploy.fixed.Arithmetic`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy.simulation.reference import rnd
    >>> {way: rnd(np.array([-7, 7]), 2, way).tolist() for way in ("toward_zero", "floor", "nearest", "ceiling")}
    {'toward_zero': [-1, 1], 'floor': [-2, 1], 'nearest': [-2, 2], 'ceiling': [-1, 2]}
    """
    if k == 0:
        return p
    if rounding == "toward_zero":
        return np.asarray(np.sign(p) * (np.abs(p) >> k))
    if rounding == "floor":
        return p >> k
    if rounding == "ceiling":
        return -(-p >> k)
    return (p + (1 << (k - 1))) >> k


def ovf(x: Int, bits: int, overflow: Overflow) -> Int:
    """x brought into ``bits`` bits, int64 of its shape: saturated to +-(2^(bits-1)-1), or to all of two's complement
    (``saturate_full``), or wrapped as two's complement.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy.simulation.reference import ovf
    >>> {way: ovf(np.array([-200, 100, 130]), 8, way).tolist() for way in ("saturate", "wrap", "saturate_full")}
    {'saturate': [-127, 100, 127], 'wrap': [56, 100, -126], 'saturate_full': [-128, 100, 127]}
    """
    half_range = 1 << (bits - 1)
    if overflow != "wrap":
        return np.clip(x, (overflow == "saturate") - half_range, half_range - 1)
    return ((x + half_range) & (2 * half_range - 1)) - half_range


def accumulate(layer: FixedLayer, history: dict[str, Int], t: int, s0: dict[str, Int] | None = None) -> Int:
    """acc of step t, shape (samples, neurons); ``history[source]`` is (time, samples, sources) up to now.

    ``s0`` are layers' spikes of the step before the first, (neurons,) each; none unless told.
    """
    acc = np.zeros((history[INPUT].shape[1], layer.size), dtype=np.int64)
    for c in layer.connections:
        if t - c.delay >= 0:
            acc += c.apply(history[c.source][t - c.delay]) << c.exponent
        elif t - c.delay == -1 and s0 is not None and c.source in s0:
            acc += c.apply(s0[c.source][None]) << c.exponent
    return acc


def events(layer: FixedLayer, history: dict[str, Int], t: int, s0: dict[str, Int] | None = None) -> list[Int]:
    """What acc of step t is the sum of: each source's share, (samples, neurons), in the order of the connections and of
    the sources of each, after nothing; sources that are silent are left out."""
    shares = [np.zeros((history[INPUT].shape[1], layer.size), dtype=np.int64)]
    for c in layer.connections:
        sent = history[c.source][t - c.delay] if t - c.delay >= 0 else history[c.source][0] * 0
        if t - c.delay == -1 and s0 is not None and c.source in s0:
            sent = sent + s0[c.source]
        for source in np.flatnonzero(sent.any(axis=0)):
            alone = np.zeros_like(sent)
            alone[:, source] = sent[:, source]
            shares.append(c.apply(alone) << c.exponent)
    return shares


def decayed(x: Int, factor: Int, m: Arithmetic, rounding: Rounding) -> Int:
    """A state times its own factor; where the machine has a least step, a positive one shrinks by at least 1."""
    result = rnd(factor * x, m.frac_bits, rounding)
    return np.where((x > 0) & (factor < m.one), np.minimum(result, x - 1), result) if m.least_step else result


def total(addends: list[Int], bits: int, overflow: Overflow, each: bool) -> tuple[Int, int]:
    """(the sum of ``addends``, how many values ovf changed): once at the end, or after ``each`` but the first."""
    if not each:
        addends = [addends[0], np.asarray(sum(addends[1:]))]
    changed, x = 0, addends[0]
    for addend in addends[1:]:
        wide = x + addend
        x = ovf(wide, bits, overflow)
        changed += int(np.count_nonzero(x != wide))
    return x, changed


def charged(
    x: Int, factor: Int, share: Int, currents: list[Int], bias: Int, m: Arithmetic, rounding: Rounding, bits: int,
    overflow: Overflow,
) -> tuple[Int, int]:  # fmt: skip
    """(one state before its reset, how many values ovf changed): ``share`` is the other state's, ``currents`` what
    enters here."""
    before = 0
    if m.input_first and currents:
        x, before = total([x, *currents], bits, overflow, m.each_addend)
        currents = []
    left = decayed(x, factor, m, rounding)
    if not m.each_addend:
        x, changed = total([left, share, *currents, bias], bits, overflow, False)
        return x, before + changed
    gain, within = total([left - x, share, *currents, bias], bits, overflow, True)
    x, changed = total([x, gain], bits, overflow, True)
    return x, before + within + changed


def step(
    layer: FixedLayer, m: Arithmetic, u: Int, v: Int, shares: list[Int], most_spikes: int = 1
) -> tuple[Int, Int, Int, Int, Int, Int]:
    """One step of one layer: (u, v, s, counts, charged_u, charged_v).

    States and each of ``shares``, the sum or the addends of acc, are (samples, neurons); s is how often each neuron
    fires; ``counts`` (4,) says how many values ovf changed: u and v when charged, u and v when reset; the charged
    states are those before the reset.
    """
    k, r = m.frac_bits, m.rounding
    r_u, r_v = m.rounding_u or r, m.rounding_v or r
    currents = [acc << layer.shift if layer.shift >= 0 else rnd(acc, -layer.shift, r) for acc in shares]
    in_u, in_v = (currents, []) if layer.input_to == "dendrite" else ([], currents)
    counts = np.zeros(4, dtype=np.int64)

    u, counts[0] = charged(u, layer.a_u, rnd(layer.b_u * v, k, r_u), in_u, layer.bias_u, m, r_u, m.bits_u, m.overflow_u)
    v, counts[1] = charged(v, layer.a_v, rnd(layer.b_v * u, k, r_v), in_v, layer.bias_v, m, r_v, m.bits_v, m.overflow_v)
    charged_u, charged_v = u, v

    s = np.zeros_like(v)
    if not layer.spiking:
        return u, v, s, counts, charged_u, charged_v
    for n in range(1 if layer.reset == "hard" else most_spikes):
        fires = ((v >= layer.threshold) & (s == n)).astype(np.int64)
        u, v, changed = after_reset(layer, m, u, v, fires)
        counts[2:] += changed
        s += fires
    return u, v, s, counts, charged_u, charged_v


def after_reset(layer: FixedLayer, m: Arithmetic, u: Int, v: Int, s: Int) -> tuple[Int, Int, tuple[int, int]]:
    """(u, v, how many values of each ovf changed) after the reset of the spikes ``s``; all (..., neurons).

    A hard reset's v_reset does not pass ovf, and what it takes from the dendrite does.
    """
    wide_u = u - layer.r_u * s
    within_u = ovf(wide_u, m.bits_u, m.overflow_u)
    if layer.reset == "hard":
        within_u = np.where(s == 1, within_u, u)
        return within_u, np.where(s == 1, layer.v_reset, v), (int(np.count_nonzero((within_u != wide_u) & (s == 1))), 0)
    wide_v = v - (layer.r_v + rnd(layer.q * u, m.frac_bits, m.rounding)) * s
    within_v = ovf(wide_v, m.bits_v, m.overflow_v)
    return within_u, within_v, (int(np.count_nonzero(within_u != wide_u)), int(np.count_nonzero(within_v != wide_v)))


def start_states(layer: FixedLayer, m: Arithmetic) -> tuple[Int, Int]:
    """u and v at the beginning of the first step: u0 and v0 after the reset of s0, each (neurons,).

    So a machine that has no word for s0 starts from these states; what is left of s0 is what connections with a delay
    still bring (`start_spikes`). The reset passes ovf as any does, its changes are counted nowhere, and the start of a
    neuron that did not fire is u0 and v0 themselves.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import tclif_deploy as tc
    >>> out = tc.Layer("out", tc.neurons.lif(2, decay=0.5, threshold=1.0), (tc.Connection("input", [[1.0], [0.5]]),))
    >>> fixed = tc.quantize(tc.Network(1, (out,)), "loihi2", [[[0.0], [1.0], [1.0]]])
    >>> layer = replace(fixed.layers[0], s0=np.array([0, 1]))
    >>> (start_states(layer, fixed.arithmetic)[1] == [0, -layer.r_v[1]]).tolist()
    [True, True]
    """
    fired = layer.s0 == 1
    u, v, _ = after_reset(layer, m, layer.u0, layer.v0, layer.s0)
    return np.where(fired, u, layer.u0), np.where(fired, v, layer.v0)


def start_spikes(network: FixedNetwork) -> dict[str, Int]:
    """Layer -> s0, (neurons,), of those layers of which a connection with a delay reads it."""
    late = {c.source for layer in network.layers for c in layer.connections if c.delay}
    return {layer.name: layer.s0 for layer in network.layers if layer.name in late and layer.s0.any()}


@checked
def simulate(
    network: FixedNetwork,
    x: Int,
    *,
    lengths: Int | None = None,
    spikes: bool = True,
    counts: bool = False,
    traces: Collection[str] = (),
    readouts: bool = False,
) -> Result:
    """Run ``x`` (samples, time, features), integers as `InputEncoding.encode` gives them.

    ``lengths`` (samples,) is the number of steps after which a sample's readout is taken (default: all).
    ``spikes`` keeps every layer's spikes, ``counts`` how many each neuron fired up to there; ``traces`` names layers
    whose u and v are kept, after each step; ``readouts`` keeps the readout after each step. Raises `TclifError` for
    input that is not integers, or does not fit.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> from tclif_deploy.simulation import reference
    >>> integers, _ = fixed.input.encode(test[:2].x, test.scale)
    >>> exact = reference.simulate(fixed, integers, lengths=test[:2].lengths)
    >>> exact.classes.tolist(), int((exact.readout != tc.simulate(fixed, test[:2]).readout).sum())
    ([5, 3], 0)
    """
    x = check_input(network, x)
    samples, time, _ = x.shape
    last = check_lengths(lengths, samples, time) - 1
    m, out = network.arithmetic, network.output
    check_readout_range(network, time)
    history: dict[str, Int] = {INPUT: np.ascontiguousarray(x.transpose(1, 0, 2))}
    start = {layer.name: np.tile(start_states(layer, m), (samples, 1, 1)) for layer in network.layers}
    u, v = ({name: states[:, n] for name, states in start.items()} for n in range(2))
    s0 = start_spikes(network)
    overflows = {layer.name: np.zeros(4, np.int64) for layer in network.layers}
    readout = RunningReadout(
        network.readout, out.threshold, samples=samples, dtype=np.int64, spiking=out.spiking, time=time * readouts
    )
    traced: dict[str, Int] = {n: np.zeros((2, samples, time, network.layer(n).size), np.int64) for n in traces}
    for layer in network.layers:
        history[layer.name] = np.zeros((time, samples, layer.size), np.int64)
    for t in range(time):
        for layer in network.layers:
            n = layer.name
            shares = events(layer, history, t, s0) if m.each_addend else [accumulate(layer, history, t, s0)]
            most = 1 if layer is out else m.most_spikes
            u[n], v[n], history[n][t], changed, _, charged_v = step(layer, m, u[n], v[n], shares, most)
            overflows[n] += changed
            if n in traced:
                traced[n][:, :, t] = u[n], v[n]
        readout.add(t, t <= last, v[out.name], charged_v, history[out.name][t])
    fired = {la.name: history[la.name].transpose(1, 0, 2) for la in network.layers if la.spiking}
    valid = np.arange(time)[None, :, None] <= last[:, None, None]
    return Result(
        {n: s.astype(spike_type(m)) for n, s in fired.items()} if spikes else {}, u, v, readout.value,
        readout.classes(network.readout_multiplier), overflows, traced,
        {n: (s * valid).sum(axis=1) for n, s in fired.items()} if counts else {},
        readout.steps if readouts else None, readout.decided if network.readout.decides else None,
        readout.step_classes(network.readout_multiplier) if readouts else None,
    )  # fmt: skip
