"""Float against fixed on data, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked
from tclif_deploy.blas import one_blas_thread
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, Int, check_fixed, check_same_layers
from tclif_deploy.network import Network, check_network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.simulation import Engine, simulate
from tclif_deploy.simulation.float_result import FloatResult
from tclif_deploy.simulation.floating import batches, simulate_float
from tclif_deploy.simulation.result import OF_U, Result
from tclif_deploy.simulation.scores import NumberScore, answers, check_any_judged, judged, task_of
from tclif_deploy.verification.changed_decisions import Margins, changed_decisions
from tclif_deploy.verification.verdict import (
    BackendCheck,
    Compared,
    Divergence,
    LayerFidelity,
    RuleLoss,
    Undecided,
    Verdict,
)

BATCH = 32
"""samples compared at a time: both networks' spikes are in memory together"""


class _LayerTally:
    """Counts of one layer, added up batch by batch."""

    def __init__(self, name: str) -> None:
        self.name, self.both, self.either, self.float_, self.fixed, self.slots = name, 0, 0, 0, 0, 0
        self.first: tuple[int, int, int] | None = None

    def add(self, a: NDArray[np.bool_], b: NDArray[np.bool_], valid: NDArray[np.bool_], offset: int) -> None:
        """``a`` float and ``b`` fixed spikes (samples, time, neurons); ``valid`` (samples, time)."""
        if not valid.all():
            a, b = a & valid[:, :, None], b * valid[:, :, None]
        if b.dtype == np.bool_:
            both, of_float, of_fixed = (int(np.count_nonzero(spikes)) for spikes in (a & b, a, b))
        else:  # how often each neuron fired
            both, of_float, of_fixed = (int(spikes.sum()) for spikes in (np.minimum(a, b), a, b))
        self.both += both
        self.either += of_float + of_fixed - both
        self.float_ += of_float
        self.fixed += of_fixed
        self.slots += int(valid.sum()) * a.shape[2]
        before = slice(None if self.first is None else self.first[0])  # an earlier one only is looked for
        differs = a[:, before] != b[:, before]
        steps = np.flatnonzero(differs.any(axis=(0, 2)))
        if steps.size:
            step = int(steps[0])
            sample, neuron = (int(v) for v in np.argwhere(differs[:, step])[0])
            self.first = (step, sample + offset, neuron)

    def fidelity(self) -> LayerFidelity:
        """The counts as figures."""
        first = None if self.first is None else Divergence(self.first[1], self.first[0], self.first[2])
        return LayerFidelity(
            self.name, self.both / self.either if self.either else None,
            self.float_ / self.slots, self.fixed / self.slots, first,
        )  # fmt: skip


class _AnswerTally:
    """How good both networks' answers are, and how alike, added up batch by batch."""

    def __init__(self, network: Network, fixed: FixedNetwork, data: Dataset) -> None:
        self.network, self.fixed, self.labelled = network, fixed, data.y is not None
        self.task = task_of(data, network.outputs)
        self.by_step = self.task.startswith("step")
        self.numbers = {kind: NumberScore(network.outputs) for kind in ("float", "fixed", "agreement")}
        self.count = self.agree = self.right_float = self.right_fixed = self.rule_agree = self.rule_right = 0
        self.changed = self.undecided_float = self.undecided_fixed = 0
        self.decisions = np.zeros((2, data.samples), np.int64)

    def add(self, batch: Dataset, a: FloatResult, b: Result, part: slice) -> None:
        """Float ``a`` and fixed ``b`` on the samples ``part``."""
        by_rule = a.classes if a.other_classes is None else a.other_classes
        by_rule_steps = a.step_classes if a.other_step_classes is None else a.other_step_classes
        self.decisions[:, part] = by_rule, b.classes
        for result, name in ((a, "undecided_float"), (b, "undecided_fixed")):
            if result.decided is not None:
                setattr(self, name, getattr(self, name) + int((result.decided < 0).sum()))
        counts = judged(batch, self.task)
        self.count += int(counts.sum())
        said = [answers(net, result, batch, self.task)[counts] for net, result in ((self.network, a), (self.fixed, b))]
        truth = None if batch.y is None else batch.y[counts]
        if self.task.endswith("value"):
            self.numbers["agreement"].add(*said)
            if truth is not None:
                self.numbers["float"].add(truth, said[0])
                self.numbers["fixed"].add(truth, said[1])
            return
        as_fixed = by_rule if by_rule_steps is None else by_rule_steps[counts]
        self.agree += int(np.count_nonzero(as_fixed == said[1]))
        self.rule_agree += int(np.count_nonzero(as_fixed == said[0]))
        if truth is not None:
            self.right_float += int(np.count_nonzero(said[0] == truth))
            self.right_fixed += int(np.count_nonzero(said[1] == truth))
            self.changed += int(np.count_nonzero((as_fixed == truth) != (said[1] == truth)))
            self.rule_right += int(np.count_nonzero(as_fixed == truth))

    def figures(self) -> dict[str, Any]:
        """Fields of the verdict."""
        labels = self.task.endswith("label")
        scored = labels and self.labelled
        of = self.numbers

        def share(count: int) -> float | None:
            return count / self.count if scored else None

        def compared(name: str) -> Compared | None:
            return None if labels else Compared(*(getattr(of[k], name) for k in ("float", "fixed", "agreement")))

        changed = self.fixed.readout != self.network.readout
        return {
            "accuracy_float": share(self.right_float), "accuracy_fixed": share(self.right_fixed),
            "agreement_argmax": self.agree / self.count if labels else None, "decisions": self.decisions,
            "answers_changed": share(self.changed),
            "task": self.task, "judged": self.count, "rule": str(self.fixed.readout),
            "r2": compared("r2"), "rmse": compared("rmse"), "smape": compared("smape"),
            "rule_loss": RuleLoss(str(self.network.readout), self.rule_agree / self.count, share(self.rule_right))
            if changed and labels else None,
            "undecided": Undecided(self.undecided_float, self.undecided_fixed) if self.fixed.readout.decides else None,
        }  # fmt: skip


