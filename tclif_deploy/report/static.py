"""The report's figures as PNG and SVG files, for papers."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from tclif_deploy import extras
from tclif_deploy.arguments import checked
from tclif_deploy.builds import Build
from tclif_deploy.builds.record import LayerRecord, Record
from tclif_deploy.outputs import make_folder, write_file, write_files
from tclif_deploy.report.figure import MARKS, Figure, Panel, Series
from tclif_deploy.report.sections import report_content
from tclif_deploy.text import label_layers, layer_labels

COLORS = {"float": "#b85400", "fixed": "#0065a3", "both": "#3d4145", "plain": "#54707f", "limit": "#1a1c1e"}
"""by `Role`; distinguishable without colour vision, and by lightness in print"""
WIDTH = 7.0
"""inches: a text column's two"""
DPI = 200
LEAST = 0.7
"""where logarithmic counts start: below one"""
STYLE: Any = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3,
    "svg.hashsalt": "tclif", "svg.fonttype": "none", "figure.constrained_layout.use": True, "text.parse_math": False,
}  # fmt: skip
METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
"""nothing that changes from run to run"""


def check_figures() -> None:
    """Raise the `TclifError` with which `write_figures` would begin, before any work."""
    extras.need("a figure for a paper", "leave it out: the page draws its own", "matplotlib")


@checked
def write_figures(build: Build, folder: Path | str) -> tuple[Path, ...]:
    """Every figure of a build as ``NAME.png`` and ``NAME.svg`` in ``folder``; where one cannot be written, none is.

    Raises `TclifError` where matplotlib is missing, or ``folder`` cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.report.static import write_figures
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("input", np.array([[0.5, -1.0], [1.0, 0.25]])),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     options = tc.CompileOptions(backend="none")
    ...     build = tc.compile(tc.Network(2, (out,)), output=f"{folder}/build", options=options)
    ...     [path.name for path in write_figures(build, f"{folder}/figures")]
    ['core-map.png', 'core-map.svg', 'distributions-0.png', 'distributions-0.svg']
    """
    check_figures()
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    folder = Path(folder)
    make_folder(folder)  # what cannot be written to is refused before anything is drawn
    drawn: dict[str, bytes] = {}

    def save(canvas: Any, name: str) -> None:
        for kind in ("png", "svg"):
            buffer = io.BytesIO()
            canvas.savefig(buffer, format=kind, dpi=DPI, metadata=METADATA[kind])
            drawn[f"{name}.{kind}"] = buffer.getvalue()

    with rc_context(STYLE):
        for section in report_content(build):
            for figure in section.figures:
                canvas = Canvas()
                _draw(canvas, figure)
                save(canvas, figure.name)
        labels = layer_labels([layer.name for layer in build.fixed.layers])
        if build.record is not None:
            for index, layer in enumerate(build.record.layers):
                title = label_layers(f"Layer {layer.name}", labels)
                for n, sample in enumerate(build.record.samples[: layer.spikes.shape[1]]):
                    canvas = Canvas(figsize=(WIDTH, 2.6))
                    _raster(canvas.subplots(), build.record, layer, n, title)
                    save(canvas, f"raster-{index}-sample-{sample}")
    write_files(folder, drawn)
    return tuple(folder / name for name in drawn)


