"""How one layer of canonical neurons is spelled in NIR's primitives, and read back from them.

NIR describes differential equations; read with forward Euler and dt = 1, an integrator ``I`` does
``x <- x + sum(inputs)``. All inputs of a layer's integrators come from their values *before* the step, so that they
may be updated at once or one after the other. One TC-LIF layer, with S a ``Scale``, T a ``Threshold``::

    reset_dendrite = S(-r_u)(spikes)                  decay_dendrite = S(a_u - 1)(dendrite + reset_dendrite)
    reset_soma     = S(-r_v)(spikes)                  decay_soma     = S(a_v - 1)(soma + reset_soma)
    soma_to_dendrite = S(b_u)(soma + reset_soma)
    charge           = reset_dendrite + decay_dendrite + soma_to_dendrite + input
    dendrite_to_soma = S(b_v)(dendrite + charge)      (the new dendrite, without waiting for it)
    dendrite <- dendrite + charge
    soma     <- soma + reset_soma + decay_soma + dendrite_to_soma
    spikes   = T(soma)

So the integrators hold the states before their reset, which the next step applies; every coefficient has a node
of its own and is read back without a division. The decays are left out where they are 0 (a = 1). Besides:

- NIR's threshold is strict: ``v >= theta`` becomes ``v > nextafter(theta, -inf)``.
- The current's own compartment gets its bias from the Affine before the layer, the other one from
  ``bias = S(bias)(one)`` with ``one = T(-1)(S(0)(input))``.
- ``v0`` and ``u0`` are pulses in the first step that act like resets: ``started <- started + first`` with
  ``first = T(-1/2)(S(-1)(started))``. So is ``s0``, which the resets take as they take spikes; a soma that resets hard
  starts where that leaves it. What connections of one step bring of their sources' ``s0`` is a pulse into the current's
  own compartment.
- A hard reset is a product of a state and a spike. Only NIR's IF and LIF contain one, and they do not show their
  state; so it can be written where nothing but the soma itself reads the soma (b_u = 0): the soma is an ``IF`` or
  a ``LIF``. For the same reason a soft reset with ``q`` cannot be written at all.
- A readout's output is the soma.

Names sort in evaluation order, as ``nir.read`` returns nodes alphabetically.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.nir.graph import Edges, NirGraph, NotInNir, Primitive
from tclif_deploy.network import Float, Neuron
from tclif_deploy.neurons import canonical

IN, OUT = "00_input", "17_output"
ZERO, ONE, BIAS = "01_zero", "02_one", "03_bias"
WAITING, FIRST, START, STARTED = "04_waiting", "05_first", "06_start", "13_started"
START_U, START_SPIKES, START_CURRENT = "06_start_dendrite", "06_start_spikes", "06_start_current"
RESET_U, RESET_V = "07_reset_dendrite", "08_reset_soma"
DECAY_U, DECAY_V = "09_decay_dendrite", "12_decay_soma"
V_TO_U, U_TO_V = "10_soma_to_dendrite", "11_dendrite_to_soma"
U, V, SPIKES = "14_dendrite", "15_soma", "16_spikes"

TOLERANCE = 1e-12
"""To this, relative to 1 or to the value where that is larger, coefficients come back from the primitives."""

_FORM = "expected a layer as write_nir makes it"


def check_expressible(neuron: Neuron, where: str) -> None:
    """Raise `NotInNir` with the reason where ``neuron`` cannot be written; ``where`` says which layer it is."""
    n = neuron
    if not n.spiking:
        return
    if n.reset == "hard":
        if n.r_u.any():
            raise NotInNir(
                f"{where}: a hard reset that takes r_u from the dendrite cannot be written as NIR",
                "leave r_u at 0, or use a soft reset",
            )
        if n.b_u.any():
            raise NotInNir(
                f"{where}: a hard reset of a soma that feeds its dendrite (b_u != 0) cannot be written as NIR, "
                "whose primitives do not multiply a state by a spike",
                "use a soft reset",
            )
        if (n.a_v == 1).any() and (n.a_v != 1).any():
            raise NotInNir(
                f"{where}: a hard reset where some neurons leak and others do not (a_v = 1) cannot be written as one "
                "NIR node",
                "put them into layers of their own",
            )
        return
    if n.q.any():
        raise NotInNir(
            f"{where}: q != 0 cannot be written as NIR, whose primitives do not multiply a state by a spike",
            "leave q at 0",
        )
    if (_nir_threshold(n) < 0).any():
        raise NotInNir(
            f"{where}: a threshold of {n.threshold.min():g} cannot be written as NIR: "
            "the states' initial 0 would be a spike",
            "thresholds must be above 0",
        )


def layer_graph(
    neuron: Neuron, metadata: Mapping[str, Float | str] | None = None, start_current: Float | None = None
) -> NirGraph:
    """The primitives of a layer that `check_expressible` accepts; its current enters at `IN`.

    ``start_current`` (neurons,) is what its sources' s0 bring in the first step.
    """
    n, ones, zeros = neuron, np.ones(neuron.size), np.zeros(neuron.size)
    hard = n.spiking and n.reset == "hard"
    nodes: dict[str, Primitive] = {IN: Primitive("Input", {"shape": np.array([n.size])}), U: _integrator(ones)}
    bias = n.bias_v if n.input_to == "dendrite" else n.bias_u
    # The dendrite of a hard-reset layer with input to the soma has no other input, and NIR wants every node fed.
    # Nor does anything take its s0, since its soma starts behind that reset, and NIR wants one end: times 0 it does.
    if bias.any() or (hard and (n.input_to == "soma" or n.s0.any())):
        nodes |= {ZERO: _scale(zeros), ONE: _threshold(-ones), BIAS: _scale(bias)}
    starts = {
        START: n.start[1] if hard else n.v0, START_U: n.u0, START_SPIKES: n.s0,
        START_CURRENT: zeros if start_current is None else start_current,
    }  # fmt: skip
    starts = {name: values for name, values in starts.items() if values.any()}
    if starts:
        nodes |= {WAITING: _scale(-ones), FIRST: _threshold(-ones / 2), STARTED: _integrator(ones)}
        nodes |= {name: _scale(values) for name, values in starts.items()}
    if (n.a_u != 1).any():
        nodes[DECAY_U] = _scale(n.a_u - 1)
    nodes[U_TO_V] = _scale(n.b_v)
    if not hard:
        nodes |= {V: _integrator(ones), V_TO_U: _scale(n.b_u)}
    if (n.a_v != 1).any() and (not hard or START in starts):
        nodes[DECAY_V] = _scale(n.a_v - 1)
    if hard:
        nodes[V] = _resetting_soma(n)
    elif n.spiking:
        nodes |= {RESET_U: _scale(-n.r_u), RESET_V: _scale(-n.r_v), SPIKES: _threshold(_nir_threshold(n))}
    nodes[OUT] = Primitive("Output", {"shape": np.array([n.size])})
    return NirGraph(
        dict(sorted(nodes.items())), _edges(frozenset(nodes), hard, n.input_to == "dendrite"), metadata or {}
    )


def layer_size(graph: NirGraph, where: str) -> int:
    """Number of neurons of a layer's graph, after a check that all its parameters have this size."""
    for name in (IN, U_TO_V, U, V, OUT):
        if name not in graph.nodes:
            raise TclifError(f"{where}: no node {name} in it", _FORM)
    anchor = graph.nodes[U]
    if isinstance(anchor, NirGraph) or anchor.kind != "I" or anchor.arrays["r"].ndim != 1:
        raise TclifError(f"{where}/{U}: is not an I with r of shape (neurons,)", _FORM)
    size = int(anchor.arrays["r"].size)
    for name, node in graph.nodes.items():
        for key, value in node.arrays.items() if isinstance(node, Primitive) else ():
            fits = value.tolist() in (size, [size]) if key == "shape" else value.shape == (size,)
            if not fits:
                actual = value.tolist() if key == "shape" else value.shape
                raise TclifError(f"{where}/{name}: {key} is {actual}, but {U} has {size} neurons")
    return size