@one_blas_thread
@checked
def verify(
    network: Network,
    fixed: FixedNetwork,
    data: DataLike,
    *,
    engine: Engine = "auto",
    progress: Progress = no_progress,
) -> Verdict:
    """Run both networks on ``data`` and compare spikes, readouts, and answers as its ``task`` says: classes of samples
    or steps, or numbers.

    Raises `TclifError` where the two are not of the same layers, where the data's width is not the network's, and where
    the number of its targets is not that of outputs.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> verdict = tc.verify(digits, fixed, test[8:40])
    >>> verdict.accuracy_float, verdict.accuracy_fixed, [round(layer.jaccard, 3) for layer in verdict.layers]
    (1.0, 1.0, [0.918, 0.807])
    """
    check_network(network)
    check_fixed(fixed)
    check_same_layers(network, fixed, "network and fixed are different", "verify what quantize made of the network")
    return run_both(network, fixed, as_dataset(data, needed=True), engine, progress)


Watch = Callable[[Dataset, Int, int, Result], None]
"""is given a batch, its input integers, how many of its values were clipped, and what the fixed-point network made of
it"""


@one_blas_thread
def run_both(
    network: Network, fixed: FixedNetwork, data: Dataset, engine: Engine, progress: Progress, *watches: Watch
) -> Verdict:
    """`verify` for who has more to ask of the same run: each of ``watches`` sees each batch."""
    if data.features != network.input_size:
        raise TclifError(
            f"{data.name}: {data.features} features a step, the network takes {network.input_size}",
            "check the input width, or window the data as the model was trained",
        )
    tallies = [_LayerTally(layer.name) for layer in network.spiking_layers]
    saturations = dict.fromkeys((layer.name for layer in fixed.layers), 0)
    answered = _AnswerTally(network, fixed, data)
    changed: list[Margins] = []
    check_any_judged(data, answered.task)
    other = fixed.readout if fixed.readout != network.readout else None
    overflows_u = dict(saturations)
    clipped = negative = 0
    signal = noise = 0.0
    for part in batches(data.samples, BATCH):
        batch = data[part]
        x, outside = fixed.input.encode(batch.x, batch.scale)
        clipped += outside
        negative += int(np.count_nonzero((x < 0) & batch.valid()[:, :, None]))
        keep: Any = {"lengths": batch.lengths, "spikes": True, "readouts": answered.by_step}
        a = simulate_float(network, batch.values(), other=other, **keep)
        b = simulate(fixed, x, engine=engine, **keep)
        valid = batch.valid()
        for tally in tallies:
            tally.add(a.spikes[tally.name], b.spikes[tally.name], valid, part.start)
        for name, counts in b.overflows.items():
            saturations[name] += int(counts.sum())
            overflows_u[name] += int(counts[OF_U].sum())
        answered.add(batch, a, b, part)
        said = a.readout if a.other_readout is None else a.other_readout
        numbers = answers(fixed, b, batch, "value")
        if answered.task == "label":
            changed.append(Margins.of(part.start, tuple(answered.decisions[:, part]), (said, numbers)))
        with np.errstate(over="ignore", invalid="ignore"):  # a readout of 1e200 has a square that no float holds
            signal += float((said**2).sum())
            noise += float(((said - numbers) ** 2).sum())
        for watch in watches:
            watch(batch, x, outside, b)
        progress(part.stop, data.samples)
    return Verdict(
        samples=data.samples,
        logit_snr_db=10 * math.log10(signal / noise) if 0 < signal < math.inf and 0 < noise < math.inf else None,
        layers=tuple(tally.fidelity() for tally in tallies),
        saturations=saturations,
        input_clipped=clipped,
        changed_decisions=changed_decisions(network, data, changed, other) if changed else None,
        overflows_u=overflows_u,
        negative_inputs=negative,
        **answered.figures(),
    )


def difference(expected: Result, result: Result, steps: int) -> BackendCheck:
    """Two runs of one network on one input of ``steps`` steps, bit for bit.

    Raises `TclifError` where ``result`` lacks a layer that ``expected`` has, or holds another number of values.
    """
    spikes, states = (
        sum(_count(name, getattr(expected, name), getattr(result, name)) for name in names)
        for names in (("spikes",), ("u", "v"))
    )
    for name in ("readout", "classes", "decided"):
        single = [{} if (values := getattr(run, name)) is None else {"": values} for run in (expected, result)]
        states += _count(name, *single)
    samples, neurons = expected.readout.shape[0], sum(u.shape[1] for u in expected.u.values())
    return BackendCheck(samples, steps, samples * steps * neurons, spikes, states)


def _count(kind: str, expected: dict[str, Any], result: dict[str, Any]) -> int:
    """How many values of ``result`` differ from ``expected``."""
    differing = 0
    for layer, values in expected.items():
        if layer not in result or result[layer].shape != values.shape:
            shape = result[layer].shape if layer in result else "missing"
            raise TclifError(
                f"the backend's {kind}{f' of layer {layer}' if layer else ''} is {shape}, expected {values.shape}"
            )
        differing += int(np.count_nonzero(values != result[layer]))
    return differing
