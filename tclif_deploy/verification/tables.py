"""A verdict as tables: at a prompt, in a notebook, and for pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tclif_deploy.display import Brief, count, percent
from tclif_deploy.errors import TclifError

if TYPE_CHECKING:
    from tclif_deploy.verification.verdict import Verdict

COLUMNS = (
    "layer", "jaccard", "spike_rate_float", "spike_rate_fixed", "saturations", "first_sample", "first_step",
    "first_neuron",
)  # fmt: skip
"""of a frame; the last three are the place of the first divergence"""


def rows(verdict: Verdict) -> list[tuple[Any, ...]]:
    """A row of `COLUMNS` for each spiking layer."""
    firsts = [la.first_divergence for la in verdict.layers]
    return [
        (
            la.name, la.jaccard, la.spike_rate_float, la.spike_rate_fixed, verdict.saturations.get(la.name),
            *((None,) * 3 if first is None else (first.sample, first.step, first.neuron)),
        )
        for la, first in zip(verdict.layers, firsts, strict=True)
    ]  # fmt: skip


def verdict_frame(verdict: Verdict) -> Any:
    """`rows` as a pandas ``DataFrame``, named by layer."""
    try:
        import pandas
    except ImportError:
        raise TclifError("pandas is not installed, which to_frame needs", "pip install pandas") from None
    return pandas.DataFrame(rows(verdict), columns=list(COLUMNS)).set_index("layer")


def verdict_brief(verdict: Verdict) -> Brief:
    """The figures, and the layers as a table."""
    v = verdict
    snr = "-" if v.logit_snr_db is None else f"{v.logit_snr_db:.1f} dB"
    backends = [f"{name} {'equal' if check.equal else 'DIFFERS'}" for name, check in v.backends.items()]
    line = (
        f"Verdict on {count(v.samples, 'sample')}: argmax agreement {percent(v.agreement_argmax)}, accuracy "
        f"{percent(v.accuracy_float)} float, {percent(v.accuracy_fixed)} fixed, readout SNR {snr}, "
        f"{count(v.input_clipped, 'input')} clipped; backends: {', '.join(backends) or '-'}"
    )
    table = [
        (
            name, percent(jaccard), percent(a), percent(b), "-" if overflows is None else f"{overflows:,}",
            "-" if sample is None else f"sample {sample}, step {step}, neuron {neuron}",
        )
        for name, jaccard, a, b, overflows, sample, step, neuron in rows(v)
    ]  # fmt: skip
    columns = ("layer", "spike overlap (Jaccard)", "fires in float", "in fixed", "overflows", "first divergence")
    return Brief(line, columns, table)
