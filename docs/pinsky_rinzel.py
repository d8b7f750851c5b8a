"""The Pinsky-Rinzel neuron beside TC-LIF: the equations integrated, and what the discrete neuron makes of them.

python docs/pinsky_rinzel.py [--figure pinsky-rinzel.svg]

Units of the first: mV, ms, mS/cm2, uF/cm2, uA/cm2. The second has none: one step, and the threshold is 1.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

import tclif_deploy as tc
from tclif_deploy.formulas import step_jacobian

# Pinsky and Rinzel 1994, Table 1; potentials are absolute (the paper's own are relative to rest at -60 mV)
CM, P, GC, GL = 3.0, 0.5, 2.1, 0.1
GNA, GK, GCA, GAHP, GC_K = 30.0, 15.0, 10.0, 0.8, 15.0
ENA, EK, ECA, EL = 60.0, -75.0, 80.0, -60.0
DURATION, CURRENT = 500.0, 4.0
COARSE, FINEST = 0.04, 0.0003
"""ms, between which the Runge-Kutta integration that the others are measured against finds its step"""
NEAR = 0.5
"""ms, by which a spike may move when that step is halved"""
SPIKE = 0.0
"""mV that the soma crosses upwards at a spike"""
BETAS = (-0.5, 0.5)
State = np.ndarray
"""(8,): Vs, Vd, h, n, s, c, q, Ca"""
Step = Callable[[State, float, float], State]


@numba.njit
def linear(v: float, middle: float, scale: float) -> float:
    """x / (1 - exp(-x/scale)) with x = v - middle; its limit at 0."""
    x = v - middle
    return scale if abs(x) < 1e-9 else x / (1 - math.exp(-x / scale))


@numba.njit
def slopes(state: State, current: float) -> State:
    """d/dt of (Vs, Vd, h, n, s, c, q, Ca): Eq. 17 and 18 with the currents of Pinsky and Rinzel."""
    vs, vd, h, n, s, c, q, calcium = state
    a_m, b_m = 0.32 * linear(vs, -46.9, 4.0), 0.28 * linear(-vs, 19.9, 5.0)
    sodium = GNA * (a_m / (a_m + b_m)) ** 2 * h * (vs - ENA)
    potassium = GK * n * (vs - EK)
    calcium_current = GCA * s * s * (vd - ECA)
    slow = (GAHP * q + GC_K * c * min(calcium / 250, 1.0)) * (vd - EK)
    link = GC * (vd - vs)
    fall = 2 * math.exp((-53.5 - vd) / 27)
    a_c = math.exp((vd + 50) / 11 - (vd + 53.5) / 27) / 18.975 if vd <= -10 else fall
    b_c = fall - a_c if vd <= -10 else 0.0
    a_h, b_h = 0.128 * math.exp((-43 - vs) / 18), 4 / (1 + math.exp((-20 - vs) / 5))
    a_n, b_n = 0.016 * linear(vs, -24.9, 5.0), 0.25 * math.exp(-1 - 0.025 * vs)
    a_s, b_s = 1.6 / (1 + math.exp(-0.072 * (vd - 5))), 0.02 * linear(-vd, 8.9, 5.0)
    a_q, b_q = min(2e-5 * calcium, 0.01), 0.001
    return np.array([
        (-sodium - potassium - GL * (vs - EL) + link / P) / CM,
        (-calcium_current - slow - GL * (vd - EL) - link / (1 - P) + current) / CM,
        a_h * (1 - h) - b_h * h,
        a_n * (1 - n) - b_n * n,
        a_s * (1 - s) - b_s * s,
        a_c * (1 - c) - b_c * c,
        a_q * (1 - q) - b_q * q,
        -0.13 * calcium_current - 0.075 * calcium,
    ])  # fmt: skip


@numba.njit
def euler(state: State, current: float, dt: float) -> State:
    """Eq. 19 and 20, the gates likewise."""
    return state + dt * slopes(state, current)


@numba.njit
def runge_kutta(state: State, current: float, dt: float) -> State:
    """The classic step of fourth order."""
    k1 = slopes(state, current)
    k2 = slopes(state + 0.5 * dt * k1, current)
    k3 = slopes(state + 0.5 * dt * k2, current)
    k4 = slopes(state + dt * k3, current)
    return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@numba.njit
def march(step: Step, state: State, current: float, dt: float, steps: int) -> np.ndarray:
    """(steps + 1, 8): the states from ``state`` on; where a step breaks down, those before it."""
    kept = np.empty((steps + 1, 8))
    kept[0] = state
    for n in range(steps):
        kept[n + 1] = step(kept[n], current, dt)
        if not abs(kept[n + 1, 0]) < 1000:
            return kept[: n + 1]
    return kept


@functools.cache
def quiet() -> State:
    """Where -1 uA/cm2 holds the neuron, which else fires now and then by itself."""
    state = np.array([-60.0, -60.0, 0.999, 0.001, 0.009, 0.007, 0.01, 0.2])
    return march(runge_kutta, state, -1.0, 0.1, 10_000)[-1]


def integrate(step: Step, dt: float, current: float = CURRENT, duration: float = DURATION) -> np.ndarray | None:
    """(steps, 2): soma and dendrite in mV; None where the step breaks down."""
    steps = round(duration / dt)
    kept = march(step, quiet(), current, dt, steps)
    return kept[1:, :2] if len(kept) == steps + 1 else None


@functools.cache
def reference(current: float) -> tuple[float, np.ndarray]:
    """(step, run) of Runge-Kutta whose step halved once, and once more, gives the same spikes: as many, and none moved
    by more than `NEAR`."""
    dt, found = COARSE, []
    while dt > FINEST:
        run = integrate(runge_kutta, dt, current)
        found.append((dt, run, np.zeros(0) if run is None else spikes(run[:, 0], dt)))
        last = [times for _, run, times in found[-3:] if run is not None]
        if len(last) == 3 and all(
            times.size == last[-1].size and (not times.size or np.abs(times - last[-1]).max() < NEAR) for times in last
        ):
            return found[-3][:2]
        dt /= 2
    raise SystemExit(f"{current} uA/cm2: spikes still move at a step of {2 * dt:g} ms")


def spikes(soma: np.ndarray, dt: float) -> np.ndarray:
    """When the soma crosses 0 mV upwards, in ms."""
    return np.flatnonzero((soma[1:] >= SPIKE) & (soma[:-1] < SPIKE)) * dt + dt


def steps_table() -> None:
    """What the size of Euler's step makes of a spiking neuron."""
    print(f"Eq. 17-18, {CURRENT} uA/cm2 into the dendrite for {DURATION:g} ms:")
    step, fine = reference(CURRENT)
    print(f"  {'step':>8}  {'method':<12}  {'spikes':>6}  {'first at':>9}  {'third at':>9}")
    for method, name, dt in (
        (runge_kutta, "Runge-Kutta", step), (euler, "Euler", 0.01), (euler, "Euler", 0.05), (euler, "Euler", 0.1),
        (euler, "Euler", 0.25), (euler, "Euler", 1.0),
    ):  # fmt: skip
        run = fine if method is runge_kutta else integrate(method, dt)
        if run is None:
            print(f"  {dt:>5g} ms  {name:<12}  breaks down")
            continue
        times = spikes(run[:, 0], dt)
        first, third = (f"{time:.1f} ms" for time in times[[0, 2]])
        print(f"  {dt:>5g} ms  {name:<12}  {times.size:>6}  {first:>9}  {third:>9}")


