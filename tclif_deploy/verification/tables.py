"""A verdict in one sentence and as tables: at a prompt, on the page, on a terminal, and for pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tclif_deploy import extras
from tclif_deploy.display import Brief
from tclif_deploy.text import NONE, count, percent, points

if TYPE_CHECKING:
    from tclif_deploy.verification.verdict import Verdict

FRAME_COLUMNS = (
    "layer", "jaccard", "spike_rate_float", "spike_rate_fixed", "saturations", "first_sample", "first_step",
    "first_neuron",
)  # fmt: skip
"""the last three are the place of the first divergence"""
LAYER_COLUMNS = (
    "layer", "spike overlap (Jaccard)", "rate, float", "rate, fixed", "first divergence", "SNR", "overflows",
)  # fmt: skip
LAYER_LEGEND = "first divergence: sample, step, neuron"
"""what its columns mean"""


def verdict_frame(verdict: Verdict) -> Any:
    """A pandas ``DataFrame`` with a row of `FRAME_COLUMNS` for each spiking layer, named by layer."""
    try:
        import pandas
    except ImportError:
        raise extras.missing("to_frame", "print the verdict", "pandas") from None
    rows = [
        (
            la.name, la.jaccard, la.spike_rate_float, la.spike_rate_fixed, verdict.saturations.get(la.name),
            *((None,) * 3 if (at := la.first_divergence) is None else (at.sample, at.step, at.neuron)),
        )
        for la in verdict.layers
    ]  # fmt: skip
    return pandas.DataFrame(rows, columns=list(FRAME_COLUMNS)).set_index("layer")


def layer_rows(verdict: Verdict) -> tuple[tuple[str, ...], ...]:
    """A row of `LAYER_COLUMNS` for each layer; the last one, the output, also has its signal over its error."""
    spiking = {layer.name: layer for layer in verdict.layers}
    rows = []
    for name, overflows in verdict.saturations.items():
        spikes: tuple[str, ...] = ("",) * 4
        if name in spiking:
            layer, at = spiking[name], spiking[name].first_divergence
            spikes = (
                NONE if layer.jaccard is None else f"{layer.jaccard:.4f}", percent(layer.spike_rate_float),
                percent(layer.spike_rate_fixed), "none" if at is None else f"{at.sample}, {at.step}, {at.neuron}",
            )  # fmt: skip
        rows.append([name, *spikes, "", f"{overflows:,}"])
    if rows:
        rows[-1][-2] = decibels(verdict.logit_snr_db)
    return tuple(map(tuple, rows))


def figure(value: float | None) -> str:
    """Four digits of a figure of numbers, where there is one."""
    return NONE if value is None else f"{value:.4g}"


def decibels(snr: float | None) -> str:
    """A signal over its error, where there is one."""
    return "no error" if snr is None else f"{snr:.1f} dB"


def sentence(verdict: Verdict) -> str:
    """Agreement, accuracy, and whether the backends equal the reference."""
    v = verdict
    judged_steps = f" ({count(v.judged, 'step')})" if v.judged is not None and v.task.startswith("step") else ""
    on = f"on {count(v.samples, 'sample')}{judged_steps}"
    if v.r2 is not None and v.rmse is not None:
        parts = [f"R² against float {figure(v.r2.agreement)} {on}"]
        if v.rmse.original is not None:
            parts.append(f"R² {figure(v.r2.original)} -> {figure(v.r2.quantized)}")
            parts.append(f"rmse {figure(v.rmse.original)} -> {figure(v.rmse.quantized)}")
    else:
        parts = [f"agreement {percent(v.agreement_argmax)} {on}"]
    if v.accuracy_float is not None:
        lost = "" if v.accuracy_fixed is None else f" ({points(v.accuracy_fixed - v.accuracy_float)})"
        parts.append(f"accuracy {percent(v.accuracy_float)} -> {percent(v.accuracy_fixed)}{lost}")
    if v.rule_loss is not None:
        parts.append(
            f"float itself says the same by {v.rule} as by {v.rule_loss.declared} on {percent(v.rule_loss.agreement)}"
        )
    agree = [name for name, check in v.backends.items() if check.equal]
    if agree:
        steps = sum(v.backends[name].neuron_steps for name in agree)
        verb = "equals" if len(agree) == 1 else "equal"
        parts.append(f"{', '.join(agree)} {verb} the reference in every bit of {steps:,} neuron steps")
    parts += [f"{name} DIFFERS from the reference" for name in v.backends if name not in agree]
    return ", ".join(parts)


def verdict_brief(verdict: Verdict) -> Brief:
    """The sentence, and the layers as a table."""
    return Brief(f"Verdict: {sentence(verdict)} ({LAYER_LEGEND})", LAYER_COLUMNS, layer_rows(verdict))
