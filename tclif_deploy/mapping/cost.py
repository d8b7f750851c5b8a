"""Cost: what the counted operations take in energy and time, as ranges, with the evidence of every figure.

Energies are nJ an inference, times microseconds. `Formula` is beside them for comparison: Zhang et al., AAAI 2024,
Table 4, with the costs of an operation from Horowitz, ISSCC 2014.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.blas import one_blas_thread
from tclif_deploy.fixed import FixedConnection, FixedNetwork
from tclif_deploy.formulas.energy import LayerActivity, lif_energy, lstm_energy, tclif_energy
from tclif_deploy.mapping.activity import Activity
from tclif_deploy.mapping.operations import Counter, Operations, StepWork
from tclif_deploy.mapping.placement import Placement
from tclif_deploy.mapping.rules_network import kind_of, offers
from tclif_deploy.target.schema import EVIDENCE, Limit, Target

LOW, HIGH = 0, 1
Pair = tuple[float, float]

ENERGIES = {
    "synapses": ("energy_synapse",),
    "updates": ("energy_update_active", "energy_update_idle"),
    "messages": ("energy_spike",),
    "hops": ("energy_hop_horizontal", "energy_hop_vertical"),
}
"""Part of the energy -> the target's figures that it is made of."""
TIMES = ("time_synapse", "time_update_active", "time_update_idle", "time_spike", "time_hop", "time_barrier")


@dataclass(frozen=True)
class Energy:
    """nJ an inference: low from the lowest published figures, high from the highest. None: no figure is public.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> loihi2 = tc.load_target("loihi2")
    >>> placement, activity = tc.place(fixed, loihi2), tc.mapping.measure(fixed, test[:4])
    >>> estimate = tc.mapping.cost(fixed, loihi2, placement, activity)
    >>> {part: None if nj is None else round(nj[0], 1) for part, nj in estimate.energy.parts.items()}
    {'synapses': 3979.1, 'updates': 286.5, 'messages': 2.9, 'hops': 0.0}
    """

    parts: dict[str, Pair | None]
    """synapses, updates, messages, hops"""
    static: Pair | None
    """the chips' static power while the inference lasts; not in the total"""
    evidence: str | None
    """of the weakest figure used"""
    sources: dict[str, str]
    """figure -> where it comes from"""

    @property
    def total(self) -> Pair | None:
        """Of all parts that have figures."""
        known = [part for part in self.parts.values() if part is not None]
        return (sum(p[LOW] for p in known), sum(p[HIGH] for p in known)) if known else None


@dataclass(frozen=True)
class Latency:
    """Microseconds by the slowest core of each step, and the barrier that ends it: (low, high) of published figures.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> loihi2 = tc.load_target("loihi2")
    >>> placement, activity = tc.place(fixed, loihi2), tc.mapping.measure(fixed, test[:4])
    >>> estimate = tc.mapping.cost(fixed, loihi2, placement, activity)
    >>> [round(us, 2) for us in estimate.latency.us_per_step], estimate.latency.evidence
    ([10.07, 12.58], 'assumed')
    """

    us_per_step: Pair
    """mean over all steps"""
    us_worst_step: Pair
    us_per_inference: Pair
    evidence: str


@dataclass(frozen=True)
class Formula:
    """The paper's 45 nm formula on our own activity, nJ a step: the network as TC-LIF, and in its place LIF, LSTM.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> loihi2 = tc.load_target("loihi2")
    >>> placement, activity = tc.place(fixed, loihi2), tc.mapping.measure(fixed, test[:4])
    >>> estimate = tc.mapping.cost(fixed, loihi2, placement, activity)
    >>> f"{estimate.formula_45nm.tclif:.1f} nJ a step, {estimate.formula_45nm.lstm:.1f} as an LSTM"
    '14.1 nJ a step, 955.0 as an LSTM'
    """

    tclif: float
    lif: float
    lstm: float


