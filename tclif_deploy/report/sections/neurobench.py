"""NeuroBench's metrics, float beside fixed."""

from __future__ import annotations

from collections.abc import Iterator

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Note, Section, Table
from tclif_deploy.text import count, number
from tclif_deploy.verification.neurobench import NeuroBenchMetrics

CAPTION = "What reviewers compare, by the names and definitions of the NeuroBench harness, version 2.3."
COLUMNS = ("metric", "float", "fixed", "quantity")


def neurobench(build: Build) -> Section:
    """One table."""
    metrics = build.report.neurobench
    if metrics is None:
        return Section(
            "neurobench",
            "NeuroBench",
            CAPTION,
            (Note("Not counted: there are no data, or their samples are too long."),),
        )
    rows = tuple((a[0], a[1], b[1], a[2]) for a, b in zip(_rows(metrics.float), _rows(metrics.fixed), strict=True))
    title = f"On {count(metrics.samples, 'sample')}"
    return Section("neurobench", "NeuroBench", CAPTION, (Table(title, COLUMNS, rows, left=("metric", "quantity")),))


def _rows(m: NeuroBenchMetrics) -> Iterator[tuple[str, str, str]]:
    """(name, value, what it is) of each metric."""
    operations = m.synaptic_operations
    yield "Footprint", f"{m.footprint:,}", "bytes: weights, neurons' parameters and states"
    yield "ConnectionSparsity", f"{m.connection_sparsity:.4f}", "share of weights that are 0"
    yield "ActivationSparsity", f"{m.activation_sparsity:.4f}", "share of neuron steps without a spike"
    for name, value in m.activation_sparsity_by_layer.items():
        yield f"ActivationSparsity, {name}", f"{value:.4f}", "likewise in this layer"
    yield "Effective_MACs", number(operations.effective_macs, 6), "an inference: nonzero weights met by graded values"
    yield "Effective_ACs", number(operations.effective_acs, 6), "an inference: nonzero weights met by spikes"
    yield "Dense", number(operations.dense, 6), "an inference: all weights in all steps"
    yield "MembraneUpdates", number(m.membrane_updates, 6), "an inference: steps after which a soma is another"