def read_layer(graph: NirGraph, where: str) -> Neuron:
    """The neurons whose `layer_graph` is ``graph``, without the metadata and without the input's own bias.

    What the primitives cannot tell comes back as its equivalent: strict as not strict, coefficients without effect
    (``v_reset`` of a soft reset, the threshold of a readout) as 0. Raises `TclifError`, which names the node.
    """
    size = layer_size(graph, where)

    def get(name: str, key: str, default: float = 0.0) -> Float:
        node = graph.nodes.get(name)
        if node is None:
            return np.full(size, default)
        if isinstance(node, NirGraph) or key not in node.arrays:
            kind = "NIRGraph" if isinstance(node, NirGraph) else node.kind
            raise TclifError(f"{where}/{name}: is a {kind}, which has no {key}", _FORM)
        return np.asarray(node.arrays[key], np.float64)

    soma = graph.nodes[V]
    kind = soma.kind if isinstance(soma, Primitive) else ""
    hard, spiking = kind in ("IF", "LIF"), kind in ("IF", "LIF") or SPIKES in graph.nodes
    decay_v = get(DECAY_V, "scale")
    if kind == "LIF":
        decay_v = _leak(get(V, "tau"))
    threshold = get(V, "v_threshold") if hard else get(SPIKES, "threshold")
    to_dendrite = (IN, V) not in graph.edges
    bias: dict[str, Any] = {"bias_v" if to_dendrite else "bias_u": get(BIAS, "scale")}
    neuron = canonical(
        size, "generic", reset="hard" if hard else "soft", spiking=spiking,
        input_to="dendrite" if to_dendrite else "soma",
        a_u=1 + get(DECAY_U, "scale"), b_u=get(V_TO_U, "scale"), a_v=1 + decay_v, b_v=get(U_TO_V, "scale"),
        threshold=np.nextafter(threshold, np.inf) if spiking else 0.0,
        r_u=0 - get(RESET_U, "scale"), r_v=0 - get(RESET_V, "scale"),
        v_reset=get(V, "v_reset") if hard else 0.0, v0=get(START, "scale"), u0=get(START_U, "scale"),
        s0=get(START_SPIKES, "scale"),
        **bias,
    )  # fmt: skip
    check_expressible(neuron, where)
    return neuron


