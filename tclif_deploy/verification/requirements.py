"""What a deployment must reach, and whether what was measured reaches it, falls short, or leaves it open."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from tclif_deploy.mapping import HardwareSummary
from tclif_deploy.settings import Limits, check_settings
from tclif_deploy.target import Target
from tclif_deploy.text import percent, points
from tclif_deploy.verification.verdict import Verdict

MIN_AGREEMENT, MAX_ACCURACY_DROP = 0.95, 0.01
"""limits that hold where nobody sets others"""
SIGMAS = 1.959963984540054
"""of a normal distribution's middle 95 %"""
NUMBER_NAMES = {"r2": "R²", "rmse": "rmse", "smape": "sMAPE"}
"""how figures of numbers are written"""
Share = Annotated[float | None, Limits(0, 1)]


class Asked(NamedTuple):
    """A limit of quality, a share, and who asks for it."""

    value: float
    origin: str

    def __str__(self) -> str:
        return f"{100 * self.value:g} % ({self.origin})"


class Judgement(NamedTuple):
    """What a verdict is worth; lines are for people.

    Examples
    --------
    >>> Judgement((), ("agreement is 94.00 %, ...",), True).word
    'UNCERTAIN'
    """

    shortfalls: tuple[str, ...]
    """a line for each limit that is missed beyond doubt, and for each backend that differs"""
    uncertain: tuple[str, ...]
    """a line for each limit that is missed by less than so few samples can tell"""
    limited: bool
    """whether any limit applied"""

    @property
    def word(self) -> str:
        """What the verdict is called."""
        if self.shortfalls:
            return "FALLS SHORT"
        return "UNCERTAIN" if self.uncertain else "VERIFIED" if self.limited else "COMPARED"


