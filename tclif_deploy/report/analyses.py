"""What the paper shows, of a user's own network, as tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.report.content import Block, Note, Plots, Table, label_block
from tclif_deploy.report.figure import Cells, Figure, Panel, Role, Series
from tclif_deploy.text import NONE, count, label_layers, layer_labels, number, percent, short_labels

if TYPE_CHECKING:
    from tclif_deploy.analysis.coupling_search import Quadrants
    from tclif_deploy.analysis.gradient_flow import Gradients
    from tclif_deploy.analysis.jacobians import Dynamics
    from tclif_deploy.analysis.learning_curves import Convergence
    from tclif_deploy.analysis.loss_surface import Landscape
    from tclif_deploy.analysis.weight_sensitivity import Change, Sensitivity

    Analysis = Gradients | Convergence | Landscape | Quadrants | Dynamics | Sensitivity

ROLES: tuple[Role, ...] = ("fixed", "float", "both", "plain")
"""what tells as many curves apart"""
MOST_TICKS = 5
"""labels along an axis of a grid"""
MOST_WRITTEN = 9
"""cells along an axis of a grid whose text can be read"""


def analysis_blocks(found: Analysis, layers: Sequence[str] = ()) -> list[Block]:
    """Tables, what there is to know, and the figure; ``layers`` are all of the network's, where it is of one."""
    blocks_of, figure_from = PARTS[type(found).__name__]
    blocks, figure = blocks_of(found), figure_from(found)
    labels = layer_labels(layers) if layers else {}
    short = short_labels(labels)
    panels = tuple(replace(panel, title=label_layers(panel.title, short)) for panel in figure.panels)
    figure = replace(figure, panels=panels)
    return [label_block(block, labels) for block in (*blocks, Plots(figure))]


def figure_of(blocks: Sequence[Block]) -> Figure:
    """The figure among the blocks of an analysis."""
    return next(block.figure for block in blocks if isinstance(block, Plots))


# --- gradients