def differences(graph: NirGraph, expected: NirGraph, exact: bool) -> list[str]:
    """What of ``graph``, the nodes and edges of a layer, is not as ``expected``; each in a few words.

    Numbers must be equal where ``exact``, else within `TOLERANCE`.
    """
    messages = []
    for name in sorted(graph.nodes.keys() | expected.nodes.keys()):
        node, wanted = graph.nodes.get(name), expected.nodes.get(name)
        if node is None or wanted is None:
            messages.append(f"node {name} {'is missing' if node is None else 'does not belong here'}")
        elif isinstance(node, NirGraph) or isinstance(wanted, NirGraph) or node.kind != wanted.kind:
            kinds = ["NIRGraph" if isinstance(n, NirGraph) else n.kind for n in (node, wanted)]
            messages.append(f"node {name} is a {kinds[0]}, expected {kinds[1]}")
        else:
            a, b = (node.arrays, wanted.arrays) if exact else (_effect(node), _effect(wanted))
            messages += [
                f"{name}.{key} is off by {_distance(a[key], b[key]):.3g}" for key in b if _differ(a[key], b[key], exact)
            ]
    edges, wanted_edges = set(graph.edges), set(expected.edges)
    messages += [f"edge {a} -> {b} is missing" for a, b in sorted(wanted_edges - edges)]
    messages += [f"edge {a} -> {b} does not belong here" for a, b in sorted(edges - wanted_edges)]
    if len(graph.edges) != len(edges):
        messages.append("an edge occurs twice")
    return messages


def _nir_threshold(n: Neuron) -> Float:
    """The threshold of a strict comparator that fires as ``n`` does."""
    return n.threshold if n.strict else np.nextafter(n.threshold, -np.inf)


def _scale(scale: Float) -> Primitive:
    return Primitive("Scale", {"scale": scale})


def _threshold(threshold: Float) -> Primitive:
    return Primitive("Threshold", {"threshold": threshold})


def _integrator(r: Float) -> Primitive:
    return Primitive("I", {"r": r})


def _resetting_soma(n: Neuron) -> Primitive:
    """A soma with hard reset: v <- v + I, or v <- v + (-v + tau*I)/tau = a_v*v + I."""
    fires = {"v_reset": n.v_reset, "v_threshold": _nir_threshold(n)}
    if (n.a_v == 1).all():
        return Primitive("IF", {"r": np.ones(n.size), **fires})
    tau = 1 / (1 - n.a_v)
    return Primitive("LIF", {"r": tau, "tau": tau, "v_leak": np.zeros(n.size), **fires})


def _edges(nodes: frozenset[str], hard: bool, to_dendrite: bool) -> Edges:
    """All edges of the form between those ``nodes`` that are there."""
    current, other = (IN, BIAS) if to_dendrite else (BIAS, IN)
    charge = (RESET_U, START_U, DECAY_U, V_TO_U, current, *((START_CURRENT,) if to_dendrite else ()))
    targets: dict[str, tuple[str, ...]] = {
        ZERO: (IN, START_SPIKES) if hard else (IN,), ONE: (ZERO,), BIAS: (ONE,),
        WAITING: (STARTED,), FIRST: (WAITING,), STARTED: (FIRST,),
        START: (FIRST,), START_U: (FIRST,), START_SPIKES: (FIRST,), START_CURRENT: (FIRST,),
        RESET_U: (START_SPIKES, SPIKES), RESET_V: (START_SPIKES, SPIKES),
        DECAY_U: (U, RESET_U, START_U), V_TO_U: (V, RESET_V, START), U_TO_V: (U, *charge),
        # IF and LIF decay by themselves, and show spikes instead of a state.
        DECAY_V: (START,) if hard else (V, RESET_V, START),
        U: charge, V: (RESET_V, START, DECAY_V, U_TO_V, other, *(() if to_dendrite else (START_CURRENT,))),
        SPIKES: (V,), OUT: (SPIKES,) if SPIKES in nodes else (V,),
    }  # fmt: skip
    return tuple(
        sorted(
            (source, target) for target in nodes if target in targets for source in targets[target] if source in nodes
        )
    )


def _leak(tau: Float) -> Float:
    """What a LIF adds to its state of v: -1/tau, nan for the tau = 0 that has no meaning."""
    return -1 / np.where(tau == 0, np.nan, tau)


def _effect(node: Primitive) -> Mapping[str, NDArray[Any]]:
    """The numbers of a node's update; a time constant near infinity has an effect near 0."""
    if node.kind != "LIF":
        return node.arrays
    arrays = dict(node.arrays)
    leak = _leak(arrays["tau"])
    return arrays | {"tau": leak, "r": -arrays["r"] * leak}


def _distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a - b).max()) if a.shape == b.shape else float("nan")


def _differ(a: NDArray[Any], b: NDArray[Any], exact: bool) -> bool:
    if exact or a.shape != b.shape:
        return not np.array_equal(a, b)
    return bool((np.abs(a - b) > TOLERANCE * np.maximum(1, np.abs(b))).any())
