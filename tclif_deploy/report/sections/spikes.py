"""The spikes themselves, float over fixed."""

from __future__ import annotations

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Note, Raster, Section

CAPTION = (
    "The stored spikes, float over fixed: those in both, and those in one of them only. One of each close together are "
    "the same spike, shifted; isolated ones are lost or new."
)
RASTER_BITS = 12_000_000
"""neuron steps that the page can carry, float and fixed counted apart (2 MB of text)"""


def spikes(build: Build) -> Section:
    """The raster of the stored samples."""
    record = build.record
    shapes = [layer.spikes.shape for layer in record.layers if layer.spikes.shape[1]] if record is not None else []
    if not build.report.verified or record is None or not shapes:
        reason = "no data were given (--data FILE)" if not build.report.verified else "this build stores no spikes"
        return Section("spikes", "Spikes", CAPTION, (Note(f"Nothing to show: {reason}."),))
    most = max(1, RASTER_BITS // (2 * sum(shape[1] * shape[2] for shape in shapes)))
    neurons = min(most, max(shape[3] for shape in shapes))
    blocks: list[Note | Raster] = [Raster(neurons)]
    shortened = [layer.name for layer in record.layers if layer.spikes.shape[1] and layer.spikes.shape[3] > neurons]
    if shortened:
        blocks.insert(0, Note(f"Of {', '.join(shortened)} only the first {neurons:,} neurons are drawn."))
    return Section("spikes", "Spikes", CAPTION, tuple(blocks))
