"""What a live model returned, found among what the readout rules say of its last layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.network import Float, Network
from tclif_deploy.readout import MEANINGS, Readout, RunningReadout, softmax

LEAST_VALUES = 4
"""different ones that a model must return for a factor between them and a readout's to mean anything"""
TOLERANCE, SINGLE = 1e-9, 1e-6
"""relative: the model's copy computes in double precision too; but what a library gives in single stays single"""
OF_SOMA = ("last", "sum", "mean", "max", "softmax")


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A way to read the network, and what it says on the example."""

    network: Network
    values: Float
    """(samples, outputs)"""
    words: str = ""
    """what it takes, where the rule alone does not say it"""

    @property
    def rule(self) -> Readout:
        return self.network.readout


def with_answer(
    network: Network, soma: Float, spikes: NDArray[np.bool_] | None, answer: NDArray[Any], is_sum: bool
) -> tuple[Network, str]:
    """``network`` with the rule that says what the model returned on the example, ``answer``, and a notice of it.

    ``soma`` and ``spikes`` (None: it has none) of the last layer are (samples, time, neurons); ``is_sum``: the last
    layer was put there, to sum up a current. Raises `TclifError` where no rule says it.
    """
    samples, time, size = soma.shape
    tolerance = SINGLE if answer.dtype.kind == "f" and answer.dtype.itemsize < 8 else TOLERANCE
    returned = answer.astype(np.float64)
    steps = spikes.astype(np.float64) if spikes is not None else np.diff(soma, axis=1, prepend=0) if is_sum else soma
    shaped = returned.reshape(len(returned), -1)
    if spikes is not None and not spikes.any():
        return network, (
            f"the output, {network.layers[-1].name}, never fires on the example, which so cannot tell how it is read: "
            f"here by {network.readout}"
        )
    time_first = np.moveaxis(returned, 0, min(1, returned.ndim - 1))
    for by_step in (_by_step(returned, samples, time), _by_step(time_first, samples, time)):
        for kind, values in (("", steps), (" of the soma", soma)):
            if by_step is not None and by_step.shape == values.shape and _equal(by_step, values, tolerance):
                return network, (
                    f"the model returns each step's output{kind}, here read as "
                    f"{'their sum' if is_sum else network.readout}: readout says another"
                )
    if returned.ndim == 1 and returned.size == samples and np.array_equal(returned, np.rint(returned)):
        candidates = [
            c for outputs in range(1, size + 1) if size % outputs == 0
            for c in _candidates(network, soma, spikes, outputs, is_sum)
        ]  # fmt: skip
        alike = [c for c in candidates if np.array_equal(c.values.argmax(axis=1), returned)]
        # a rate has the classes of its count, a mean those of its sum
        same = {"rate": "count", "mean": "sum"}
        kinds = {"sum" if c.words else same.get(text := str(c.rule), text.replace("rate:", "votes:")) for c in alike}
        if len(kinds) == 1:
            return alike[0].network, f"the model returns classes, those of the readout {alike[0].rule}"
        if kinds:
            raise TclifError(
                f"the model returns classes that several readouts have on the example: {', '.join(sorted(kinds))}",
                "return the scores, give more samples, or say the rule: readout",
            )
    of_classes = returned.ndim == 1 and size > 1 and np.array_equal(returned, np.rint(returned))
    if len(shaped) == samples and 0 < shaped.shape[1] <= size and not of_classes:
        candidates = list(_candidates(network, soma, spikes, shaped.shape[1], is_sum))
        found, said = _match(candidates, shaped, tolerance)
        if found is not None:
            return found.network, said
    raise TclifError(
        f"what the model returns (shape {tuple(returned.shape)}) is no readout of its last layer, "
        f"{network.layers[-1].name} ({', '.join(_tried(network))} were tried)",
        "return the layer's own output, or say the rule: readout",
    )


def with_rule(
    network: Network, soma: Float, spikes: NDArray[np.bool_] | None, answer: NDArray[Any], is_sum: bool, text: str
) -> tuple[Network, tuple[str, ...]]:
    """``network`` read by the rule that was asked for, of the model's own outputs, and whether that is its ``answer``.

    Raises `TclifError` where the rule does not fit the last layer.
    """
    if is_sum:
        network, soma = _single_steps(network), np.diff(soma, axis=1, prepend=0)
    ruled = network.with_readout(text)
    said = _said(ruled.readout, soma, spikes)
    tolerance = SINGLE if answer.dtype.kind == "f" and answer.dtype.itemsize < 8 else TOLERANCE
    returned = answer.astype(np.float64).reshape(len(answer), -1)
    if said.shape == returned.shape and _equal(said, returned, tolerance):
        return ruled, (f"the model returns what the readout {ruled.readout} says: all values are equal",)
    return ruled, (f"the model returns something else than the readout {ruled.readout}, which was asked for, says",)


def _single_steps(network: Network) -> Network:
    """The network with each step's current as its last layer's soma, in place of their sum."""
    out = network.layers[-1]
    single = replace(out, neuron=replace(out.neuron, a_v=np.zeros(out.size)))
    return replace(network, layers=(*network.layers[:-1], single))


def _match(candidates: list[_Candidate], returned: Float, tolerance: float) -> tuple[_Candidate | None, str]:
    """The first candidate that says what the model returned: exactly, else as its softmax, else times a factor."""
    candidates = [c for c in candidates if c.values.shape == returned.shape]
    same = [c for c in candidates if _equal(c.values, returned, tolerance)]
    if same:
        others = [str(c.rule) for c in same[1:] if not _equal_rules(c, same[0])]
        also = f" ({', '.join(others)} would say the same on this example)" if others else ""
        return same[0], f"the model returns {_words(same[0])}{also}: all values are equal"
    for candidate in candidates:
        shares = softmax(candidate.values)
        for name, values in (("softmax", shares), ("log_softmax", np.log(np.maximum(shares, 1e-300)))):
            if _equal(values, returned, tolerance):
                return candidate, f"the model returns the {name} of {_words(candidate)}: all values are equal"
    for candidate in candidates:
        power = float((candidate.values**2).sum())
        factor = float((candidate.values * returned).sum()) / power if power else 0.0
        if (
            np.unique(returned).size >= LEAST_VALUES
            and factor > 0
            and _equal(candidate.values * factor, returned, tolerance)
        ):
            return candidate, f"the model returns {factor:.6g} times {_words(candidate)}: all values are equal"
    return None, ""


def _words(candidate: _Candidate) -> str:
    return f"{candidate.words or MEANINGS[candidate.rule.rule]} (readout {candidate.rule})"


def _equal_rules(a: _Candidate, b: _Candidate) -> bool:
    return str(a.rule) == str(b.rule)


def _equal(a: Float, b: Float, tolerance: float) -> bool:
    return bool(np.abs(a - b).max(initial=0.0) <= tolerance * max(1.0, float(np.abs(b).max(initial=0.0))))


def _by_step(values: Float, samples: int, time: int) -> Float | None:
    """(samples, time, ...) flattened, or None where the axes are others."""
    return values.reshape(samples, time, -1) if values.shape[:2] == (samples, time) else None


def _tried(network: Network) -> list[str]:
    spiking = network.layers[-1].neuron.spiking
    return ["count", "rate", "votes", "step", *OF_SOMA[:-1]] if spiking else [*OF_SOMA]


def _candidates(
    network: Network, soma: Float, spikes: NDArray[np.bool_] | None, outputs: int, is_sum: bool
) -> Iterator[_Candidate]:
    """The rules that give so many ``outputs``, the usual one first."""
    if is_sum:
        yield _Candidate(network, soma[:, -1], "the sum of all steps")
        network, soma = _single_steps(network), np.diff(soma, axis=1, prepend=0)
    texts: list[str] = []
    if spikes is not None:
        votes = soma.shape[2] // outputs
        texts = ["count", "rate", "step"] if votes == 1 else [f"votes:{votes}", f"rate:{votes}"]
    if soma.shape[2] == outputs:
        texts += [text for text in OF_SOMA if text != "softmax" or spikes is None]
    for text in texts:
        rule = Readout.parse(text)
        if soma.shape[2] % rule.votes or (is_sum and text == "sum"):
            continue
        yield _Candidate(network.with_readout(rule), _said(rule, soma, spikes))


def _said(rule: Readout, soma: Float, spikes: NDArray[np.bool_] | None) -> Float:
    """What a rule says after the last step, (samples, outputs)."""
    samples, time, size = soma.shape
    running = RunningReadout(
        rule, np.zeros(size), samples=samples, dtype=np.float64, spiking=spikes is not None
    )  # fmt: skip
    for t in range(time):
        running.add(t, np.ones(samples, np.bool_), soma[:, t], s=None if spikes is None else spikes[:, t])
    return np.asarray(running.value / rule.divisor(time))
