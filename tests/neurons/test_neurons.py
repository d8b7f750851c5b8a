"""Neuron constructors against straight transcriptions of their equations, which share nothing with the package."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tclif_deploy import TclifError, load_target, mapping, neurons, quantize, simulate
from tclif_deploy.comparison import equal
from tclif_deploy.data import Dataset
from tclif_deploy.network import Connection, Layer, Network, Neuron
from tclif_deploy.simulation.floating import simulate_float

STEPS, SIZE = 784, 40
RNG = np.random.default_rng(6)


def drive(mean=0.12, spread=0.5, steps=STEPS, size=SIZE, seed=1):
    """Input currents (steps, neurons)."""
    return np.random.default_rng(seed).normal(mean, spread, (steps, size))


def between(low, high, size=SIZE):
    return RNG.uniform(low, high, size)


def fired(neuron: Neuron, current: np.ndarray) -> np.ndarray:
    """Spikes (steps, neurons) of the float model, its input current set by hand."""
    layer = Layer("layer", neuron, (Connection("input", np.eye(neuron.size)),))
    return simulate_float(Network(neuron.size, (layer,)), current[None]).spikes["layer"][0]


def check(neuron: Neuron, current: np.ndarray, transcription) -> None:
    """The float model fires exactly as ``transcription(current, state) -> spikes`` does, and between 1 and 60 %."""
    state: dict[str, np.ndarray] = {}
    expected = np.stack([transcription(i, state) for i in current])
    assert 0.01 <= expected.mean() <= 0.6, f"fires in {expected.mean():.1%} of its steps"
    np.testing.assert_array_equal(fired(neuron, current), expected.astype(bool))


def get(state, *names):
    return tuple(state.get(name, 0.0) for name in names)


def sigma(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("strict", [False, True])
def test_tclif_as_the_authors_code_runs_it(strict):
    c1, c2, gamma, theta = between(-1, 1), between(-1, 1), between(0.2, 0.8), between(0.8, 1.5)

    def step(i, s):
        u, v = get(s, "u", "v")
        u = u - sigma(c1) * v + i
        v = v + sigma(c2) * u
        z = v > theta if strict else v >= theta
        s.update(u=u - gamma * z, v=v - theta * z)
        return z

    check(neurons.tclif(SIZE, c1=c1, c2=c2, gamma=gamma, threshold=theta, strict=strict), drive(), step)


def test_tclif_read_literally_from_the_paper():
    c1, c2, gamma, theta = between(-1, 1), between(-1, 1), between(0.2, 0.8), between(0.8, 1.5)

    def step(i, s):  # Eq. 10-12: the dendrite sees U_S[t-1] as it was before S[t-1] was taken from it
        u, v, z = get(s, "u", "v", "z")
        u = u - sigma(c1) * v + i - gamma * z
        v = v + sigma(c2) * u - theta * z
        s.update(u=u, v=v, z=v >= theta)
        return s["z"]

    check(neurons.tclif(SIZE, c1=c1, c2=c2, gamma=gamma, threshold=theta, delayed_reset=True), drive(), step)


def test_the_single_compartment_form_of_tclif_is_the_same_neuron():
    """Eq. 16's idea: U_S by itself is a recursion of second order, without U_D."""
    c1, c2, gamma, theta = (float(x) for x in (0.3, -0.4, 0.5, 1.2))
    b1, b2, current = -sigma(c1), sigma(c2), drive(size=SIZE)
    spikes = fired(neurons.tclif(SIZE, c1=c1, c2=c2, gamma=gamma, threshold=theta, delayed_reset=True), current)
    v = np.zeros((STEPS + 2, SIZE))
    z = np.zeros((STEPS + 2, SIZE))
    for t in range(STEPS):  # v[t+2] is U_S of step t
        v[t + 2] = (2 + b1 * b2) * v[t + 1] - v[t] + b2 * (current[t] - gamma * z[t + 1]) - theta * (z[t + 1] - z[t])
        z[t + 2] = v[t + 2] >= theta
    assert 0.01 <= spikes.mean() <= 0.6
    np.testing.assert_array_equal(spikes, z[2:].astype(bool))


