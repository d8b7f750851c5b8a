"""What was done to it: distributions against the representable range, scales, coefficients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.builds import Build
from tclif_deploy.builds.record import BINS, REACH, LayerRecord, weight_edges, weight_histogram
from tclif_deploy.fixed import FixedLayer
from tclif_deploy.formulas.dynamics import rotation_frequency
from tclif_deploy.quantization.width_trials import WidthSearch, kib
from tclif_deploy.report.content import Block, Note, Plots, Section, Table
from tclif_deploy.report.figure import Figure, Panel, Role, Series
from tclif_deploy.text import NONE, count, percent, span

COUPLINGS_SHOWN = 6
"""of a layer whose neurons have couplings of their own, the worst ones"""


def quantization(build: Build) -> Section:
    """Tables of scales and couplings, then each layer's distributions."""
    m = build.fixed.arithmetic
    blocks: list[Block] = [*width_blocks(build.report.widths), _scales(build)]
    if build.record is None:
        blocks.append(Note("Distributions and the float couplings are not stored in this build."))
    else:
        blocks.append(_couplings(build))
        if not build.report.verified:
            blocks.append(Note("No data were given, so no states were seen: only weights are drawn."))
        blocks += [Plots(_distributions(build, layer)) for layer in build.fixed.layers]
    caption = (
        f"What was done to it: {_widths(build)} weights, {m.frac_bits}-bit coefficients, "
        f"{m.bits_u}-bit dendrites, {m.bits_v}-bit somas, products rounded {m.rounding.replace('_', ' ')}. "
        "Values must lie in the representable range; they should also use it."
    )
    return Section("quantization", "Quantization", caption, tuple(blocks))


def _widths(build: Build) -> str:
    """Bits of the weights, of each layer where they differ."""
    bits = build.weight_bits
    return f"{bits[0]}-bit" if len(set(bits)) == 1 else f"{', '.join(map(str, bits))}-bit (by layer)"


def width_blocks(search: WidthSearch | None) -> tuple[Table, ...]:
    """The widths that were tried, where they were chosen: what each would cost."""
    if search is None:
        return ()
    rows = tuple(
        (
            ", ".join(map(str, trial.bits)), percent(trial.lost).replace("-", "−"),
            percent(trial.readout_error, 1), kib(trial.memory), NONE if trial.cores is None else str(trial.cores),
            ("yes" if trial.meets(search.goal) else "no") + (", chosen" if n == search.chosen else ""),
        )
        for n, trial in enumerate(search.trials)
    )  # fmt: skip
    title = f"Weight bits that were tried on {count(search.samples, 'calibration sample')}, against {search.goal}"
    columns = ("bits by layer", search.loss, "readout error", "synaptic memory", "cores", "meets it")
    return (Table(title, columns, rows, left=("meets it",)),)


def _scales(build: Build) -> Table:
    rows = tuple(
        (
            layer.name, _span(layer.lsb_u), _span(layer.lsb_v), f"{layer.shift:+d}",
            _span(layer.threshold) if layer.spiking else NONE,
        )
        for layer in build.fixed.layers
    )  # fmt: skip
    return Table(
        "Scales: what one unit of a state means to the float network, over a layer's neurons",
        ("layer", "LSB of u", "LSB of v", "shift f", "threshold in LSB"), rows, left=("layer",),
    )  # fmt: skip


def _span(values: NDArray[Any]) -> str:
    return span(float(values.min()), float(values.max()))


