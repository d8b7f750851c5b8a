"""The rule about what a network does on data: the one place that says a layer is silent, busy or overflows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tclif_deploy.fixed import FixedLayer, FixedNetwork
from tclif_deploy.mapping.activity import Behaviour, LayerBehaviour
from tclif_deploy.mapping.findings import Context, Finding, worst_first
from tclif_deploy.network import INPUT
from tclif_deploy.text import count

SILENT_RATE = 0.0
"""a layer with this rate says nothing"""
BUSY_RATE = 0.9
"""a layer that fires in more than this share of its neuron steps says nothing any more"""

_finding = partial(Finding, kind="network")
"""one about the network itself, whatever the target"""


def behaviour_findings(fixed: FixedNetwork, behaviour: Behaviour) -> tuple[Finding, ...]:
    """What to worry about in what ``fixed`` does on data, worst first.

    A layer that is silent is an error where the float network fires there, or may for all that is known.
    """
    return worst_first(_findings(fixed, behaviour))


def behaviour(c: Context) -> Iterator[Finding]:
    """On the data no layer is silent or fires without end, no state overflows, no input is clipped."""
    if c.behaviour is not None:
        yield from _findings(c.fixed, c.behaviour)


def _findings(fixed: FixedNetwork, behaviour: Behaviour) -> Iterator[Finding]:
    on_data = f"on {count(behaviour.samples, 'sample')}"
    for layer in fixed.layers:
        layer_behaviour = behaviour.layers[layer.name]
        if layer_behaviour.rate == SILENT_RATE:
            yield _silent(layer, fixed, behaviour, on_data)
        if layer_behaviour.rate is not None and layer_behaviour.rate > BUSY_RATE:
            yield _busy(layer, layer_behaviour)
        if layer_behaviour.overflows:
            value = f"{layer_behaviour.overflows:,} state values overflowed {on_data}"
            yield _finding("overflow", "warning", layer.name, value, "",
                           "these data drive it further than the calibration data did: calibrate on data like these, "
                           "or give more --headroom")  # fmt: skip
    if behaviour.input_clipped:
        yield _finding("clipped_input", "warning", INPUT, f"{behaviour.input_clipped:,} values clipped {on_data}",
                     f"+-{fixed.input.limit:,}", "calibrate on data that reach as far as these")  # fmt: skip


def _silent(layer: FixedLayer, fixed: FixedNetwork, behaviour: Behaviour, on_data: str) -> Finding:
    rate = behaviour.layers[layer.name].rate_float
    if rate == SILENT_RATE:
        return _finding("silent_layer", "warning", layer.name, f"no spike {on_data}, in float neither", "",
                      "other data, or training: nothing comes out of it")  # fmt: skip
    known = "whether float fires is not known" if rate is None else f"float fires in {_share(rate)}"
    cause, remedy = _cause(layer, fixed, behaviour)
    return _finding("silent_layer", "error", layer.name, f"no spike {on_data} ({known}): {cause}", "", remedy,
                  excess=1e3)  # fmt: skip


def _cause(layer: FixedLayer, fixed: FixedNetwork, behaviour: Behaviour) -> tuple[str, str]:
    """The likeliest cause of a layer's silence, and what would help."""
    sources = {c.source for c in layer.connections} & set(behaviour.layers) - {layer.name}
    silent_sources = [
        name for name in behaviour.layers if name in sources and behaviour.layers[name].rate == SILENT_RATE
    ]
    if silent_sources:
        return f"its source {silent_sources[0]} is silent", "mend that layer first"
    if not any(c.weight.any() for c in layer.connections):
        return "all of its weights were rounded to 0", "more weight bits"
    if behaviour.layers[layer.name].overflows:
        return "its states overflow below the threshold", "more headroom or state bits"
    limit, lowest = 2 ** (fixed.arithmetic.bits_v - 1) - 1, int(layer.threshold.min())
    if lowest > limit:
        return f"its thresholds (from {lowest:,}) lie above the states' limit {limit:,}", "more state bits"
    if layer.shift < 0:
        return f"its currents are shifted right by {-layer.shift} bits, which leaves nothing", "more state bits"
    if behaviour.layers[layer.name].rate_float is None:
        return "its float network may be silent too", "compile it with data, which compares both"
    return "its currents are too small in LSBs", "compare the calibration data's scale with these data's"


def _busy(layer: FixedLayer, layer_behaviour: LayerBehaviour) -> Finding:
    assert layer_behaviour.rate is not None
    value = f"fires in {_share(layer_behaviour.rate)}"
    remedy = "look at its thresholds and resets"
    if layer_behaviour.rate_float is not None:
        value += f", float in {_share(layer_behaviour.rate_float)}"
        if layer_behaviour.rate_float <= BUSY_RATE:
            remedy = "more headroom or state bits"
    return _finding(
        "busy_layer", "warning", layer.name, value, f"{100 * BUSY_RATE:.0f} %", remedy, layer_behaviour.rate / BUSY_RATE
    )


def _share(rate: float) -> str:
    return f"{100 * rate:.3g} % of its neuron steps"
