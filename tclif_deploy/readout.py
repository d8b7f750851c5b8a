"""What a network says: how the last layer's states or spikes, step by step, become a sample's readout and its class.

A rule keeps a running value for each output, which one step after the other changes. So a readout is defined after
each step, for the steps up to there; a sample's readout is the one after its last valid step. With v the soma after a
step, charged the soma before its reset, s the spikes, all of the last layer::

    last       R <- v                       sum, mean  R <- R + v                 max        R <- max(R, v)
    count      R <- R + s                   rate       R <- R + s                 step       R <- s, v where none fires
    first, threshold    R <- charged, until the step, that one included, at which an output reaches its threshold
    softmax    R <- R + softmax(v)          (float networks only)

``votes`` k takes the sum of k neighbours in place of s. Integers are not divided: a mean is the sum, a rate and votes
are the count, and `Readout.divisor` says by what. A class is the argmax of R (ties to the lowest index); of ``first``
it is the lowest index that reached its threshold, or that argmax where none did.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked_fields
from tclif_deploy.errors import TclifError
from tclif_deploy.settings import Limits

Rule = Literal["auto", "last", "sum", "mean", "max", "count", "rate", "step", "first", "threshold", "softmax"]
RULES = get_args(Rule)[1:]
OF_INTEGERS = tuple(rule for rule in RULES if rule != "softmax")
"""rules of a fixed-point network"""
MEANINGS = {
    "last": "the soma after the last step",
    "sum": "the sum of the soma over all steps",
    "mean": "the mean of the soma over all steps",
    "max": "the greatest soma of all steps",
    "count": "the number of spikes",
    "rate": "spikes a step",
    "step": "what each step says by itself: its spikes, or the soma of an output that does not fire",
    "first": "the first output that fires or reaches a threshold",
    "threshold": "the greatest soma at the first step at which an output fires or reaches a threshold",
    "softmax": "the sum of each step's softmax",
}
"""rule -> what it takes of the last layer, in words"""
OF_SPIKES = ("count", "rate")
DECIDING = ("first", "threshold")
"""rules that wait for a threshold"""
SUMS = ("sum", "mean")
FORM = "one of " + ", ".join(RULES) + "; votes:K and rate:K average K neurons, first:X and threshold:X wait for X"


@dataclass(frozen=True)
@checked_fields
class Readout:
    """How the last layer's steps become an answer. Raises `TclifError` for numbers that the rule has no use for.

    Examples
    --------
    >>> from tclif_deploy import Readout
    >>> Readout("mean"), str(Readout.parse("votes:10")), Readout.parse("first:1.5").threshold
    (Readout(rule='mean', votes=1, threshold=None), 'votes:10', 1.5)
    """

    rule: Rule = "auto"
    """``auto``: the soma after the last step, or the number of spikes of an output that fires"""
    votes: Annotated[int, Limits(1)] = 1
    """k: so many neighbouring outputs are one class, which counts the mean of their spikes; ``count`` and ``rate``"""
    threshold: Annotated[float | None, Limits(above=0)] = None
    """what the soma must reach, in the float network's units; ``first`` and ``threshold`` of an output that does not
    fire"""

    def __post_init__(self) -> None:
        if self.votes > 1 and self.rule not in OF_SPIKES:
            raise TclifError(f"readout {self.rule}: votes is {self.votes}", "only count and rate average neurons")
        if self.threshold is not None and self.rule not in DECIDING:
            raise TclifError(
                f"readout {self.rule}: threshold is {self.threshold:g}", "only first and threshold wait for one"
            )

    def __str__(self) -> str:
        if self.votes > 1:
            return f"{'votes' if self.rule == 'count' else self.rule}:{self.votes}"
        if self.threshold is None:
            return self.rule
        short = f"{self.threshold:g}"
        return f"{self.rule}:{short if float(short) == self.threshold else repr(self.threshold)}"

    @classmethod
    def parse(cls, text: str) -> Readout:
        """The rule of a text such as ``mean``, ``votes:10`` or ``first:1.5``. Raises `TclifError` for another."""
        name, colon, number = text.strip().partition(":")
        rule = "count" if name == "votes" else name
        wrong = TclifError(f"readout {text!r:.60} is not known", FORM)
        if rule not in RULES or (name == "votes" and not colon):
            raise wrong
        if not colon:
            return cls(rule)  # type: ignore[arg-type]
        try:
            value = float(number)
        except ValueError:
            raise wrong from None
        if rule in OF_SPIKES and value == int(value if np.isfinite(value) else 0):
            if value < 1:
                raise TclifError(f"readout {text!r:.60} averages {value:g} neurons", f"1 or more, such as {name}:10")
            return cls(rule, votes=int(value))  # type: ignore[arg-type]
        if rule in DECIDING:
            if not (np.isfinite(value) and value > 0):
                raise TclifError(
                    f"readout {text!r:.60} waits for {value:g}", f"a finite threshold above 0, such as {rule}:1.5"
                )
            return cls(rule, threshold=value)  # type: ignore[arg-type]
        raise wrong

    def of(self, name: str, size: int, spiking: bool) -> Readout:
        """This rule for a last layer ``name`` of ``size`` neurons, with ``auto`` decided.

        Raises `TclifError` where the layer has not what the rule takes.
        """
        if self.rule == "auto":
            return replace(self, rule="count" if spiking else "last")
        where = f"readout {self}: the last layer, {name},"
        if self.rule in OF_SPIKES and not spiking:
            raise TclifError(f"{where} does not fire", "last, sum, mean or max take its soma")
        if self.rule == "softmax" and spiking:
            raise TclifError(f"{where} fires", "count, rate or votes read spikes")
        if size % self.votes or self.votes > size:
            raise TclifError(f"{where} has {size} neurons", f"a multiple of {self.votes} is needed")
        if self.rule in DECIDING and spiking == (self.threshold is not None):
            raise TclifError(
                *((f"{where} fires at its own thresholds", f"write {self.rule}") if spiking else
                  (f"{where} does not fire", f"say which value it waits for: {self.rule}:X"))
            )  # fmt: skip
        return self

    def in_integers(self) -> Readout:
        """The rule by which integers stand for this one: integers have no exponential, so a sum for a softmax."""
        return Readout("sum") if self.rule == "softmax" else self

    def counts_spikes(self, spiking: bool) -> bool:
        """Whether the readout counts spikes, of a last layer that fires or not; else it is a soma's, or a sum of it."""
        return self.rule in OF_SPIKES or (self.rule == "step" and spiking)

    def outputs(self, size: int) -> int:
        """Width of the readout of a last layer of ``size`` neurons: its classes."""
        return size // self.votes

    def divisor(self, steps: Any) -> Any:
        """What a running value after so many ``steps`` is divided by; an array of them gives an array."""
        return self.votes * (steps if self.rule in ("mean", "rate") else np.ones_like(steps))

    @property
    def decides(self) -> bool:
        """Whether the rule waits for a threshold."""
        return self.rule in DECIDING

    def usual(self, spiking: bool) -> bool:
        """Whether ``auto`` says the same, for a last layer that fires or not."""
        return self.votes == 1 and self.rule in ("auto", "count" if spiking else "last")