@pytest.mark.parametrize("sign1", [-1, 1])
@pytest.mark.parametrize("sign2", [-1, 1])
def test_two_compartments_in_every_quadrant_of_beta(sign1, sign2):
    """Where the two couplings have the same sign the states grow: 100 steps there, else 784."""
    grows = sign1 == sign2
    a1, a2, theta = between(0.7, 0.95), between(0.7, 0.95), between(0.6, 1.2)
    b1, b2 = sign1 * between(0.15, 0.6), sign2 * between(0.15, 0.6)
    if grows:
        a1, a2 = np.ones(SIZE), np.ones(SIZE)
    neuron = neurons.two_compartment(SIZE, alpha1=a1, beta1=b1, alpha2=a2, beta2=b2, threshold=theta)
    assert (neurons.spectral_radius(neuron) > 1 + 1e-6).all() == grows

    def step(i, s):
        u, v, z = get(s, "u", "v", "z")
        u = a1 * u + b1 * v + i
        v = a2 * v + b2 * u - theta * z
        s.update(u=u, v=v, z=v >= theta)
        return s["z"]

    check(neuron, drive(0.1 * sign2 if not grows else 0.0, 0.6, steps=100 if grows else STEPS), step)


def test_two_compartments_that_grow_equal_the_equations_in_exact_arithmetic():
    """All numbers are dyadic, so that fractions hold the constructor's own coefficients without rounding."""
    a1, b1, a2, b2, theta = (Fraction(n, 8) for n in (8, 4, 4, 3, 8))
    neuron = neurons.two_compartment(
        1, alpha1=float(a1), beta1=float(b1), alpha2=float(a2), beta2=float(b2), threshold=float(theta)
    )
    assert neurons.spectral_radius(neuron)[0] > 1.05
    n = {k: Fraction(float(getattr(neuron, k)[0])) for k in ("a_u", "b_u", "a_v", "b_v", "r_u", "r_v", "threshold")}
    u = v = p = q = z = Fraction(0)
    count = 0
    for step in range(100):
        # the input holds the dendrite down, or the states would outgrow the threshold at once
        i = Fraction(int(RNG.integers(-80, 120)), 64) - Fraction(7, 8) * (a1 * p + b1 * q)
        u, v = n["a_u"] * u + n["b_u"] * v + i, v
        v = n["a_v"] * v + n["b_v"] * u
        s = v >= n["threshold"]
        u, v = u - n["r_u"] * s, v - n["r_v"] * s
        p = a1 * p + b1 * q + i
        q = a2 * q + b2 * p - theta * z
        z = Fraction(int(q >= theta))
        assert z == s, step
        count += s
    assert 1 <= count <= 60


@pytest.mark.parametrize("literal", [False, True])
def test_lif_by_equation_one_and_with_the_reset_first(literal):
    beta, theta = between(0.5, 0.95), between(0.6, 1.2)

    def step(i, s):
        v, z = get(s, "v", "z")
        v = beta * v - theta * z + i if literal else beta * (v - theta * z) + i
        s.update(v=v, z=v >= theta)
        return s["z"]

    check(neurons.lif(SIZE, decay=beta, threshold=theta, delayed_reset=literal), drive(), step)


@pytest.mark.parametrize("v_reset", [0.0, -0.3, 0.25])
@pytest.mark.parametrize("strict", [False, True])
def test_lif_with_a_hard_reset_and_a_rest_of_its_own(v_reset, strict):
    beta, theta, rest = between(0.5, 0.95), between(0.6, 1.2), between(-0.1, 0.2)

    def step(i, s):
        v = get(s, "v")[0]
        v = beta * v + (1 - beta) * rest + 0.5 * i
        z = v > theta if strict else v >= theta
        s.update(v=np.where(z, v_reset, v))
        return z

    neuron = neurons.lif(
        SIZE, decay=beta, threshold=theta, strict=strict, reset="hard", v_reset=v_reset, rest=rest, gain=0.5
    )
    check(neuron, drive(0.2, 1.0), step)


