"""An example backend: Python's own integers, which cannot overflow. Slow, from docs/arithmetic.md; no READOUTS."""

import numpy as np

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.simulation.result import Result, check_input, check_lengths


def check_installed():
    """Nothing beyond numpy is needed; a real backend raises TclifError here, saying what to install."""


def emit(fixed, target, folder):
    folder.mkdir(parents=True, exist_ok=True)
    fixed.save(folder / "fixed.npz")


def run(folder, x, *, lengths=None, batched=False, progress=None):
    network = FixedNetwork.load(folder / "fixed.npz")
    x = check_input(network, x).astype(object)
    lengths = check_lengths(lengths, *x.shape[:2])
    layers, out = network.layers, network.layers[-1]
    past = {"input": x} | {la.name: np.zeros((*x.shape[:2], la.size), object) for la in layers}
    u = {la.name: np.zeros((len(x), la.size), object) for la in layers}
    v = {la.name: u[la.name] + la.v0.astype(object) for la in layers}
    overflows = {la.name: np.zeros(4, np.int64) for la in layers}
    readout = np.zeros((len(x), out.size), np.int64)
    for t in range(x.shape[1]):
        for la in layers:
            step(network.arithmetic, la, t, past, u, v, overflows[la.name])
        value = past[out.name][:, : t + 1].sum(axis=1) if out.spiking else v[out.name]
        readout[lengths == t + 1] = value[lengths == t + 1]
    spikes = {la.name: past[la.name].astype(bool) for la in layers if la.spiking}
    u, v = ({name: state.astype(np.int64) for name, state in states.items()} for states in (u, v))
    return Result(spikes, u, v, readout, np.argmax(readout * out.multiplier, axis=1), overflows)


def step(m, la, t, past, u, v, overflows):
    def rnd(p, k):
        half = 2 ** (k - 1) if k > 0 and m.rounding == "nearest" else 0
        return np.sign(p) * (abs(p) // 2**k) if m.rounding == "toward_zero" else (p + half) // 2**k

    def ovf(wide, bits, mode, place):
        half = 2 ** (bits - 1)
        kept = (wide + half) % (2 * half) - half if mode == "wrap" else wide.clip(1 - half, half - 1)
        overflows[place] += np.count_nonzero(kept != wide)
        return kept

    links = [(past[c.source][:, t - c.delay], c) for c in la.connections if t >= c.delay]
    acc = sum((c.apply(s) * 2**c.exponent for s, c in links), 0 * u[la.name])
    i = acc * 2**la.shift if la.shift >= 0 else rnd(acc, -la.shift)
    to_u, to_v, k = (i, 0, m.frac_bits) if la.input_to == "dendrite" else (0, i, m.frac_bits)
    old_u, old_v = u[la.name], v[la.name]
    du = ovf(rnd(la.a_u * old_u, k) + rnd(la.b_u * old_v, k) + to_u + la.bias_u, m.bits_u, m.overflow_u, 0)
    dv = ovf(rnd(la.a_v * old_v, k) + rnd(la.b_v * du, k) + to_v + la.bias_v, m.bits_v, m.overflow_v, 1)
    s = (dv >= la.threshold).astype(int).astype(object) * la.spiking
    if la.reset == "hard":
        dv = np.where(s == 1, la.v_reset, dv)
    else:
        dv, du = (ovf(dv - (la.r_v + rnd(la.q * du, k)) * s, m.bits_v, m.overflow_v, 3),
                  ovf(du - la.r_u * s, m.bits_u, m.overflow_u, 2))  # fmt: skip
    past[la.name][:, t], u[la.name], v[la.name] = s, du, dv