class RunningReadout:
    """The running value of a `Readout` over the steps of some samples, float or integer.

    Examples
    --------
    >>> first = RunningReadout(Readout("first", threshold=2.0), np.array([2.0, 2.0]), samples=1, dtype=np.float64)
    >>> for t, v in enumerate(([1.0, 1.5], [1.0, 2.5], [9.0, 9.0])):
    ...     first.add(t, np.array([True]), np.array([v]))
    >>> first.value.tolist(), first.decided.tolist(), first.classes(1).tolist()
    ([[1.0, 2.5]], [1], [1])
    """

    def __init__(
        self,
        readout: Readout,
        threshold: NDArray[Any],
        *,
        samples: int,
        dtype: Any,
        spiking: bool = False,
        strict: bool = False,
        time: int = 0,
    ) -> None:
        self.readout, self.threshold, self.spiking, self.strict = readout, threshold, spiking, strict
        self.value = np.zeros((samples, readout.outputs(threshold.size)), dtype)
        """(samples, outputs)"""
        self.decided = np.full(samples, -1, np.int64)
        """the step at which ``first`` or ``threshold`` decided, -1: not yet; (samples,)"""
        self.steps = np.zeros((samples, time, self.value.shape[1]), dtype)
        """the value after each step, where ``time`` says how many; a sample's stays as it was after its last"""

    def add(
        self,
        t: int,
        reads: NDArray[np.bool_],
        v: NDArray[Any],
        charged: NDArray[Any] | None = None,
        s: NDArray[Any] | None = None,
    ) -> None:
        """Step ``t``: the soma ``v``, ``charged`` before its reset (default: as v), and spikes ``s``, each (samples,
        neurons), of the samples that have such a step, ``reads`` (samples,)."""
        rule, value = self.readout.rule, self.value
        charged = v if charged is None else charged
        if self.readout.counts_spikes(self.spiking):
            assert s is not None
            votes = s.reshape(len(s), -1, self.readout.votes).sum(axis=2)
            value[reads] = votes[reads] + (0 if rule == "step" else value[reads])
        elif rule in SUMS:
            value[reads] += v[reads]
        elif rule == "softmax":
            value[reads] += softmax(v[reads])
        elif rule == "max" and t > 0:
            value[reads] = np.where(v[reads] > value[reads], v[reads], value[reads])
        elif rule in DECIDING:
            undecided = reads & (self.decided < 0)
            value[undecided] = charged[undecided]
            self.decided[undecided & reached(charged, self.threshold, self.strict).any(axis=1)] = t
        else:
            value[reads] = v[reads]
        if self.steps.shape[1]:
            self.steps[:, t] = value

    def copy(self) -> RunningReadout:
        """The same numbers in memory of their own; steps that were kept are not among them."""
        other = copy.copy(self)
        other.value, other.decided, other.steps = self.value.copy(), self.decided.copy(), self.steps[:, :0]
        return other

    def take(self, t: int, reads: NDArray[np.bool_], other: RunningReadout) -> None:
        """Be as ``other`` is after step ``t``, for the samples that have such a step."""
        self.value[reads], self.decided[reads] = other.value[reads], other.decided[reads]
        if self.steps.shape[1]:
            self.steps[:, t] = self.value

    def classes(self, multiplier: Any) -> NDArray[np.int64]:
        """The class of each sample; outputs compare as value * ``multiplier``."""
        return decide(self.readout, self.value, multiplier, self.threshold, self.strict)

    def step_classes(self, multiplier: Any) -> NDArray[np.int64]:
        """The class after each step that was kept, (samples, time)."""
        return decide(self.readout, self.steps, multiplier, self.threshold, self.strict)


def decide(
    readout: Readout, value: NDArray[Any], multiplier: Any, threshold: NDArray[Any], strict: bool = False
) -> NDArray[np.int64]:
    """The class that a running value (..., outputs) means, (...); outputs compare as value * ``multiplier``."""
    classes: NDArray[np.int64] = np.argmax(value * multiplier, axis=-1)
    if readout.rule != "first":
        return classes
    there = reached(value, threshold, strict)
    return np.asarray(np.where(there.any(axis=-1), np.argmax(there, axis=-1), classes))


def reached(charged: NDArray[Any], threshold: NDArray[Any], strict: bool) -> NDArray[np.bool_]:
    """Where a soma has reached its threshold."""
    return np.asarray(charged > threshold if strict else charged >= threshold)


def softmax(v: NDArray[Any]) -> NDArray[Any]:
    """Of (samples, outputs), over the outputs; its last bits are those of numpy's exponential on this CPU."""
    powers = np.exp(v - v.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