@dataclass(frozen=True)
class Cost:
    """What a network costs on a target: counts, nJ an inference, and microseconds.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> loihi2 = tc.load_target("loihi2")
    >>> placement, activity = tc.place(fixed, loihi2), tc.mapping.measure(fixed, test[:4])
    >>> estimate = tc.mapping.cost(fixed, loihi2, placement, activity)
    >>> estimate.target, estimate.operations.synaptic, estimate.missing_neurons
    ('loihi2', 674426, ())
    """

    target: str
    operations: Operations
    energy: Energy
    latency: Latency | None
    """None: no figure is public"""
    formula_45nm: Formula
    assumptions: tuple[str, ...]
    missing_neurons: tuple[str, ...] = ()
    """kinds of neuron that the target does not have: the cost is then that of a network of this shape"""
    figures: str | None = None
    """whose figures these are modelled from, as the target says it"""


@one_blas_thread
@checked
def cost(fixed: FixedNetwork, target: Target, placement: Placement, activity: Activity) -> Cost:
    """Energy and latency of ``fixed`` on ``target`` at ``activity`` (see `tclif_deploy.mapping.measure`).

    Counted operations times the figures of the target file, which names the source and the evidence of each.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> loihi2 = tc.load_target("loihi2")
    >>> placement, activity = tc.place(fixed, loihi2), tc.mapping.measure(fixed, test[:4])
    >>> estimate = tc.mapping.cost(fixed, loihi2, placement, activity)
    >>> [round(nanojoule) for nanojoule in estimate.energy.total], estimate.energy.evidence
    ([4269, 6854], 'assumed')
    """
    counter = Counter(fixed, target, placement)
    operations = counter.count(activity)
    times = _latency(target, counter, activity, operations)
    energy = _energy(target, operations, placement, times)
    notes = [
        "every neuron is updated every step, active where it received an event; the high figure prices each state",
        "lists of synapses are read as they are stored, a dense list with its zeros",
        "a spike sends one message to each core for each connection; input enters at the first tile",
        "on-chip work only: no host, no input/output, no memory outside",
    ]
    if operations.messages_between_chips:
        notes.append(
            f"{operations.messages_between_chips:,} messages cross chips: no public figure, counted as tiles crossed"
        )
    one = fixed.arithmetic.one
    absent = tuple(sorted({k for layer in fixed.layers if not offers(target, k := kind_of(layer, one))}))
    if absent:
        notes.insert(0, f"{target.name} has no {' or '.join(absent)} neuron: a cost of this shape, not of this network")
    missing = [name for names in ENERGIES.values() for name in names if getattr(target, name) is None]
    if missing and energy.total is not None:
        notes.append(f"not counted, since {target.name} states no figure: {', '.join(missing)}")
    if times is not None:
        notes.append("a step lasts as long as its slowest core, the longest way of a message, and the barrier")
        silent = [name for name in TIMES if getattr(target, name) is None]
        if silent:
            notes.append(f"taken as no time, since {target.name} states no figure: {', '.join(silent)}")
    return Cost(target.name, operations, energy, times, formula(fixed, activity), tuple(notes), absent, target.figures)


def formula(fixed: FixedNetwork, activity: Activity) -> Formula:
    """The paper's 45 nm formula, summed over the spiking layers at their measured rates."""
    layers = []
    for layer in fixed.layers:
        if not layer.spiking:
            continue
        sources = [c.source for c in layer.connections if c.source != layer.name]
        inputs = sum(fixed.source_size(s) for s in sources)
        events = sum(fixed.source_size(s) * activity.rate(s) for s in sources)
        recurrent = len(sources) < len(layer.connections)
        rates = (events / inputs if inputs else 0.0, activity.rate(layer.name))
        forward, back = ([c for c in layer.connections if (c.source == layer.name) == own] for own in (False, True))
        layers.append(LayerActivity(inputs, layer.size, recurrent, *rates, _density(forward), _density(back)))
    return Formula(sum(map(tclif_energy, layers)), sum(map(lif_energy, layers)), sum(map(lstm_energy, layers)))


