"""What is in a model file, on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from tclif_deploy.report.content import Block, Note, Table, notice_note
from tclif_deploy.report.terminal.blocks import show_blocks
from tclif_deploy.text import count, span


def print_summary(console: Console, path: str, kind: str, summary: dict[str, Any]) -> None:
    """The layers of a network, as `tclif_deploy.frontends.summary.summary` describes it."""
    features, weights = count(summary["input"]["features"], "feature"), f"{summary['parameters']:,}"
    columns = ("layer", "neurons", "from", "comparator, reset", "coefficients", "weights and biases")
    rows = tuple(
        (
            layer["name"], f"{layer['neurons']} {layer['neuron']}", _sources(layer), _fires(layer),
            _coefficients(layer), f"{layer['parameters']:,}",
        )
        for layer in summary["layers"]
    )  # fmt: skip
    blocks: list[Block] = [
        Note(f"{kind}, {features} a step, {weights} weights and biases", path),
        Table("", columns, rows, left=columns[:-1]),
        Note(f"{summary['readout']['rule']}, {count(summary['readout']['outputs'], 'output')}", "readout"),
        *(notice_note(notice) for notice in summary["notices"]),
    ]
    show_blocks(console, blocks, layers=[layer["name"] for layer in summary["layers"]])


def _sources(layer: dict[str, Any]) -> str:
    """Each source, how many steps late, and the kernel that moves over it."""
    return "; ".join(
        c["source"] + (f" (delay {c['delay']})" if c["delay"] else "") + (_kernel(c) if c["kind"] == "conv" else "")
        for c in layer["connections"]
    )


def _kernel(connection: dict[str, Any]) -> str:
    """A convolution in words: channels, height and width before and after, and its kernel."""
    conv = connection["conv"]
    before, after = ("x".join(map(str, shape)) for shape in (conv["input_shape"], connection["output_shape"]))
    words = f" conv {connection['shape'][2]}x{connection['shape'][3]}, {before} to {after}"
    for name, plain in (("stride", (1, 1)), ("padding", (0, 0, 0, 0)), ("dilation", (1, 1)), ("groups", 1)):
        if conv[name] != plain:
            values = dict.fromkeys(conv[name]) if isinstance(conv[name], tuple) else [conv[name]]
            words += f", {name} {','.join(map(str, values if len(values) == 1 else conv[name]))}"
    return words


def _fires(layer: dict[str, Any]) -> str:
    if layer["fires_at"] is None:
        return "none"
    return f"v {layer['fires_at']} threshold, {layer['reset']}"


def _coefficients(layer: dict[str, Any]) -> str:
    """Those that are not 0, as a number or a range."""
    parts = [
        f"{name}={span(low, high)}" for name, (low, high) in layer["coefficients"].items() if (low, high) != (0.0, 0.0)
    ]
    if layer["bias"]:
        parts.append("bias")
    if layer["input_to"] == "soma":
        parts.append("input to soma")
    return ", ".join(parts)
