"""What a run of the float network returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Float, Layer
from tclif_deploy.readout import Readout, RunningReadout
from tclif_deploy.simulation.result import result_brief


@dataclass(frozen=True, eq=False, repr=False)
class FloatResult(Shown):
    """Outcome of a float run over (samples, time); states in the float network's units, float64.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> result = tc.simulate(digits, test[:4], counts=True)
    >>> result
    FloatResult: 4 samples, 10 outputs; spikes of -, counts of features.1, features.3, traces of -
    >>> result.classes.tolist(), {name: int(spikes.sum()) for name, spikes in result.counts.items()}
    ([5, 3, 0, 4], {'features.1': 1752, 'features.3': 1278})
    """

    spikes: dict[str, NDArray[np.bool_]]
    """spiking layer -> (samples, time, neurons)"""
    readout: Float
    """what the network's `Readout` says at each sample's last valid step: a mean is divided, as are votes; float64
    (samples, outputs)"""
    classes: NDArray[np.int64]
    """argmax of readout, ties to the lowest index, (samples,)"""
    peaks: dict[str, Float]
    """layer -> (2, neurons): largest |u| and |v| met before or after a reset"""
    traces: dict[str, Float] = field(default_factory=dict)
    """traced layer -> (2, samples, time, neurons): u and v after each step"""
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """spiking layer -> spikes of each neuron up to the sample's last valid step, (samples, neurons); empty where
    counts were not asked for"""
    readouts: Float | None = None
    """the readout after each step, (samples, time, outputs); None where not asked for"""
    decided: NDArray[np.int64] | None = None
    """the step at which a rule that waits for a threshold decided, -1: none reached it, (samples,); None: another
    rule"""
    step_classes: NDArray[np.int64] | None = None
    """the class that ``readouts`` say after each step, (samples, time); None where they were not asked for"""
    other_classes: NDArray[np.int64] | None = None
    """the classes by another rule, where `simulate_float` was given one"""
    other_readout: Float | None = None
    """what that other rule says, as ``readout``"""
    other_step_classes: NDArray[np.int64] | None = None
    """likewise after each step, where ``readouts`` were asked for"""

    def _brief(self) -> Brief:
        return result_brief(self)


def float_result(
    rules: Sequence[Readout],
    answers: Sequence[RunningReadout],
    taken: int,
    last: NDArray[np.int64],
    *,
    spikes: dict[str, NDArray[np.bool_]],
    peaks: dict[str, Float],
    traces: dict[str, Float],
    counts: dict[str, NDArray[np.int64]],
) -> FloatResult:
    """What samples came to whose ``answers`` by the network's rule, and perhaps by another, are those after steps
    ``last`` (samples,), the first of which came after ``taken`` others. Raises `TclifError` where ``peaks`` are not
    finite."""
    for name, largest in peaks.items():
        if not np.isfinite(largest).all():
            raise growth(name)
    own, other, divisor = answers[0], answers[1:], rules[0].divisor
    readouts = own.steps.shape[1] > 0
    by_step = np.minimum(np.arange(own.steps.shape[1]), last[:, None])
    return FloatResult(
        spikes, own.value / divisor(taken + last + 1)[:, None], own.classes(1.0), peaks, traces, counts,
        own.steps / divisor(taken + by_step + 1)[:, :, None] if readouts else None,
        own.decided if rules[0].decides else None,
        own.step_classes(1.0) if readouts else None,
        other[0].classes(1.0) if other else None,
        other[0].value / rules[1].divisor(taken + last + 1)[:, None] if other else None,
        other[0].step_classes(1.0) if readouts and other else None,
    )  # fmt: skip


def growth(layer: str) -> TclifError:
    """What a run whose states are not finite ends in."""
    problem = f"layer {layer}: the float network's states grow beyond what a float64 holds"
    return TclifError(problem, "is it trained, on such data?")


def float_readout(readout: Readout, out: Layer, samples: int, time: int = 0) -> RunningReadout:
    """The running value of a rule over the last layer ``out`` of a float network; kept for ``time`` steps."""
    n = out.neuron
    threshold = n.threshold if n.spiking or readout.threshold is None else np.full(out.size, readout.threshold)
    return RunningReadout(
        readout, threshold, samples=samples, dtype=np.float64, spiking=n.spiking, strict=n.strict and n.spiking,
        time=time,
    )  # fmt: skip