@dataclass(frozen=True)
class Requirements:
    """What the verdict must reach; None asks nothing, but for the two limits that always hold.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> verdict = tc.verify(digits, fixed, test[8:40])
    >>> tc.Requirements().judge(verdict).word
    'VERIFIED'
    >>> tc.Requirements(min_agreement=0.9, min_jaccard=0.999).shortfalls(verdict)[0]
    'spike overlap (Jaccard) of layer features.1 is 0.9181, required at least 0.999'
    """

    min_agreement: Share = None
    """least agreement: share of samples for which float and fixed choose the same class; where it is not given the
    target's, else 0.95; 0 asks nothing"""
    min_accuracy: Share = None
    """least accuracy of the fixed-point network"""
    max_accuracy_drop: Share = None
    """greatest loss of accuracy, float minus fixed; where it is not given the target's, else 0.01; 1 asks nothing"""
    min_jaccard: Share = None
    """least spike overlap (Jaccard) of any layer"""
    min_r2: Annotated[float | None, Limits(high=1)] = None
    """least R2 of the fixed-point network's numbers against the targets"""
    max_rmse: Annotated[float | None, Limits(0)] = None
    """greatest root mean squared error of its numbers"""
    max_smape: Annotated[float | None, Limits(0, 200)] = None
    """greatest symmetric mean absolute percentage error of its numbers, 0 to 200"""
    min_r2_to_float: Annotated[float | None, Limits(high=1)] = None
    """least R2 of its numbers against the float network's"""
    max_rmse_to_float: Annotated[float | None, Limits(0)] = None
    """greatest root mean squared difference from the float network's numbers"""
    max_smape_to_float: Annotated[float | None, Limits(0, 200)] = None
    """greatest symmetric mean absolute percentage difference from them"""
    max_energy: Annotated[float | None, Limits(above=0)] = None
    """greatest modelled energy of an inference in microjoules, by the high estimate"""
    max_latency: Annotated[float | None, Limits(above=0)] = None
    """greatest modelled latency of an inference in microseconds, by the high estimate"""
    max_cores: Annotated[int | None, Limits(1)] = None
    """greatest number of cores"""

    def __post_init__(self) -> None:
        check_settings(self)

    def shortfalls(self, verdict: Verdict) -> list[str]:
        """One line for each limit that ``verdict`` misses beyond doubt, and for each backend that disagrees."""
        return list(self.judge(verdict).shortfalls)

    def of_quality(self, target: Target | None = None) -> tuple[Asked, Asked]:
        """(least agreement, greatest loss of accuracy) and who asks for each: these here, else the target, else nobody.

        Examples
        --------
        >>> from tclif_deploy import Requirements
        >>> [str(asked) for asked in Requirements(min_agreement=0.9).of_quality()]
        ['90 % (asked for)', '1 % (by default)']
        """
        limits = []
        for name, usual in (("min_agreement", MIN_AGREEMENT), ("max_accuracy_drop", MAX_ACCURACY_DROP)):
            own, stated = getattr(self, name), None if target is None else getattr(target, name)
            if own is not None:
                limits.append(Asked(own, "asked for"))
            elif stated is not None and target is not None:
                limits.append(Asked(stated.value, f"of target {target.name}"))
            else:
                limits.append(Asked(usual, "by default"))
        return limits[0], limits[1]

    def judge(
        self, verdict: Verdict, hardware: HardwareSummary | None = None, target: Target | None = None
    ) -> Judgement:
        """Hold ``verdict`` to the limits of quality, those of ``target`` among them, and ``hardware`` to those of cost.

        Either may be left out.
        """
        missed: list[str] = []
        uncertain: list[str] = []
        limited = False
        for name, value, bound, at_least in self._plain(verdict, hardware):
            if bound is None:
                continue
            limited = True
            if value is None or (value < bound if at_least else value > bound):
                if value is None:
                    of_cost = name.startswith(("energy", "latency"))
                    shown = "undefined" + " (no figures of it in the target, or no placement)" * of_cost
                else:
                    shown = f"{value:.4f}" if at_least or value < 100 else f"{value:,.0f}"
                missed.append(f"{name} is {shown}, required {'at least' if at_least else 'at most'} {bound:g}")
        if verdict.layers and not any(la.spike_rate_float or la.spike_rate_fixed for la in verdict.layers):
            uncertain.append("no neuron fires on these samples, which proves nothing: give data that make them fire")
        for doubt in self._doubts(verdict, target):
            limited = True
            if doubt is not None:
                (missed if doubt.certain else uncertain).append(doubt.line)
        for name, check in verdict.backends.items():
            if not check.equal:
                missed.append(
                    f"backend {name} differs from the reference in {check.spike_mismatches} spikes and "
                    f"{check.state_mismatches} states"
                )
        return Judgement(tuple(missed), tuple(uncertain), limited)

    def _plain(
        self, verdict: Verdict, hardware: HardwareSummary | None
    ) -> Iterator[tuple[str, float | None, float | None, bool]]:
        """(name, value, limit, whether it is a least one) of what is compared as it is."""
        yield "fixed-point accuracy", verdict.accuracy_fixed, self.min_accuracy, True
        for name, label in NUMBER_NAMES.items():
            figures, at_least = getattr(verdict, name), name == "r2"
            bound, of_numbers = "min" if at_least else "max", (None, None)
            if figures is not None:
                of_numbers = (figures.quantized, figures.agreement)
            yield f"{label} of the numbers", of_numbers[0], getattr(self, f"{bound}_{name}"), at_least
            yield f"{label} against float", of_numbers[1], getattr(self, f"{bound}_{name}_to_float"), at_least
        for layer in verdict.layers:
            yield f"spike overlap (Jaccard) of layer {layer.name}", layer.jaccard, self.min_jaccard, True
        if hardware is not None:
            energy, latency, mapping = hardware.energy, hardware.latency, hardware.mapping
            nanojoules = None if energy is None else energy.nj_per_inference_high
            yield "energy (µJ)", None if nanojoules is None else nanojoules / 1000, self.max_energy, False
            microseconds = None if latency is None else latency.us_per_inference_high
            yield "latency (µs)", microseconds, self.max_latency, False
            yield "cores", None if mapping is None else mapping.cores, self.max_cores, False

    def _doubts(self, verdict: Verdict, target: Target | None) -> Iterator[_Doubt | None]:
        """What is missed of the limits that samples leave uncertain; None for one that is kept."""
        n = verdict.samples
        agreement, accuracy_drop = self.of_quality(target)
        if verdict.agreement_argmax is not None and agreement.value > 0:  # 0 asks nothing
            bound = agreement.value
            low, high = wilson(verdict.agreement_argmax, n)
            yield _doubt(
                f"agreement is {percent(verdict.agreement_argmax)}, required at least {agreement}",
                verdict.agreement_argmax < bound, high < bound, n,
                f"{percent(low)} to {percent(high)}",
                enough(lambda m: wilson(verdict.agreement_argmax or 0.0, m)[1] < bound, n),
            )  # fmt: skip
        original, fixed = verdict.accuracy_float, verdict.accuracy_fixed
        if verdict.rule_loss is not None:  # what the rule loses is not quantization's
            original = verdict.rule_loss.accuracy
        if original is None or fixed is None or accuracy_drop.value >= 1:  # 1 asks nothing
            return
        bound, drop = accuracy_drop.value, original - fixed
        changed = abs(drop) if verdict.answers_changed is None else verdict.answers_changed
        low, high = paired(drop, changed, n)
        yield _doubt(
            f"accuracy changes by {points(-drop)}, allowed is down to {points(-bound)} ({accuracy_drop.origin})",
            drop > bound + 1e-12, low > bound, n, f"{points(-high)} to {points(-low)}",
            enough(lambda m: paired(drop, changed, m)[0] > bound, n),
        )  # fmt: skip


