"""What came in: layers, connections, sizes and firing rates."""

from __future__ import annotations

from tclif_deploy.builds import Build
from tclif_deploy.fixed import FixedConnection
from tclif_deploy.network import INPUT
from tclif_deploy.report.content import Box, Drawing, Section, Table
from tclif_deploy.report.figure import percent


def network(build: Build) -> Section:
    """The drawing, and the same as a table."""
    fixed = build.fixed
    rates = {layer.name: layer.spike_rate_fixed for layer in build.report.layers}
    order = {INPUT: 0} | {layer.name: n + 1 for n, layer in enumerate(fixed.layers)}
    boxes = [
        Box(
            INPUT,
            (
                f"{fixed.input.size:,} feature{'' if fixed.input.size == 1 else 's'} a step",
                f"{fixed.input.bits}-bit integers",
            ),
            (),
        )
    ]
    rows = []
    weights = 0
    for layer in fixed.layers:
        kind = "spiking" if layer.spiking else "readout"
        rate = rates.get(layer.name)
        fires = f"fires in {percent(rate)} of its steps" if rate is not None else "sums its current"
        links = tuple((order[c.source], _link(c)) for c in layer.connections)
        boxes.append(
            Box(layer.name, (f"{layer.size:,} neurons, {kind}", fires if layer.spiking else "says the class"), links)
        )
        count = sum(int(c.weight.size) for c in layer.connections)
        nonzero = sum(int((c.weight != 0).sum()) for c in layer.connections)
        weights += count
        inputs = ", ".join(c.source + (f" (delay {c.delay})" if c.delay else "") for c in layer.connections)
        rows.append(
            (layer.name, kind, f"{layer.size:,}", inputs, f"{count:,}", percent(nonzero / count, 1), percent(rate))
        )
    neurons = sum(layer.size for layer in fixed.layers)
    says = f"{len(fixed.layers)} layers, {neurons:,} neurons and {weights:,} weights, from the input at the top down."
    return Section(
        "network", "Network", f"What came in: {says}",
        (
            Drawing(tuple(boxes), f"A drawing of the network: {says} The table beside it says the same."),
            Table(
                "Layers", ("layer", "kind", "neurons", "from", "weights", "nonzero", "firing rate"), tuple(rows),
                left=("layer", "kind", "from"),
            ),
        ),
    )  # fmt: skip


def _link(connection: FixedConnection) -> str:
    shape = "×".join(map(str, connection.weight.shape)) + (" kernel" if connection.kind == "conv" else "")
    delay = f", {connection.delay} step{'s' if connection.delay > 1 else ''} later" if connection.delay else ""
    return f"{shape}{delay}"