@pytest.mark.parametrize("decay_input", [False, True])
@pytest.mark.parametrize("v_reset", [None, 0.0, -0.2])
def test_plif(decay_input, v_reset):
    w, theta = between(-2, 0.5), between(0.4, 0.9)
    rest = 0.0 if v_reset is None else v_reset

    def step(i, s):
        v = s.get("v", rest)
        leak = (v - rest) * sigma(w)
        v = v - leak + (i * sigma(w) if decay_input else i)
        z = v >= theta
        s.update(v=v - theta * z if v_reset is None else np.where(z, v_reset, v))
        return z

    neuron = neurons.plif(
        SIZE, w=w, threshold=theta, reset="soft" if v_reset is None else "hard", v_reset=rest, decay_input=decay_input
    )
    check(neuron, drive(0.25, 0.9), step)


def test_integrate_and_fire():
    theta = between(0.8, 2.0)

    def step(i, s):
        v = get(s, "v")[0] + i
        z = v >= theta
        s.update(v=v - theta * z)
        return z

    check(neurons.integrate_and_fire(SIZE, threshold=theta), drive(0.15), step)


def test_a_readout_leaks_integrates_and_never_fires():
    decay, current, bias = between(0.7, 1.0), drive(), between(-0.1, 0.1)
    hidden = Layer("hidden", neurons.lif(SIZE, decay=0.9, threshold=1.0), (Connection("input", np.eye(SIZE)),))
    weight = RNG.normal(0, 1, (SIZE, SIZE))
    out = Layer("out", neurons.readout(SIZE, decay=decay, bias=bias), (Connection("hidden", weight),))
    result = simulate_float(Network(SIZE, (hidden, out)), current[None])
    v = np.zeros(SIZE)
    for z in result.spikes["hidden"][0]:
        v = decay * v + weight @ z.astype(float) + bias
    assert "out" not in result.spikes
    np.testing.assert_allclose(result.readout[0], v, rtol=1e-9)


def test_cuba_lif_of_lava():
    du, dv, theta, bias = between(0.1, 0.8), between(0.05, 0.4), between(1.0, 2.0), between(-0.02, 0.05)

    def step(i, s):
        u, v = get(s, "u", "v")
        u = u * (1 - du) + i
        v = v * (1 - dv) + u + bias
        z = v > theta
        s.update(u=u, v=np.where(z, 0.0, v))
        return z

    neuron = neurons.cuba_lif(SIZE, current_decay=du, voltage_decay=dv, threshold=theta, bias_v=bias)
    check(neuron, drive(0.1, 0.4), step)


def test_cuba_lif_in_the_order_of_snntorch_synaptic():
    alpha, beta, theta = between(0.3, 0.9), between(0.6, 0.95), between(1.0, 2.0)

    def step(i, s):
        syn, mem = get(s, "syn", "mem")
        reset = mem > theta
        syn = alpha * syn + i
        mem = beta * mem + syn - reset * theta
        s.update(syn=syn, mem=mem)
        return mem > theta

    neuron = neurons.cuba_lif(
        SIZE, current_decay=1 - alpha, voltage_decay=1 - beta, threshold=theta, reset="soft", delayed_reset=True
    )
    check(neuron, drive(0.1, 0.4), step)


def test_alif_of_bellec():
    alpha, rho, kappa, theta = between(0.7, 0.95), between(0.9, 0.99), between(0.05, 0.4), between(0.5, 1.0)

    def step(i, s):
        v, a, z = get(s, "v", "a", "z")
        a = rho * a + z
        v = alpha * v + i - theta * z
        s.update(v=v, a=a, z=(v >= theta + kappa * a).astype(float))
        return s["z"]

    check(neurons.alif_bellec(SIZE, alpha=alpha, rho=rho, kappa=kappa, threshold=theta), drive(), step)


def test_alif_of_yin():
    alpha, rho, beta, b0 = between(0.7, 0.95), between(0.8, 0.99), between(0.5, 1.8), between(0.3, 0.8)

    def step(i, s):
        v, a, z = get(s, "v", "a", "z")
        a = rho * a + (1 - rho) * z
        threshold = b0 + beta * a
        v = alpha * v + i - threshold * z
        s.update(v=v, a=a, z=(v - threshold > 0).astype(float))
        return s["z"]

    check(neurons.alif_yin(SIZE, alpha=alpha, rho=rho, beta=beta, threshold=b0), drive(), step)