def passive(dt: float) -> tuple[float, float, float, float]:
    """(alpha1, beta1, alpha2, beta2) of Euler's step of Eq. 17-18 without ionic currents but the leak."""
    beta1, beta2 = dt / CM * GC / (1 - P), dt / CM * GC / P
    return 1 - dt / CM * GL - beta1, beta1, 1 - dt / CM * GL - beta2, beta2


def coefficients_table() -> None:
    """Leak and link alone: what Euler makes of them, the generalized neuron runs it."""
    print(f"\nLeak and link alone ({CM / GL:g} ms); time constant, and greatest error over 20 ms of the exact charge:")
    print(f"  {'step':>7}  {'alpha1, 2':>9}  {'beta1, 2':>8}  {'Eq. 19-20':>17}  {'Eq. 7-8':>17}")
    for dt in (0.05, 0.1, 0.2, 0.4):
        alpha1, beta1, alpha2, beta2 = passive(dt)
        steps = round(20 / dt)
        drive = dt / CM  # 1 uA/cm2 into the dendrite, from rest at 0
        neuron = tc.neurons.two_compartment(1, alpha1=alpha1, beta1=beta1, alpha2=alpha2, beta2=beta2, threshold=1e6)
        network = tc.Network(1, (tc.Layer("n", neuron, (tc.Connection("input", np.array([[drive]])),)),))
        ours = tc.simulate(network, np.ones((1, steps, 1)), traces=["n"]).traces["n"][1, 0, :, 0]
        matrix = np.array([[alpha1, beta1], [beta2, alpha2]])
        state, explicit = np.zeros(2), []
        for _ in range(steps):
            state = matrix @ state + [drive, 0.0]
            explicit.append(state[1])
        exact = charging(np.arange(1, steps + 1) * dt)
        sheared = np.array([[alpha1, beta1], [alpha1 * beta2, alpha2 + beta1 * beta2]])
        shown = []
        for each, run in ((matrix, np.array(explicit)), (sheared, ours)):
            constant, error = (
                -dt / math.log(np.linalg.eigvals(each).real.max()),
                np.abs(run - exact).max() / exact.max(),
            )
            shown.append(f"{constant:.1f} ms, {100 * error:.2f} %")
        print(f"  {dt:>4g} ms  {alpha1:>9.3f}  {beta1:>8.3f}", *(f"{text:>17}" for text in shown), sep="  ")