def _couplings(build: Build) -> Table:
    """β before and after: the rotation's frequency is what must be kept."""
    assert build.record is not None
    one = build.fixed.arithmetic.one
    rows: list[tuple[str, ...]] = []
    for layer in build.fixed.layers:
        original = build.record.layer(layer.name).couplings
        pairs = np.unique(np.stack([original[0], original[1], layer.b_u / one, layer.b_v / one]), axis=1).T
        compared = []
        for b1, b2, fixed1, fixed2 in pairs.tolist():
            before, after = (rotation_frequency(u, v, math.nan) for u, v in ((b1, b2), (fixed1, fixed2)))
            error = abs(after / before - 1) if before > 0 and math.isfinite(after) else math.nan
            texts = (f"{b1:+.5f}", f"{b2:+.5f}", f"{round(fixed1 * one):+d}", f"{round(fixed2 * one):+d}")
            turns = (f"{before:.5f}", f"{after:.5f}") if b1 * b2 != 0 else (NONE, NONE)
            compared.append((error if math.isfinite(error) else -1.0, (*texts, *turns, _error(error))))
        compared.sort(key=lambda item: -item[0])
        for n, (_, cells) in enumerate(compared[:COUPLINGS_SHOWN]):
            more = (
                f" (worst {COUPLINGS_SHOWN} of {len(compared)})" if len(compared) > COUPLINGS_SHOWN and n == 0 else ""
            )
            rows.append((layer.name + more, *cells))
    return Table(
        f"Couplings β1, β2 before, B_u (in units of 1/({one}·ρ)) and B_v (of ρ/{one}) after, ρ the ratio of LSBs: "
        "their product sets the frequency ω and must be kept",
        ("layer", "β1", "β2", "B_u", "B_v", "ω before", "ω after", "error"),
        tuple(rows), left=("layer",),
    )  # fmt: skip


def _error(value: float) -> str:
    return "no rotation" if not math.isfinite(value) else "exact" if value == 0 else f"{value:.1e}"


def _distributions(build: Build, layer: FixedLayer) -> Figure:
    assert build.record is not None
    stored = build.record.layer(layer.name)
    index = build.fixed.layers.index(layer)
    bits = build.weight_bits[index]
    panels = [_weights(layer, stored, bits)]
    if stored.states.any():
        centres = (np.arange(BINS) + 0.5) * (2 * REACH / BINS) - REACH
        m = build.fixed.arithmetic
        for n, (state, width) in enumerate((("Dendrite u", m.bits_u), ("Soma v", m.bits_v))):
            roles: tuple[tuple[int, Role], ...] = ((1, "fixed"), (0, "float"))
            series = tuple(
                Series(role, centres, stored.states[kind, n].astype(float), "steps", role) for kind, role in roles
            )
            panels.append(
                Panel(state, f"share of the {width}-bit range", "values", series, shade=(-1.0, 1.0), log=True)
            )
    used = max(int(np.abs(c.weight).max()) for c in layer.connections)
    caption = (
        "Float and fixed together, against the representable range (shaded). Weights reach "
        f"{used} of {2 ** (bits - 1) - 1}"
        + (
            f"; the states use {percent(_used(stored), 0)} of their range on the stored samples."
            if len(panels) > 1
            else "."
        )
    )
    return Figure(f"distributions-{index}", f"Layer {layer.name}", caption, tuple(panels), columns=3, height=220)


def _used(stored: LayerRecord) -> float:
    """Share of the range that the fixed states reach, to a bin's width."""
    bins = np.flatnonzero(stored.states[1].any(axis=0))
    return float(np.abs(np.array([bins.min(), bins.max() + 1]) * (2 * REACH / BINS) - REACH).max())


def _weights(layer: FixedLayer, stored: LayerRecord, bits: int) -> Panel:
    edges, limit = weight_edges(bits), 2 ** (bits - 1) - 1
    quantized = sum((weight_histogram(c.weight, bits) for c in layer.connections), np.zeros(len(edges) - 1, np.int64))
    centres = (edges[1:] + edges[:-1]) / 2
    series = (
        Series("fixed", centres, quantized.astype(float), "steps", "fixed"),
        Series("float", centres, stored.weights.astype(float), "steps", "float"),
    )
    return Panel("Weights", "integer", "weights", series, shade=(-limit - 0.5, limit + 0.5))