class _Doubt(NamedTuple):
    """A limit that is missed."""

    line: str
    certain: bool


def _doubt(line: str, missed: bool, certain: bool, samples: int, interval: str, needed: int | None) -> _Doubt | None:
    """What to say of a limit that ``interval`` (95 %) may or may not reach."""
    if not missed:
        return None
    if certain:
        return _Doubt(line, True)
    more = f"{needed:,} samples like these would decide" if needed is not None else "more samples would decide"
    return _Doubt(f"{line}, but {samples:,} samples say only {interval} (95 %): {more}", False)


def wilson(share: float, samples: int) -> tuple[float, float]:
    """Wilson's interval (95 %) of a ``share`` seen in so many ``samples`` (Wilson 1927).

    Examples
    --------
    >>> [round(end, 4) for end in wilson(0.94, 200)]
    [0.8981, 0.9653]
    """
    z2 = SIGMAS**2 / samples
    center = (share + z2 / 2) / (1 + z2)
    half = SIGMAS / (1 + z2) * math.sqrt(share * (1 - share) / samples + z2 / (4 * samples))
    return max(center - half, 0.0), min(center + half, 1.0)


def paired(difference: float, changed: float, samples: int) -> tuple[float, float]:
    """Interval (95 %) of a ``difference`` of two shares of the same ``samples``, the share ``changed`` of which is
    right in just one of the two (Agresti and Min 2005: half a sample more of each kind).

    Examples
    --------
    >>> [round(end, 4) for end in paired(0.02, 0.04, 400)]
    [-0.0001, 0.0399]
    """
    more = samples + 2
    center = difference * samples / more
    variance = ((changed * samples + 1) / more - center**2) / more
    half = SIGMAS * math.sqrt(max(variance, 0.0))
    return max(center - half, -1.0), min(center + half, 1.0)


def enough(decides: Callable[[int], bool], samples: int) -> int | None:
    """The least number of samples, to two digits, with which the same shares would decide; None beyond 10^9."""
    low, high = samples, samples
    while not decides(high):
        high *= 2
        if high > 10**9:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    step = int(10 ** max(len(str(high)) - 2, 0))
    return -(-high // step) * step
