"""What came in: layers, connections, sizes and firing rates."""

from __future__ import annotations

from tclif_deploy.builds import Build
from tclif_deploy.fixed import FixedConnection
from tclif_deploy.network import INPUT, sources, totals, weights
from tclif_deploy.report.content import Box, Drawing, Section, Table
from tclif_deploy.text import count, percent


def network(build: Build) -> Section:
    """The drawing, and the same as a table."""
    fixed = build.fixed
    rates = {layer.name: layer.spike_rate_fixed for layer in build.report.layers}
    order = {INPUT: 0} | {layer.name: n + 1 for n, layer in enumerate(fixed.layers)}
    boxes = [
        Box(
            INPUT,
            (
                f"{count(fixed.input.size, 'feature')} a step",
                f"{fixed.input.bits}-bit integers",
            ),
            (),
        )
    ]
    rows = []
    for layer in fixed.layers:
        kind = "spiking" if layer.spiking else "readout"
        rate = rates.get(layer.name)
        fires = f"fires in {percent(rate)} of its steps" if rate is not None else "sums its current"
        links = tuple((order[c.source], _link(c)) for c in layer.connections)
        boxes.append(
            Box(layer.name, (f"{layer.size:,} neurons, {kind}", fires if layer.spiking else "chooses the class"), links)
        )
        total = weights(layer)
        nonzero = sum(int((c.weight != 0).sum()) for c in layer.connections)
        rows.append(
            (
                layer.name,
                kind,
                f"{layer.size:,}",
                sources(layer),
                f"{total:,}",
                percent(nonzero / total, 1),
                percent(rate),
            )
        )
    sizes = f"{totals(fixed.layers, ())}, from the input at the top down."
    return Section(
        "network", "Network", f"What came in: {sizes}",
        (
            Drawing(tuple(boxes), f"A drawing of the network: {sizes}"),
            Table(
                "Layers", ("layer", "kind", "neurons", "from", "weights", "nonzero", "firing rate"), tuple(rows),
                left=("layer", "kind", "from"),
            ),
        ),
    )  # fmt: skip


def _link(connection: FixedConnection) -> str:
    shape = "×".join(map(str, connection.weight.shape)) + (" kernel" if connection.kind == "conv" else "")
    delay = f", {count(connection.delay, 'step')} later" if connection.delay else ""
    return f"{shape}{delay}"