def charging(at: np.ndarray) -> np.ndarray:
    """The soma of the linear equations after each of these times, exactly, for 1 uA/cm2 into the dendrite."""
    link = np.array([[-GC / (1 - P), GC / (1 - P)], [GC / P, -GC / P]])
    system = (link - GL * np.eye(2)) / CM
    rates, modes = np.linalg.eig(system)
    end = np.linalg.solve(system, [-1 / CM, 0.0])
    shares = np.linalg.solve(modes, -end)
    return np.asarray(end[1] + (np.exp(np.outer(at, rates)) * shares) @ modes[1]).real


def rotation_table() -> None:
    """TC-LIF's couplings as an equation, and two ways to take a step of it."""
    print("\nTC-LIF's couplings as dU_D/dt = beta1 U_S, dU_S/dt = beta2 U_D: one step of 1")
    print(f"  {'beta1, beta2':<12}  {'angle, exact':>12}  {'Eq. 19-20':>9}  {'TC-LIF':>7}  {'length, exact':>13}  "
          f"{'Eq. 19-20':>9}  {'TC-LIF':>7}")  # fmt: skip
    for beta1, beta2 in ((-0.1, 0.1), (-0.2, 0.8), (-0.5, 0.5), (-0.8, 0.4), (-0.9, 0.9)):
        explicit = np.linalg.eigvals(np.array([[1.0, beta1], [beta2, 1.0]]))[0]
        ours = np.linalg.eigvals(step_jacobian(beta1, beta2))[0]
        angles = (math.sqrt(-beta1 * beta2), *(abs(np.angle(root)) for root in (explicit, ours)))
        lengths = (1.0, abs(explicit), abs(ours))
        print(f"  {f'{beta1}, {beta2}':<12}  {angles[0]:>12.4f}  {angles[1]:>9.4f}  {angles[2]:>7.4f}  "
              f"{lengths[0]:>13.4f}  {lengths[1]:>9.4f}  {lengths[2]:>7.4f}")  # fmt: skip


def tclif(current: float, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dendrite, soma and spikes of a TC-LIF neuron that a constant current drives, (steps,) each."""
    c1, c2 = (math.log(abs(beta) / (1 - abs(beta))) for beta in BETAS)
    neuron = tc.neurons.tclif(1, c1=c1, c2=c2, gamma=0.5, threshold=1.0)
    network = tc.Network(1, (tc.Layer("n", neuron, (tc.Connection("input", np.array([[current]])),)),))
    result = tc.simulate(network, np.ones((1, steps, 1)), spikes=True, traces=["n"])
    u, v = result.traces["n"][:, 0, :, 0]
    return u, v, result.spikes["n"][0, :, 0]


def rates_table() -> None:
    """How often both fire, and how, over constant currents."""
    print(f"\nConstant currents: Pinsky-Rinzel over {DURATION:g} ms, TC-LIF over 500 steps (beta -0.5, 0.5, gamma 0.5)")
    print(f"  {'uA/cm2':>7}  {'spikes':>6}  {'step':>9}    {'current':>7}  {'spikes':>6}  {'highest soma':>12}")
    for strong, weak in zip((-1.0, 1.0, 2.0, 4.0, 5.0), (0.1, 0.2, 0.24, 0.3, 0.5), strict=True):
        step, run = reference(strong)
        _, soma, fired = tclif(weak, 500)
        fast = spikes(run[:, 0], step).size
        print(f"  {strong:>7g}  {fast:>6}  {step:>6g} ms    {weak:>7g}  {fired.sum():>6}  {soma.max():>12.3f}")


def draw(path: Path) -> None:
    """Both neurons over time."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from tclif_deploy.report.static import STYLE

    step, fine = reference(CURRENT)
    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.2))
        above, below = figure.subplots(2, 1)
        at = np.arange(1, len(fine) + 1) * step
        every = max(round(0.1 / step), 1)
        for n, name, color, dash in ((1, "dendrite", "#b85400", "--"), (0, "soma", "#0065a3", "-")):
            above.plot(at[::every], fine[::every, n], dash, color=color, lw=0.8, label=name)
        above.set(xlabel="ms", ylabel="mV", title=f"Pinsky-Rinzel, {CURRENT} µA/cm² into the dendrite")
        u, v, fired = tclif(0.3, 100)
        for values, name, color, dash in ((u, "dendrite u", "#b85400", "--"), (v, "soma v", "#0065a3", "-")):
            below.plot(values, dash, color=color, lw=0.8, label=name)
        below.plot(np.flatnonzero(fired), np.ones(int(fired.sum())), "|", color="#1a1c1e", ms=6, label="spike")
        below.set(xlabel="step", ylabel="threshold is 1", title="TC-LIF, 0.3 a step into the dendrite")
        below.set_ylim(top=1.5)
        for axes in (above, below):
            axes.legend(frameon=False, fontsize=7, loc="upper right", ncols=3)
        figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, help="draw both neurons over time into this file")
    options = parser.parse_args()
    steps_table()
    coefficients_table()
    rotation_table()
    rates_table()
    if options.figure is not None:
        draw(options.figure)


if __name__ == "__main__":
    main()