def write_figure(figure: Figure, path: Path, title: str | None = None) -> None:
    """One figure as a file of the kind that its name says, which `tclif_deploy.report.sweep.check_plot` has checked.

    ``title`` is kept in the file's metadata, for programs.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    kind = path.suffix.lower()[1:]
    with rc_context(STYLE):
        canvas = Canvas()
        _draw(canvas, figure)
        buffer = io.BytesIO()
        metadata = METADATA.get(kind, {}) | ({} if title is None else {"Title": title})
        canvas.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    write_file(path, buffer.getvalue(), parents=True)


def _draw(canvas: Any, figure: Figure) -> None:
    rows = math.ceil(len(figure.panels) / figure.columns)
    canvas.set_size_inches(WIDTH if "square" not in figure.tags else 4.5, rows * figure.height / 100)
    canvas.suptitle(figure.title, x=0.01, ha="left", fontweight="bold")
    grid = canvas.subplots(rows, figure.columns, squeeze=False).ravel()
    for axes in grid[len(figure.panels) :]:
        axes.set_visible(False)
    marks: dict[str, Any] = {}
    for axes, panel in zip(grid, figure.panels, strict=False):
        _panel(axes, panel)
        marks |= {text: mark for mark, text in zip(*axes.get_legend_handles_labels(), strict=True) if text not in marks}
    explained = [text for _, text in figure.key if text in marks]
    if explained:
        handles = [marks[text] for text in explained]
        canvas.legend(handles, explained, loc="outside lower left", ncols=6, frameon=False, fontsize=7)


def _panel(axes: Any, panel: Panel) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    if panel.cells is not None:
        _cells(axes, panel)
        return
    if panel.log:
        axes.set_yscale("log", nonpositive="mask")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if panel.shade is not None:
        axes.axvspan(*panel.shade, color=COLORS["fixed"], alpha=0.09, lw=0, label=MARKS["shade"])
    bars = [s for s in panel.series if s.kind == "bars"]
    for n, series in enumerate(bars):
        _bars(axes, series, n, len(bars))
    for series in panel.series:
        ink, y = COLORS[series.role], np.maximum(series.y, LEAST) if panel.log else series.y
        if series.kind == "line":
            axes.plot(series.x, y, color=ink, ls="--" if series.role == "float" else "-", lw=1, label=series.label)
        elif series.kind == "steps":
            axes.step(series.x, y, where="mid", color=ink, lw=0.8, label=series.label)
            if series.role == "fixed":
                axes.fill_between(series.x, y, LEAST if panel.log else 0, step="mid", color=ink, alpha=0.4, lw=0)
        elif series.kind == "points":
            axes.plot(
                series.x, y, "o" if series.role == "float" else "x", color=ink, mfc="none", ms=5, label=series.label
            )
    if panel.log:
        axes.set_ylim(bottom=LEAST)
    if panel.top is not None:
        axes.set_ylim(top=panel.top)
        for line in axes.lines:  # one along the upper edge is drawn whole
            line.set_clip_on(False)
    if panel.level is not None:
        axes.axhline(panel.level, color=COLORS["limit"], lw=0.8, ls=":", label=MARKS["level"])
    if panel.mark is not None:
        axes.axvline(panel.mark, color=COLORS["limit"], lw=0.8, ls=(0, (1, 3)), label=MARKS["mark"])


def _bars(axes: Any, series: Series, index: int, count: int) -> None:
    width = 0.8 / count
    at = np.arange(len(series.y)) + (index - (count - 1) / 2) * width
    low = np.zeros(len(series.y)) if series.low is None else series.low
    hatch = "///" if series.role == "float" else None
    axes.bar(
        at, series.y - low, width, low, color=COLORS[series.role], hatch=hatch, edgecolor="white", label=series.label
    )
    axes.set_xticks(np.arange(len(series.y)), [str(x).replace(" (", "\n(") for x in series.x])


def _cells(axes: Any, panel: Panel) -> None:
    cells = panel.cells
    assert cells is not None
    axes.grid(False)
    image = axes.imshow(cells.values, cmap="Blues", vmin=0, vmax=cells.maximum, aspect="equal")
    axes.set_xticks(range(len(cells.columns)), cells.columns)
    axes.set_yticks(range(len(cells.rows)), cells.rows)
    for y, row in enumerate(cells.text or []):
        for x, text in enumerate(row):
            dark = image.norm(cells.values[y, x]) > 0.6
            axes.text(x, y, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")


def _raster(axes: Any, record: Record, layer: LayerRecord, sample: int, title: str) -> None:
    """Both in grey, float only and fixed only in their colours."""
    a, b = layer.spikes[:, sample, : record.lengths[sample]]
    for label, fired, role in (
        ("both", a & b, "both"),
        ("only float", a & ~b, "float"),
        ("only fixed", b & ~a, "fixed"),
    ):
        steps, neurons = np.nonzero(fired)
        axes.plot(
            steps, neurons, "|" if role == "both" else ".", color=COLORS[role], ms=1.5, label=label, rasterized=True
        )
    axes.set_title(f"{title}, sample {record.samples[sample]}", loc="left", fontweight="bold")
    axes.set_xlabel("step")
    axes.set_ylabel("neuron")
    axes.grid(False)
    axes.legend(frameon=False, fontsize=7, loc="upper right", bbox_to_anchor=(1, 1.15), ncols=3, markerscale=4)