def _density(connections: list[FixedConnection]) -> float:
    """The share of all pairs of neuron and source that a weight joins, 0 or not; 1 for matrices."""
    pairs = sum(c.neurons * c.sources for c in connections)
    joined = sum(int(replace(c, weight=np.ones_like(c.weight)).fan_in().sum()) for c in connections)
    return joined / pairs if pairs else 1.0


def _energy(target: Target, done: Operations, placement: Placement, times: Latency | None) -> Energy:
    def price(*terms: tuple[str, float, float]) -> Pair | None:
        """Sum of count times figure in nJ an inference, for (figure, low count, high count); None without figures."""
        figures = [(getattr(target, name), low, high) for name, low, high in terms]
        known = [(limit.value, low, high) for limit, low, high in figures if limit is not None]
        if not known:
            return None
        scale = 1e-3 / done.samples
        return sum(v[LOW] * low for v, low, _ in known) * scale, sum(v[HIGH] * high for v, _, high in known) * scale

    messages = done.by_part()["messages"]
    parts = {
        "synapses": price(("energy_synapse", done.synaptic, done.synaptic)),
        "updates": price(
            ("energy_update_active", done.updates_active, done.state_updates_active),
            ("energy_update_idle", done.updates_idle, done.state_updates_idle),
        ),
        "messages": price(("energy_spike", messages, messages)),
        "hops": price(
            ("energy_hop_horizontal", done.hops_horizontal, done.hops_horizontal),
            ("energy_hop_vertical", done.hops_vertical, done.hops_vertical),
        ),
    }
    used = {n: limit for names in ENERGIES.values() for n in names if (limit := getattr(target, n)) is not None}
    power = target.static_power
    static = None
    if power is not None and times is not None:
        # mW times us is nJ
        static = tuple(placement.chips * power.value[n] * times.us_per_inference[n] for n in (LOW, HIGH))
    return Energy(parts, static, _weakest(used), {name: limit.source for name, limit in used.items()})  # type: ignore[arg-type]


def _latency(target: Target, counter: Counter, activity: Activity, done: Operations) -> Latency | None:
    known = {name: limit for name in TIMES if (limit := getattr(target, name)) is not None}
    if target.time_synapse is None:
        return None
    low, high = [], []
    for batch in activity.batches:
        work = counter.work(batch)
        low.append(_slowest(work, target, LOW, 1.0))
        high.append(_slowest(work, target, HIGH, work.states))
    steps = np.concatenate(low), np.concatenate(high)
    after = [_figure(target, "time_hop", n) * done.longest_way + _figure(target, "time_barrier", n) for n in (0, 1)]
    us = [(s.astype(np.float64) + a) / 1e3 for s, a in zip(steps, after, strict=True)]
    return Latency(
        us_per_step=(float(us[LOW].mean()), float(us[HIGH].mean())),
        us_worst_step=(float(us[LOW].max()), float(us[HIGH].max())),
        us_per_inference=(float(us[LOW].sum() / done.samples), float(us[HIGH].sum() / done.samples)),
        evidence=_weakest(known) or "assumed",
    )


def _slowest(work: StepWork, target: Target, end: int, states: Any) -> Any:
    """ns of the slowest core in each step, (steps,)."""
    time = work.synaptic * _figure(target, "time_synapse", end)
    time = time + work.active * states * _figure(target, "time_update_active", end)
    time = time + work.idle * states * _figure(target, "time_update_idle", end)
    return (time + work.sent * _figure(target, "time_spike", end)).max(axis=1)


def _figure(target: Target, name: str, end: int) -> float:
    limit = getattr(target, name)
    return 0.0 if limit is None else float(limit.value[end])


def _weakest(used: dict[str, Limit[Any]]) -> str | None:
    return max((limit.evidence for limit in used.values()), key=EVIDENCE.index, default=None)