def test_vanilla_resonate_and_fire_of_higuchi():
    omega, b = between(5, 45), between(0.5, 8)

    def step(i, s):
        x, y = get(s, "x", "y")
        x, y = x - b * x * 0.01 - omega * y * 0.01 + i, y + omega * x * 0.01 - b * y * 0.01
        s.update(x=x, y=y)
        return x > 1.0

    neuron = neurons.resonate_and_fire(SIZE, omega=omega, damping=b)
    stable = neurons.spectral_radius(neuron) <= 1
    assert 5 < stable.sum() < SIZE
    current = drive(0.0, 0.4)
    state: dict[str, np.ndarray] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = np.stack([step(i, state) for i in current])
    spikes = fired(neuron, current)
    assert 0.01 <= wanted[:, stable].mean() <= 0.6
    np.testing.assert_array_equal(spikes[:, stable], wanted[:, stable])
    np.testing.assert_array_equal(spikes[:100], wanted[:100])  # of a radius above 1: rounding errors grow


def test_alif_of_higuchi():
    alpha, rho, beta, b0 = between(0.7, 0.95), between(0.8, 0.99), between(0.5, 1.8), between(0.3, 0.8)

    def step(i, s):
        v, a, z = get(s, "v", "a", "z")
        a = rho * a + (1 - rho) * z
        threshold = b0 + beta * a
        v = alpha * v + i
        z = (v - threshold > 0).astype(float)
        s.update(v=v - z * threshold, a=a, z=z)
        return z

    check(neurons.alif_higuchi(SIZE, alpha=alpha, rho=rho, beta=beta, threshold=b0), drive(), step)


def test_adlif_of_bittar():
    alpha, beta = between(0.82, 0.96), between(0.967, 0.9917)
    a, b, theta, taken = between(-1, 1), between(0, 2), between(0.8, 1.2), between(0.8, 1.2)

    def step(i, s):
        u, w, z = get(s, "u", "w", "z")
        w = beta * w + a * u + b * z
        u = alpha * (u - taken * z) + i - (1 - alpha) * w
        s.update(u=u, w=w, z=(u - theta > 0).astype(float))
        return s["z"]

    neuron = neurons.adlif(SIZE, alpha=alpha, beta=beta, a=a, b=b, threshold=theta, r_v=taken)
    stable = neurons.spectral_radius(neuron) <= 1
    assert 5 < stable.sum() < SIZE
    current = drive(0.3, 0.8)
    state: dict[str, np.ndarray] = {}
    wanted = np.stack([step(i, state) for i in current])
    spikes = fired(neuron, current)
    assert 0.01 <= wanted[:, stable].mean() <= 0.6
    np.testing.assert_array_equal(spikes[:, stable], wanted[:, stable])
    np.testing.assert_array_equal(spikes[:100], wanted[:100])  # of a radius above 1: rounding errors grow


def test_a_resonator_that_is_damped_to_nothing_in_a_step_is_refused():
    with pytest.raises(TclifError, match="1 - dt\\*damping is divided by"):
        neurons.resonate_and_fire(2, omega=1.0, damping=[1.0, 100.0])


def test_after_hyperpolarizing_current_of_rao():
    alpha, rho, jump, theta = between(0.7, 0.95), between(0.8, 0.98), between(0.02, 0.2), between(0.5, 1.0)

    def step(i, s):
        v, a, z = get(s, "v", "a", "z")
        a = rho * a + jump * z
        v = alpha * v + i - a - theta * z
        s.update(v=v, a=a, z=(v >= theta).astype(float))
        return s["z"]

    check(neurons.ahp(SIZE, alpha=alpha, rho=rho, jump=jump, threshold=theta), drive(), step)


def test_ltmd_is_a_lif_whose_threshold_is_a_tanh():
    k, decay = between(0.5, 1.5), 0.7

    def step(i, s):
        v = decay * get(s, "v")[0] + i
        z = v >= np.tanh(k)
        s.update(v=v * (1 - z))
        return z

    check(neurons.ltmd(SIZE, k=k, decay=decay), drive(), step)


