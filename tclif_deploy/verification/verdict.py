"""What a deployment is judged by, and its JSON form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tclif_deploy import json_form
from tclif_deploy.data.dataset import Task
from tclif_deploy.display import Brief, Shown
from tclif_deploy.mapping import Behaviour, LayerBehaviour
from tclif_deploy.verification.changed_decisions import ChangedDecisions
from tclif_deploy.verification.tables import verdict_brief, verdict_frame


@dataclass(frozen=True)
class Divergence:
    """Where float and fixed spikes first differ: the earliest step, ties to the lowest sample, then neuron."""

    sample: int
    step: int
    neuron: int


@dataclass(frozen=True)
class LayerFidelity:
    """One spiking layer, float against fixed, over all samples and valid steps."""

    name: str
    jaccard: float | None
    """spikes in both / spikes in either; None where neither fires"""
    spike_rate_float: float
    """spikes a neuron a step"""
    spike_rate_fixed: float
    first_divergence: Divergence | None


@dataclass(frozen=True)
class BackendCheck:
    """One backend against the reference, bit for bit."""

    samples: int
    steps: int
    """steps a sample"""
    neuron_steps: int
    """neuron updates compared"""
    spike_mismatches: int
    state_mismatches: int
    """final states u and v, and readouts, that differ"""

    @property
    def equal(self) -> bool:
        """Whether every bit agreed."""
        return self.spike_mismatches == 0 and self.state_mismatches == 0

    def __add__(self, other: BackendCheck) -> BackendCheck:
        """Both, of further samples of as many steps."""
        return BackendCheck(
            self.samples + other.samples, self.steps, self.neuron_steps + other.neuron_steps,
            self.spike_mismatches + other.spike_mismatches, self.state_mismatches + other.state_mismatches,
        )  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """One figure of numbers: of each network against the data's targets, and of fixed against float. None is
    undefined."""

    original: Annotated[float | None, Field(alias="float")] = None
    quantized: Annotated[float | None, Field(alias="fixed")] = None
    agreement: float | None = None


@dataclass(frozen=True)
class RuleLoss:
    """What it costs that integers are read by another rule than the float network, which is no loss of quantization."""

    declared: str
    """the float network's own rule"""
    agreement: float
    """share of samples for which the float network chooses the same class by both rules"""
    accuracy: float | None
    """of the float network by the integers' rule"""


