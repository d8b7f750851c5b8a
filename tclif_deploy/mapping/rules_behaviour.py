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


def _findings(fixed: FixedNetwork, seen: Behaviour) -> Iterator[Finding]:
    on_data = f"on {count(seen.samples, 'sample')}"
    for layer in fixed.layers:
        does = seen.layers[layer.name]
        if does.rate == SILENT_RATE:
            yield _silent(layer, fixed, seen, on_data)
        if does.rate is not None and does.rate > BUSY_RATE:
            yield _busy(layer, does)
        if does.overflows:
            value = f"{does.overflows:,} state values overflowed {on_data}"
            yield _finding("overflow", "warning", layer.name, value, "",
                           "these data drive it further than the calibration data did: calibrate on data like these, "
                           "or give more --headroom")  # fmt: skip
    if seen.input_clipped:
        yield _finding("clipped_input", "warning", INPUT, f"{seen.input_clipped:,} values clipped {on_data}",
                     f"+-{fixed.input.limit:,}", "calibrate on data that reach as far as these")  # fmt: skip


def _silent(layer: FixedLayer, fixed: FixedNetwork, seen: Behaviour, on_data: str) -> Finding:
    rate = seen.layers[layer.name].rate_float
    if rate == SILENT_RATE:
        return _finding("silent_layer", "warning", layer.name, f"no spike {on_data}, in float neither", "",
                      "other data, or training: nothing comes out of it")  # fmt: skip
    known = "whether float fires is not known" if rate is None else f"float fires in {_share(rate)}"
    cause, remedy = _cause(layer, fixed, seen)
    return _finding("silent_layer", "error", layer.name, f"no spike {on_data} ({known}): {cause}", "", remedy,
                  excess=1e3)  # fmt: skip


def _cause(layer: FixedLayer, fixed: FixedNetwork, seen: Behaviour) -> tuple[str, str]:
    """The likeliest cause of a layer's silence, and what would help."""
    sources = {c.source for c in layer.connections} & set(seen.layers) - {layer.name}
    dead = [name for name in seen.layers if name in sources and seen.layers[name].rate == SILENT_RATE]
    if dead:
        return f"its source {dead[0]} is silent", "mend that layer first"
    if not any(c.weight.any() for c in layer.connections):
        return "all of its weights were rounded to 0", "more weight bits"
    if seen.layers[layer.name].overflows:
        return "its states overflow below the threshold", "more headroom or state bits"
    limit, lowest = 2 ** (fixed.arithmetic.bits_v - 1) - 1, int(layer.threshold.min())
    if lowest > limit:
        return f"its thresholds (from {lowest:,}) lie above the states' limit {limit:,}", "more state bits"
    if layer.shift < 0:
        return f"its currents are shifted right by {-layer.shift} bits, which leaves nothing", "more state bits"
    if seen.layers[layer.name].rate_float is None:
        return "its float network may be silent too", "compile it with data, which compares both"
    return "its currents are too small in LSBs", "compare the calibration data's scale with these data's"


def _busy(layer: FixedLayer, does: LayerBehaviour) -> Finding:
    assert does.rate is not None
    value = f"fires in {_share(does.rate)}"
    remedy = "look at its thresholds and resets"
    if does.rate_float is not None:
        value += f", float in {_share(does.rate_float)}"
        if does.rate_float <= BUSY_RATE:
            remedy = "more headroom or state bits"
    return _finding(
        "busy_layer", "warning", layer.name, value, f"{100 * BUSY_RATE:.0f} %", remedy, does.rate / BUSY_RATE
    )


def _share(rate: float) -> str:
    return f"{100 * rate:.3g} % of its neuron steps"