@pytest.mark.parametrize("gate", [0.0, 1.0])
def test_glif_with_a_closed_or_open_reset_gate(gate):
    decay, leak, theta = between(0.6, 0.95), between(0.0, 0.05), between(0.5, 1.0)

    def step(i, s):
        v = decay * get(s, "v")[0] - leak + 0.8 * i
        z = v >= theta
        s.update(v=v * (1 - z) if gate else v - theta * z)
        return z

    check(neurons.glif(SIZE, decay=decay, leak=leak, threshold=theta, hard_gate=gate, gain=0.8), drive(), step)


@pytest.mark.parametrize("started", [False, True])
def test_se_adlif_whose_adaptation_sees_the_soma_after_its_reset(started):
    alpha, beta, theta = between(0.8, 0.95), between(0.95, 0.99), between(0.5, 1.0)
    a, b, q = between(0.0, 1.0), between(0.0, 1.0), 30.0
    u0, v0 = (between(-0.3, 0.5), between(-0.3, 0.5)) if started else (np.zeros(SIZE), np.zeros(SIZE))
    s0 = RNG.integers(0, 2, SIZE).astype(float) if started else np.zeros(SIZE)

    def step(i, s):
        if not s:
            v = v0 * (1 - s0)
            s.update(v=v, w=beta * u0 + (1 - beta) * q * (a * v + b * s0))
        v, w = s["v"], s["w"]
        v = alpha * v + (1 - alpha) * (i / (1 - alpha) - w)
        z = v >= theta
        v = v * (1 - z)
        s.update(v=v, w=beta * w + (1 - beta) * q * (a * v + b * z))
        return z

    neuron = neurons.se_adlif(SIZE, alpha=alpha, beta=beta, a=a, b=b, q=q, threshold=theta)
    check(replace(neuron, u0=u0, v0=v0, s0=s0), drive(0.2, 0.4, steps=100), step)


@pytest.mark.parametrize("wrong", [
    ({"s0": [0.0, 0.5]}, "neuron n: s0 is 0.5; a neuron fired before the first step, 1, or did not, 0"),
    ({"s0": [0.0, np.nan]}, "neuron n: s0"), ({"s0": [1.0, 0.0], "spiking": False}, "neuron n: s0 is 1; a readout"),
    ({"u0": [1.0, 2.0, 3.0]}, "neuron n: u0 has shape"), ({"s0": [[1.0, 0.0]]}, "neuron n: s0 has shape"),
    ({"u0": [0.0, np.inf]}, "neuron n: u0"),
])  # fmt: skip
def test_starts_of_a_wrong_shape_or_value_are_refused(wrong):
    values, message = wrong
    with pytest.raises(TclifError, match=re.escape(message)):
        neurons.canonical(2, "n", a_v=0.5, threshold=1.0, **values)


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_the_start_is_behind_the_reset_of_s0(reset):
    numbers = {"r_u": 0.5, "r_v": 1.0, "q": 0.5, "v_reset": -0.25, "threshold": 1.0}
    neuron = neurons.canonical(2, "n", reset=reset, u0=[2.0, 2.0], v0=[3.0, 3.0], s0=[0.0, 1.0], **numbers)
    u, v = neuron.start
    assert u.tolist() == [2.0, 1.5]
    assert v.tolist() == [3.0, 3.0 - 1.0 - 0.5 * 2.0 if reset == "soft" else -0.25]


@pytest.mark.parametrize("strict", [False, True])
def test_a_potential_of_exactly_the_threshold_fires_unless_strict(strict):
    neuron = neurons.integrate_and_fire(1, threshold=1.0, strict=strict)
    assert fired(neuron, np.array([[0.5], [0.5], [0.25]]))[:, 0].tolist() == [False, not strict, strict]