@dataclass(frozen=True)
class Undecided:
    """Samples in which no output reached what the rule waits for."""

    original: Annotated[int, Field(alias="float")]
    quantized: Annotated[int, Field(alias="fixed")]


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """Float against fixed on data, and every backend against the reference. None is undefined or infinite.

    Accuracies and agreement are shares in [0, 1].

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> verdict = tc.verify(digits, fixed, test[8:40])
    >>> verdict.agreement_argmax, round(verdict.layers[0].jaccard, 3), verdict.saturations
    (1.0, 0.918, {'features.1': 0, 'features.3': 0, 'features.4': 0})
    """

    samples: int
    accuracy_float: float | None
    accuracy_fixed: float | None
    agreement_argmax: float | None
    """share of samples (of steps, where each has a label) for which float and fixed choose the same class, both by the
    integers' rule; None where they say numbers"""
    logit_snr_db: float | None
    """10 log10 of float readout power over error power; None where there is no error"""
    layers: tuple[LayerFidelity, ...]
    """the spiking ones, in evaluation order"""
    saturations: dict[str, int]
    """layer -> state values that overflowed on this data"""
    input_clipped: int
    """input values outside the payload"""
    backends: dict[str, BackendCheck] = field(default_factory=dict)
    """name -> how many of its bits differ from the reference's"""
    decisions: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    """(2, samples): the class that float, and that fixed, chooses for each sample; not in the JSON form"""
    answers_changed: float | None = None
    """share of the labelled answers that just one of the two networks gets right"""
    task: Task = "label"
    """what the answers were judged as"""
    judged: int | None = None
    """answers that were judged: samples, or steps"""
    rule: str = "last"
    """the rule that the integers are read by"""
    r2: Compared | None = None
    """coefficient of determination, the mean over the outputs; of numbers alone"""
    rmse: Compared | None = None
    """root of the mean squared error"""
    smape: Compared | None = None
    """symmetric mean absolute percentage error, 0 to 200"""
    rule_loss: RuleLoss | None = None
    """where integers are read by another rule than the float network"""
    undecided: Undecided | None = None
    """of a rule that waits for a threshold"""
    changed_decisions: ChangedDecisions | None = None
    """samples that float and fixed decide differently; None where the answers are not one class a sample"""
    overflows_u: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    """layer -> those of ``saturations`` that are of u; not in the JSON form"""
    negative_inputs: int = field(default=0, repr=False, compare=False)
    """input integers below 0; not in the JSON form"""

    def summary(self) -> VerdictSummary:
        """The figures as ``report.json`` holds them."""
        return VerdictSummary(
            samples=self.samples,
            accuracy=FloatAndFixed(self.accuracy_float, self.accuracy_fixed),
            agreement=Agreement(self.agreement_argmax, self.logit_snr_db),
            layers=self.layers,
            saturations=sum(self.saturations.values()),
            saturations_by_layer=self.saturations,
            input_clipped=self.input_clipped,
            backends=self.backends,
            answers_changed=self.answers_changed,
            task=self.task,
            judged=self.judged,
            rule=self.rule,
            r2=self.r2,
            rmse=self.rmse,
            smape=self.smape,
            rule_loss=self.rule_loss,
            undecided=self.undecided,
            changed_decisions=self.changed_decisions,
        )

    def behaviour(self) -> Behaviour:
        """What the network does on this data, for `tclif_deploy.mapping.check` to judge."""
        spiking = {layer.name: layer for layer in self.layers}
        layers = {}
        for name, overflows in self.saturations.items():
            fired = spiking.get(name)
            fixed, original = (fired.spike_rate_fixed, fired.spike_rate_float) if fired else (None, None)
            layers[name] = LayerBehaviour(overflows, fixed, original, self.overflows_u.get(name, 0))
        return Behaviour(self.samples, layers, self.input_clipped, self.negative_inputs)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the keys of ``report.json``."""
        values: dict[str, Any] = json_form.plain(self.summary())
        return values

    def to_frame(self) -> Any:
        """A pandas ``DataFrame`` with a row for each spiking layer. Raises `TclifError` where pandas is missing."""
        return verdict_frame(self)

    def _brief(self) -> Brief:
        return verdict_brief(self)


@dataclass(frozen=True)
class FloatAndFixed:
    """One figure of both networks."""

    original: Annotated[float | None, Field(alias="float")] = None
    quantized: Annotated[float | None, Field(alias="fixed")] = None


@dataclass(frozen=True)
class Agreement:
    """Agreement of both networks."""

    argmax: float | None = None
    """share of samples for which both choose the same class"""
    logit_snr_db: float | None = None
    """readout power over error power; None where there is no error"""


@dataclass(frozen=True, kw_only=True)
class VerdictSummary:
    """A verdict's part of ``report.json``; the defaults are those of a build that was not verified."""

    samples: int = 0
    accuracy: FloatAndFixed = FloatAndFixed()
    agreement: Agreement = Agreement()
    layers: tuple[LayerFidelity, ...] = ()
    saturations: int | None = None
    """state values that overflowed on the data"""
    saturations_by_layer: dict[str, int] = field(default_factory=dict)
    input_clipped: int | None = None
    """input values outside the payload"""
    backends: dict[str, BackendCheck] = field(default_factory=dict)
    answers_changed: float | None = None
    """share of the labelled answers that just one of the two networks gets right"""
    task: Task | None = None
    """what the answers were judged as"""
    judged: int | None = None
    """answers that were judged: samples, or steps where each has a target"""
    rule: str | None = None
    """how the last layer becomes an answer"""
    r2: Compared | None = None
    """coefficient of determination of numbers"""
    rmse: Compared | None = None
    """root of their mean squared error"""
    smape: Compared | None = None
    """their symmetric mean absolute percentage error, 0 to 200"""
    rule_loss: RuleLoss | None = None
    """what it costs that integers are read by another rule than the float network"""
    undecided: Undecided | None = None
    """samples in which no output reached what the rule waits for"""
    changed_decisions: ChangedDecisions | None = None
    """samples that float and fixed decide differently, and which of them float itself is chaotic about"""

    def verdict(self) -> Verdict | None:
        """The verdict with these figures, without the decisions on each sample; None where nothing was verified."""
        if (self.agreement.argmax is None and self.r2 is None) or self.input_clipped is None:
            return None
        return Verdict(
            self.samples, self.accuracy.original, self.accuracy.quantized, self.agreement.argmax,
            self.agreement.logit_snr_db, self.layers, self.saturations_by_layer, self.input_clipped, self.backends,
            None, self.answers_changed, self.task or "label", self.judged, self.rule or "last", self.r2,
            self.rmse, self.smape, self.rule_loss, self.undecided, self.changed_decisions,
        )  # fmt: skip