def _gradients_blocks(found: Gradients) -> list[Block]:
    rows = tuple(
        (
            layer.layer, f"{layer.neurons:,}", f"{layer.rate:.4f}", f"{layer.reach:,}", f"{layer.lif_reach:,}",
            percent(sum(layer.share[: found.steps // 2]), 1), percent(sum(layer.lif_share[: found.steps // 2]), 1),
            number(layer.weights, 3),
        )
        for layer in found.layers
    )  # fmt: skip
    columns = (
        "layer", "neurons", "rate", "reach", "LIF's reach", "from first half", "LIF's", "weights' gradient",
    )  # fmt: skip
    title = f"Gradients over {count(found.steps, 'step')} ({count(found.samples, 'sample')} of {found.data})"
    blocks: list[Block] = [
        Table(title, columns, rows, left=("layer",)),
        Note("reach: how many last steps hold 90 % of the gradient of a layer's last soma with respect to its input"),
    ]
    for name in found.silent:
        layer = next(layer for layer in found.layers if layer.layer == name)
        own = ", and so are those of the weights that lead into it" if layer.weights == 0 else ""
        text = f"layer {name} never fires on these samples: the gradients of all weights that lead from it are 0{own}"
        blocks.append(Note(text, "silent", "bad"))
    if found.layers[0].loss is None:
        blocks.append(Note("the samples have no targets, or the readout is not the usual one: no gradient of a loss"))
    return blocks


def _gradients_figure(found: Gradients) -> Figure:
    panels = []
    at = np.arange(1 - found.steps, 1)
    for layer in found.layers:
        curves: tuple[tuple[str, Role, tuple[float, ...]], ...] = (
            ("this network", "fixed", layer.share),
            ("LIF neurons, same current", "float", layer.lif_share),
        )
        by_step = tuple(Series(name, at, np.array(share), "line", role) for name, role, share in curves)
        summed = tuple(
            Series(name, at, 100 * np.cumsum(share[::-1])[::-1], "line", role) for name, role, share in curves
        )
        panels += [
            Panel(layer.layer, "steps before the last", "share of the gradient", by_step),
            Panel(f"{layer.layer}, from there on", "steps before the last", "share, %", summed, top=100.0),
        ]
    reaches = "; ".join(f"{layer.layer} {layer.reach} steps (LIF {layer.lif_reach})" for layer in found.layers)
    caption = f"90 % of the gradient lies in the last steps: {reaches}."
    title = "How far back gradients reach"
    return Figure("gradients", title, caption, tuple(panels), columns=2)


# --- convergence


def _figure_text(figure: str, value: float | None) -> str:
    return percent(value) if figure == "accuracy" else number(value)


def _spread(texts: Sequence[str]) -> str:
    least, mean, greatest = texts
    return mean if least == greatest else f"{mean} ({least} to {greatest})"


def _convergence_blocks(found: Convergence) -> list[Block]:
    rows = []
    for run in found.runs:
        reached = run.epochs_to(found.nearly)
        epochs = f"{run.epochs}" if run.epochs == run.longest else f"{run.epochs} (of up to {run.longest})"
        rows.append((
            run.name, f"{len(run.curves)}", ", ".join(f"{c.seed}" for c in run.curves if c.seed is not None) or NONE,
            epochs, _spread([_figure_text(found.figure, value) for value in run.last]),
            NONE if reached is None else _spread([f"{value:g}" for value in reached]),
        ))  # fmt: skip
    nearly = _figure_text(found.figure, found.nearly)
    columns = ("run", "trainings", "seeds", "epochs", f"test {found.figure}", f"epochs to {nearly}")
    blocks: list[Block] = [
        Table("Learning curves", columns, tuple(rows), left=("run", "seeds")),
        Note(
            f"{nearly} is 95 % of the best of the run whose best is least; of several seeds: mean (least to greatest)"
        ),
    ]
    if _unequal(found):
        text = (
            "trainings of one run are of different length: their figures are those of the epochs that all of them have"
        )
        blocks.append(Note(text, "", "open"))
    for curve in (curve for run in found.runs for curve in run.curves if curve.legs > 1):
        text = f"{curve.log}: joined of {curve.legs} legs, its epochs begin anew and are counted on"
        blocks.append(Note(text, "", "open"))
    return blocks


def _unequal(found: Convergence) -> bool:
    """Whether a run has trainings of different length."""
    return any(run.epochs < run.longest for run in found.runs)


def _convergence_figure(found: Convergence) -> Figure:
    scale, unit = (100, "test accuracy, %") if found.figure == "accuracy" else (1, "test R2")
    losses, tests = [], []
    for run, role in zip(found.runs, ROLES, strict=False):
        for curve in run.curves:
            epochs = np.arange(1, len(curve.loss) + 1)
            values = np.array([np.nan if value is None else scale * value for value in curve.test])
            losses.append(Series(run.name, epochs, np.array(curve.loss), "line", role))
            tests.append(_curve(run.name, epochs, values, role))
    panels = (
        Panel("training loss", "epoch", "loss", tuple(losses)),
        Panel("on the test data", "epoch", unit, tuple(tests), top=100.0 if found.figure == "accuracy" else None),
    )
    lasts = "; ".join(f"{run.name} {_figure_text(found.figure, run.last[1])}" for run in found.runs)
    when = "After the last epoch that all trainings of a run have" if _unequal(found) else "After the last epoch"
    return Figure("convergence", "Learning curves", f"{when}: {lasts}.", panels, columns=2)


# --- landscape


def _landscape_blocks(found: Landscape) -> list[Block]:
    rows = tuple(
        (f"{r.distance:.3g}", *(f"{value:.4g}" for value in (r.least, r.mean, r.greatest)), f"{r.points}")
        for r in found.rings
    )
    title = f"Loss around the trained network ({count(found.samples, 'sample')} of {found.data}, seed {found.seed})"
    blocks: list[Block] = [Table(title, ("square at", "least", "mean", "greatest", "points"), rows)]
    missing = len(found.at) ** 2 - sum(ring.points for ring in found.rings)
    if missing:
        blocks.append(Note(f"at {count(missing, 'point')} the states grow without end: no loss", "", "open"))
    text = (
        "how far the sides of a square stand, along either direction; 1 moves each neuron's weights by as much as they "
        "are long, at the square's corners about 1.41 times as far"
    )
    blocks.append(Note(text, "square at"))
    return blocks


def _landscape_figure(found: Landscape) -> Figure:
    values = np.array([[np.nan if value is None else value for value in row] for row in found.loss])
    at, middle = np.array(found.at), len(found.at) // 2
    curves = (
        _curve("first direction", at, values[middle], "fixed"),
        _curve("second direction", at, values[:, middle], "float"),
    )
    labels = _ticks(found.at)
    # the second direction points upwards, as on paper
    cells = Cells(values[::-1], labels[::-1], labels, maximum=float(np.nanmax(values)))
    panels = (
        Panel("through the trained network", "moved by", "loss", curves),
        Panel(
            f"loss, {np.nanmin(values):.2g} (pale) to {np.nanmax(values):.2g} (dark)",
            "first direction", "second direction", cells=cells,
        ),
    )  # fmt: skip
    last = found.rings[-1]
    caption = (
        f"Loss {found.centre:.4g} at the trained network, {last.mean:.4g} on average on the square at "
        f"{last.distance:g}."
    )
    return Figure("landscape", "A slice of the loss landscape", caption, panels, columns=2, height=320)


def _curve(label: str, x: NDArray[Any], y: NDArray[Any], role: Role) -> Series:
    """Of what there is."""
    there = np.isfinite(y)
    return Series(label, x[there], y[there], "line", role)


def _ticks(at: Sequence[float]) -> list[str]:
    """A label for each value, empty for those between, where there are many."""
    every = -(-len(at) // MOST_TICKS)
    middle = len(at) // 2
    return [f"{value:.3g}" if abs(n - middle) % every == 0 else "" for n, value in enumerate(at)]


# --- quadrants


def _quadrants_blocks(found: Quadrants) -> list[Block]:
    rows = []
    for n in range(4):
        name, *figures, diverged = found.of(n)
        rows.append((name, *(_figure_text(found.figure, value) for value in figures), f"{diverged}"))
    title = (
        f"Test {found.figure} by quadrant: {count(found.neurons, 'neuron')}"
        f"{', recurrent' if found.recurrent else ''}, {count(found.epochs, 'epoch')}, "
        f"{count(found.trained, 'sample')} (tested on {found.tested}), {count(len(found.seeds), 'seed')}"
    )
    blocks: list[Block] = [
        Table(title, ("quadrant", "least", "mean", "greatest", "diverged"), tuple(rows), left=("quadrant",))
    ]
    if found.best is not None:
        text = f"β1 {found.best.beta1:g}, β2 {found.best.beta2:g}: {_figure_text(found.figure, found.best.mean)}"
        blocks.append(Note(text, "best", "good"))
    return blocks


def _quadrants_figure(found: Quadrants) -> Figure:
    firsts = sorted({point.beta1 for point in found.points})
    seconds = sorted({point.beta2 for point in found.points}, reverse=True)
    means = {(point.beta1, point.beta2): point.mean for point in found.points}
    values: NDArray[Any] = np.full((len(seconds), len(firsts)), np.nan)
    for (y, second), (x, first) in product(enumerate(seconds), enumerate(firsts)):
        mean = means[first, second]
        values[y, x] = np.nan if mean is None else mean
    text = [["diverged" if np.isnan(v) else f"{v:.2f}" for v in row] for row in values]
    cells = Cells(
        np.nan_to_num(values), [f"{v:g}" for v in seconds], [f"{v:g}" for v in firsts],
        text if len(firsts) <= MOST_WRITTEN else None, 1.0,
    )  # fmt: skip
    best = (
        "everything diverged" if found.best is None else f"the best is β1 {found.best.beta1:g}, β2 {found.best.beta2:g}"
    )
    caption = f"Test {found.figure} over the couplings at the start: {best}."
    panel = Panel(f"test {found.figure}", "β1 at the start", "β2 at the start", cells=cells)
    title = "Which signs of the couplings learn"
    return Figure("quadrants", title, caption, (panel,), height=420, tags={"square": ""})


# --- dynamics


def _dynamics_blocks(found: Dynamics) -> list[Block]:
    def between(ends: tuple[float, float]) -> str:
        texts = [f"{value:.3f}" for value in ends]
        return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"

    rows = tuple(
        (
            layer.layer, between(layer.beta1), between(layer.beta2), f"{layer.determinant:.4g}",
            f"{layer.spectral_radius:.4f}", number(layer.period, 3), number(layer.norm), number(layer.table7_norm),
            number(max(layer.growth), 3),
        )
        for layer in found.layers
    )  # fmt: skip
    columns = (
        "layer", "β1", "β2", "determinant", "radius", "period", "norm", "Table 7's norm", "most",
    )  # fmt: skip
    blocks: list[Block] = [
        Table("One step below threshold", columns, rows, left=("layer",)),
        Note(
            f"norm: infinite norm of the step's Jacobian; most: the greatest of its first {found.steps} powers' norms"
        ),
    ]
    for layer in found.layers:
        if layer.grows:
            text = f"layer {layer.layer}: states and gradients grow by {layer.spectral_radius:.3f} a step without end"
            blocks.append(Note(text, "grows", "bad"))
    return blocks


def _dynamics_figure(found: Dynamics) -> Figure:
    at = np.arange(found.steps + 1)
    panels = []
    for layer in found.layers:
        curves = [
            Series("the step's Jacobian", at, _log(layer.growth), "line", "fixed"),
            Series("LIF of decay 0.8", at, _log(found.lif_growth), "line", "float"),
        ]
        if layer.table7_norm is not None:
            bound = at * np.log10(layer.table7_norm)
            curves.append(Series("power of Table 7's norm", at, bound, "line", "plain"))
        panels.append(Panel(layer.layer, "steps", "norm, powers of 10", tuple(curves)))
    most = "; ".join(f"{layer.layer} {max(layer.growth):.3g}" for layer in found.layers)
    caption = (
        f"Greatest norm within {found.steps} steps: {most}; of a LIF neuron it ends at {found.lif_growth[-1]:.1e}."
    )
    return Figure("dynamics", "What many steps make of a gradient", caption, tuple(panels), columns=2)


def _log(values: Sequence[float]) -> NDArray[Any]:
    return np.log10(np.maximum(values, 1e-300))


# --- sensitivity


def _sensitivity_blocks(found: Sensitivity) -> list[Block]:
    labels = found.task.endswith("label")

    def row(what: str, change: Change) -> tuple[str, ...]:
        agreement = (_share(change.agreement, 2),) if labels else ()
        return (what, *agreement, _share(change.readout_error, 1))

    rows = [
        row(f"float, weights off by {level:.0e}", change)
        for level, change in zip(found.levels, found.floats, strict=True)
    ]
    if found.integers is not None:
        rows.append(row("the integers", found.integers))
    columns = ("network", *(("agreement",) if labels else ()), "readout error")
    title = f"Sensitivity to errors of weights ({count(found.samples, 'sample')} of {found.data})"
    blocks: list[Block] = [
        Table(title, columns, tuple(rows), left=("network",)),
        Note("standard deviation of a weight's error, as a share of the weight; drawn once for each weight", "off by"),
    ]
    missing = sum(change.agreement is None and change.readout_error is None for change in found.floats)
    if missing:
        text = f"at {count(missing, 'level')} weights or states leave what a network may have: no answers"
        blocks.append(Note(text, "", "open"))
    return blocks


def _share(value: float | None, digits: int) -> str:
    return NONE if value is None else percent(value, digits)


def _sensitivity_figure(found: Sensitivity) -> Figure:
    at, panels, said = np.log10(found.levels), [], []
    for name, title, top in (("agreement", "agreement", 100.0), ("readout_error", "readout error", None)):
        values = np.array([np.nan if v is None else 100 * v for v in (getattr(c, name) for c in found.floats)])
        if np.isnan(values).all():
            continue
        curves = [_curve("float, weights off", at, values, "float")]
        of_integers = None if found.integers is None else getattr(found.integers, name)
        if of_integers is not None:
            curves.append(_curve("the integers", at, np.full(len(at), 100 * of_integers), "fixed"))
        panels.append(Panel(title, "relative weight error, powers of 10", f"{title}, %", tuple(curves), top=top))
        beside = "" if of_integers is None else f", of the integers {percent(of_integers)}"
        said.append(f"{title} {np.nanmin(values):.2f} to {np.nanmax(values):.2f} %{beside}")
    caption = f"{'; '.join(said).capitalize()}."
    return Figure("sensitivity", "Sensitivity to errors of weights", caption, tuple(panels), columns=len(panels))


PARTS: dict[str, tuple[Callable[[Any], list[Block]], Callable[[Any], Figure]]] = {
    "Gradients": (_gradients_blocks, _gradients_figure),
    "Convergence": (_convergence_blocks, _convergence_figure),
    "Landscape": (_landscape_blocks, _landscape_figure),
    "Quadrants": (_quadrants_blocks, _quadrants_figure),
    "Dynamics": (_dynamics_blocks, _dynamics_figure),
    "Sensitivity": (_sensitivity_blocks, _sensitivity_figure),
}
"""analysis, by the name of its class, since some of those files take torch along -> its blocks and its figure"""