@pytest.mark.parametrize("make", [
    lambda: neurons.alif_bellec(12, alpha=0.9, rho=0.95, kappa=0.2, threshold=0.8),
    lambda: neurons.alif_yin(12, alpha=0.8, rho=0.9, beta=0.9, threshold=0.5),
    lambda: neurons.ahp(12, alpha=0.9, rho=0.9, jump=0.1, threshold=0.8),
    lambda: neurons.alif_higuchi(12, alpha=0.8, rho=0.9, beta=0.9, threshold=0.5),
    lambda: neurons.adlif(12, alpha=0.9, beta=0.97, a=0.1, b=0.5),
    lambda: neurons.se_adlif(12, alpha=0.9, beta=0.97, a=0.5, b=0.5, threshold=0.3),
    lambda: neurons.resonate_and_fire(12, omega=10.0, damping=1.0, threshold=0.3),  # a_v above 1
    lambda: neurons.cuba_lif(12, current_decay=0.4, voltage_decay=0.1, threshold=1.5),
    lambda: neurons.two_compartment(12, alpha1=0.9, beta1=-0.4, alpha2=0.95, beta2=0.5, threshold=1.0),
])  # fmt: skip
@pytest.mark.parametrize("target", ["ideal", "loihi2"])
def test_every_constructor_survives_quantization_and_the_engine_runs_its_integers(make, target):
    neuron = make()
    rng = np.random.default_rng(3)
    layer = Layer("layer", neuron, (Connection("input", rng.normal(0.1, 0.5, (12, 6))),))
    out = Layer("out", neurons.readout(3), (Connection("layer", rng.normal(0, 1, (3, 12))),))
    data = Dataset(rng.poisson(0.5, (6, 120, 6)).astype(np.int64))
    fixed = quantize(Network(6, (layer, out)), target, data)
    assert not [f for f in mapping.check(fixed, load_target(target)) if f.severity == "error"]
    x, _ = fixed.input.encode(data.x, data.scale)
    slow, fast = (simulate(fixed, x, spikes=True, engine=e) for e in ("reference", "engine"))
    float_spikes = simulate_float(Network(6, (layer, out)), data.x).spikes["layer"]
    assert 0.01 <= float_spikes.mean() <= 0.6
    np.testing.assert_array_equal(slow.spikes["layer"], fast.spikes["layer"])
    union = (slow.spikes["layer"] | float_spikes).sum()
    assert (slow.spikes["layer"] & float_spikes).sum() / union > 0.9


def test_states_that_grow_are_told_and_those_of_tclif_do_not():
    grows = neurons.two_compartment(2, alpha1=1.0, beta1=0.5, alpha2=1.0, beta2=0.5, threshold=1.0)
    notice = neurons.growth_notice("hidden", grows)
    assert notice is not None
    assert "hidden" in notice
    assert "spectral radius above 1" in notice
    for c in (-6.0, 0.0, 6.0):
        assert neurons.growth_notice("hidden", neurons.tclif(2, c1=c, c2=c, gamma=0.5, threshold=1.0)) is None


@pytest.mark.parametrize(("make", "message"), [
    (lambda: neurons.two_compartment(1, alpha1=0.0, beta1=1, alpha2=1, beta2=1, threshold=1), "alpha1 is 0"),
    (lambda: neurons.lif(1, decay=0.0, threshold=1.0, delayed_reset=True), "decay is 0"),
    (lambda: neurons.lif(1, decay=0.5, threshold=1.0, delayed_reset=True, reset="hard"), "not defined"),
    (lambda: neurons.lif(1, decay=np.nan, threshold=1.0), "must be finite"),
    (lambda: neurons.lif(1, decay=0.5, threshold=-1.0), "threshold is -1"),
    (lambda: neurons.alif_bellec(1, alpha=0.5, rho=0.0, kappa=1, threshold=1), "rho is 0"),
    (lambda: neurons.glif(1, decay=0.5, threshold=1.0, hard_gate=0.4), "reset gate is 0.4"),
    (lambda: neurons.lif(3, decay=np.ones(2), threshold=1.0), "shape (2,)"),
])  # fmt: skip
def test_parameters_without_meaning_are_refused(make, message):
    with pytest.raises(TclifError) as error:
        make()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [
    lambda **how: neurons.tclif(2, c1=0.1, c2=0.2, gamma=0.5, threshold=1.0, **how),
    lambda **how: neurons.lif(2, decay=0.9, threshold=1.0, **how),
    lambda **how: neurons.cuba_lif(2, current_decay=0.1, voltage_decay=0.1, threshold=1.0, reset="soft", **how),
])  # fmt: skip
def test_the_old_name_of_delayed_reset_works_with_a_warning(make):
    with pytest.warns(DeprecationWarning, match="literal= is delayed_reset= now"):
        old = make(literal=True)
    assert equal(old, make(delayed_reset=True))
    assert not equal(old, make())
