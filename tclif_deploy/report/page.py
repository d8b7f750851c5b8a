"""The report as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import functools
import json
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.builds import Build
from tclif_deploy.builds.record import Record
from tclif_deploy.errors import TclifError
from tclif_deploy.extras import installed
from tclif_deploy.outputs import write_file
from tclif_deploy.report.compare import differences
from tclif_deploy.report.content import Plots, Raster, Section, Tiles
from tclif_deploy.report.figure import Figure, Panel, Series
from tclif_deploy.report.glossary import DEFINITIONS
from tclif_deploy.report.sections import report_content
from tclif_deploy.report.tiles import tiles
from tclif_deploy.report.verdict_text import Headline, headline
from tclif_deploy.text import label_layers, layer_labels
from tclif_deploy.version import __version__

PAGE = "report.html"
NEEDS = ("jinja2", "plotly")
INSTALL = "pip install jinja2 plotly"
"""which a plain install brings"""


@dataclass(frozen=True, eq=False)
class Column:
    """One build on the page."""

    prefix: str
    """of every element's id, so that two builds can stand on one page"""
    title: str
    folder: str
    headline: Headline
    tiles: Tiles
    sections: tuple[Section, ...]


def missing() -> str | None:
    """Why no page can be written here, or None."""
    lacking = [name for name in NEEDS if not installed(name)]
    return f"no {PAGE}: {' and '.join(lacking)} not installed; get it with: {INSTALL}" if lacking else None


@checked
def write_page(build: Build) -> Path:
    """Write ``report.html`` into a build's folder, and return its path.

    Raises `TclifError` where jinja2 or plotly is missing, or the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tclif_deploy as tc
    >>> rng = np.random.default_rng(0)
    >>> hidden = tc.Layer("hidden", tc.neurons.lif(8, decay=0.9, threshold=1.0),
    ...                   (tc.Connection("input", rng.normal(0, 0.5, (8, 3))),))
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("hidden", rng.normal(0, 0.5, (2, 8))),))
    >>> network, x = tc.Network(3, (hidden, out)), rng.normal(0, 1, (8, 20, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile(network, data=x, output=f"{folder}/build", options=tc.CompileOptions(backend="none"))
    ...     tc.report.page.write_page(build).name
    'report.html'
    """
    path = build.folder / PAGE
    text = render(build).encode()
    write_file(path, text)
    return path


@checked
def render(*builds: Build) -> str:
    """The page of one build, or of two side by side, as HTML. Raises `TclifError` where what it needs is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tclif_deploy as tc
    >>> rng = np.random.default_rng(0)
    >>> hidden = tc.Layer("hidden", tc.neurons.lif(8, decay=0.9, threshold=1.0),
    ...                   (tc.Connection("input", rng.normal(0, 0.5, (8, 3))),))
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("hidden", rng.normal(0, 0.5, (2, 8))),))
    >>> network, x = tc.Network(3, (hidden, out)), rng.normal(0, 1, (8, 20, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile(network, data=x, output=f"{folder}/build", options=tc.CompileOptions(backend="none"))
    ...     page = tc.report.page.render(build)
    >>> page[:15], page.count("<section")
    ('<!DOCTYPE html>', 10)
    """
    lacking = missing()
    if lacking is not None:
        raise TclifError(lacking)
    columns = tuple(
        Column(
            prefix="" if len(builds) == 1 else f"{'ab'[n]}-",
            title=f"{build.report.model} on {build.target.name}",
            folder=str(build.folder),
            headline=headline(build),
            tiles=tiles(build),
            sections=report_content(build),
        )
        for n, build in enumerate(builds)
    )
    plots: dict[str, Any] = {}
    rasters: dict[str, Any] = {}
    for column, build in zip(columns, builds, strict=True):
        for section in column.sections:
            for block in section.blocks:
                if isinstance(block, Plots) and block.on_page:
                    plots |= _plots(column.prefix, block.figure)
                elif isinstance(block, Raster):
                    assert build.record is not None
                    labels = layer_labels([layer.name for layer in build.fixed.layers])
                    rasters[f"{column.prefix}raster"] = _raster(build.record, block.neurons, labels)
    library = pkgutil.get_data("plotly", "package_data/plotly.min.js")
    assert library is not None
    page: str = _templates().get_template("page.html.j2").render(
        columns=columns, differences=differences(*builds) if len(builds) == 2 else None, version=__version__,
        plots=_json(plots), rasters=_json(rasters), words=DEFINITIONS, plotly=library.decode("utf-8"),
    )  # fmt: skip
    return page


@functools.cache
def _templates() -> Any:
    """The page's templates, compiled when they are first used."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("tclif_deploy.report", "template"),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip


def _json(value: Any) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")


def _plots(prefix: str, figure: Figure) -> dict[str, Any]:
    return {f"{prefix}{figure.name}-{n}": _panel(panel, figure) for n, panel in enumerate(figure.panels)}


def escape_html(text: str) -> str:
    """``text`` as plotly shows it as it is: plotly reads a few HTML tags in labels.

    Examples
    --------
    >>> escape_html("<b>")
    '&lt;b&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _panel(panel: Panel, figure: Figure) -> dict[str, Any]:
    """A plot in the terms of page.js: roles instead of colours, plain numbers."""
    plot: dict[str, Any] = {
        "x": panel.x, "y": panel.y, "log": panel.log, "shade": panel.shade, "level": panel.level, "mark": panel.mark,
        "series": [_series(s) for s in panel.series], "square": "square" in figure.tags,
    }  # fmt: skip
    if panel.cells is not None:
        cells = panel.cells
        text = None if cells.text is None else [[escape_html(v) for v in row] for row in cells.text]
        plot["cells"] = {
            "z": [[None if np.isnan(v) else _short(v) for v in row] for row in cells.values],
            "rows": cells.rows, "columns": cells.columns, "text": text, "maximum": cells.maximum,
        }  # fmt: skip
    return plot


def _series(s: Series) -> dict[str, Any]:
    x = [escape_html(v) for v in s.x] if isinstance(s.x, list) else [_short(v) for v in s.x]
    low = None if s.low is None else [_short(v) for v in s.low]
    return {"label": s.label, "x": x, "y": [_short(v) for v in s.y], "kind": s.kind, "role": s.role, "low": low}


def _short(value: Any) -> float | int:
    """Seven digits: more than a screen can show."""
    number = float(f"{float(value):.7g}")
    return int(number) if number.is_integer() else number


def _raster(record: Record, neurons: int, labels: dict[str, str]) -> dict[str, Any]:
    """Bits in base64: float then fixed, samples, neurons, steps."""
    samples = []
    for n, sample in enumerate(record.samples):
        label = f"label {record.labels[n]}, " if record.labels[n] >= 0 else ""
        classes = f"class {record.classes[0, n]} of float, {record.classes[1, n]} of fixed"
        samples.append({"name": f"sample {sample}: {label}{classes}", "steps": int(record.lengths[n])})
    layers = []
    for layer in record.layers:
        if layer.spikes.shape[1]:
            bits = np.packbits(layer.spikes[..., :neurons].transpose(0, 1, 3, 2))
            shape = [*layer.spikes.shape[1:3], min(neurons, layer.spikes.shape[3])]
            title = label_layers(f"Layer {layer.name}", labels)
            encoded = base64.b64encode(bits.tobytes()).decode()
            layers.append({"name": labels[layer.name], "title": title, "shape": shape, "bits": encoded})
    return {"samples": samples, "layers": layers}
