"""What a live model returned, found among what the readout rules say of its last layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.network import Float, Network
from tclif_deploy.readout import MEANINGS, Readout, RunningReadout, softmax

TOLERANCE = 1e-9
"""relative: the model's copy computes in double precision too"""
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
    network: Network, soma: Float, spikes: NDArray[np.bool_] | None, returned: Float, is_sum: bool
) -> tuple[Network, str]:
    """``network`` with the rule that says what the model ``returned`` on the example, and a notice of what was found.

    ``soma`` and ``spikes`` (None: it has none) of the last layer are (samples, time, neurons); ``is_sum``: the last
    layer was put there, to sum up a current. Raises `TclifError` where no rule says it.
    """
    samples, time, size = soma.shape
    steps = spikes.astype(np.float64) if spikes is not None else np.diff(soma, axis=1, prepend=0) if is_sum else soma
    shaped = returned.reshape(len(returned), -1)
    time_first = np.moveaxis(returned, 0, min(1, returned.ndim - 1))
    for by_step in (_by_step(returned, samples, time), _by_step(time_first, samples, time)):
        for kind, values in (("", steps), (" of the soma", soma)):
            if by_step is not None and by_step.shape == values.shape and _equal(by_step, values):
                return network, (
                    f"the model returns each step's output{kind}, here read as {network.readout}: readout says another"
                )
    if returned.ndim == 1 and returned.size == samples and np.array_equal(returned, np.rint(returned)):
        for candidate in _candidates(network, soma, spikes, size, is_sum):
            if np.array_equal(candidate.values.argmax(axis=1), returned):
                return candidate.network, f"the model returns classes, those of the readout {candidate.rule}"
    if len(shaped) == samples and 0 < shaped.shape[1] <= size:
        candidates = list(_candidates(network, soma, spikes, shaped.shape[1], is_sum))
        found, said = _match(candidates, shaped)
        if found is not None:
            return found.network, said
    raise TclifError(
        f"what the model returns (shape {tuple(returned.shape)}) is no readout of its last layer, "
        f"{network.layers[-1].name} ({', '.join(_tried(network))} were tried)",
        "return the layer's own output, or say the rule: readout",
    )


def _match(candidates: list[_Candidate], returned: Float) -> tuple[_Candidate | None, str]:
    """The first candidate that says what the model returned: exactly, else as its softmax, else times a factor."""
    candidates = [c for c in candidates if c.values.shape == returned.shape]
    same = [c for c in candidates if _equal(c.values, returned)]
    if same:
        others = [str(c.rule) for c in same[1:] if not _equal_rules(c, same[0])]
        also = f" ({', '.join(others)} would say the same on this example)" if others else ""
        return same[0], f"the model returns {_words(same[0])}{also}: all values are equal"
    for candidate in candidates:
        shares = softmax(candidate.values)
        for name, values in (("softmax", shares), ("log_softmax", np.log(np.maximum(shares, 1e-300)))):
            if _equal(values, returned):
                return candidate, f"the model returns the {name} of {_words(candidate)}: all values are equal"
    for candidate in candidates:
        power = float((candidate.values**2).sum())
        factor = float((candidate.values * returned).sum()) / power if power else 0.0
        if factor > 0 and _equal(candidate.values * factor, returned):
            return candidate, f"the model returns {factor:.6g} times {_words(candidate)}: all values are equal"
    return None, ""


def _words(candidate: _Candidate) -> str:
    return f"{candidate.words or MEANINGS[candidate.rule.rule]} (readout {candidate.rule})"


def _equal_rules(a: _Candidate, b: _Candidate) -> bool:
    return str(a.rule) == str(b.rule)


def _equal(a: Float, b: Float) -> bool:
    return bool(np.abs(a - b).max(initial=0.0) <= TOLERANCE * max(1.0, float(np.abs(b).max(initial=0.0))))


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
        out = network.layers[-1]
        single = replace(out, neuron=replace(out.neuron, a_v=np.zeros(out.size)))
        network, soma = replace(network, layers=(*network.layers[:-1], single)), np.diff(soma, axis=1, prepend=0)
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
