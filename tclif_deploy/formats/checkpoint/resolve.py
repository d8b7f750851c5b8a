"""From args.json and the user's word to the settings of every neuron, with the authors' quirks applied.

Their training scripts do not always do what their args.json says. Each such case is decided here once, and
told in a notice. Values given by hand win over everything.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.read_options import LIF_DECAY, NEURONS, Args, NeuronSettings, ReadOptions, check_threshold
from tclif_deploy.network import Reset

FB_THRESHOLD = 1.0
"""The threshold that the authors' recurrent MNIST model hard-codes (MNIST/models/fc.py, fbMnist)."""
PIXELS = 784
"""Steps of S-MNIST and PS-MNIST."""
OWN_PARAMETERS = {"tclif": "decay_factor", "plif": "w"}
"""The parameter by which a state_dict tells its neurons; LIF has none."""


@dataclass(frozen=True)
class Found:
    """What the weights themselves tell."""

    neurons: frozenset[str]
    """the kinds whose parameters are there"""
    recurrent: bool
    input_size: int


@dataclass(frozen=True)
class _Case:
    """One checkpoint's question: all that is known, and the notices of what was decided."""

    where: str
    args: Args
    given: ReadOptions
    found: Found
    notices: list[str]

    @property
    def script(self) -> str:
        """Which of the authors' scripts trained it: ``MNIST``, ``SHD-SSC``, ``GSC-v2``, or ``unknown``.

        What ``tclif train`` wrote names its ``model``: it has none of their quirks.
        """
        if "model" in self.args.values:
            return "unknown"
        task = self.args.text("task")
        if task in ("SMNIST", "PSMNIST"):
            return "MNIST"
        if task in ("SHD", "SSC"):
            return "SHD-SSC"
        return "GSC-v2" if task is None and "beta_init1" in self.args.values else "unknown"

    @property
    def nor_in(self) -> str:
        """The end of a sentence that says where a value was looked for in vain."""
        return f", nor in {self.args.path}" if self.args.path else ""

    def number(self, name: str, filed: float | None, by_hand: float | None) -> float:
        """The value given by hand, else the file's, else an error that says where to put it."""
        if by_hand is None:
            if filed is None:
                put = (
                    "add it to that file" if self.args.path else "put the training's args.json beside it or say --args"
                )
                raise TclifError(
                    f"{self.where}: the {name} is not in the checkpoint{self.nor_in}",
                    f"{put}, or give --threshold and --gamma by hand",
                )
            return filed
        if filed is not None and by_hand != filed:
            self.notices.append(f"{name} {by_hand:g} given by hand; {self.args.path} and its script mean {filed:g}")
        return float(by_hand)


def resolve(args: Args, given: ReadOptions, found: Found, where: str) -> tuple[NeuronSettings, tuple[str, ...]]:
    """Settings of every neuron of one checkpoint, and notices of what was decided.

    Raises `TclifError` where a value is nowhere, of the wrong type, or speaks of another network.
    """
    case = _Case(where, args, given, found, [])
    neuron = _neuron(case)
    _check_belongs(case)
    threshold = _threshold(case)
    reset = _reset(case, neuron)
    needs_gamma = neuron == "tclif" and reset == "soft"
    gamma = case.number("gamma", args.number("gamma"), given.gamma) if needs_gamma else 0.0
    strict = _strict(case)
    decay = _decay(case) if neuron == "lif" else LIF_DECAY
    settings = NeuronSettings(neuron, threshold, gamma, strict, reset, decay=decay)
    return settings, tuple(case.notices)


def _neuron(case: _Case) -> str:
    """The kind of neuron, from its parameters where it has any."""
    filed, by_hand, path = case.args.text("neuron"), case.given.neuron, case.args.path
    if filed is not None and by_hand is None and filed not in NEURONS:
        if filed == "alif":
            raise TclifError(
                f"{path}: ALIF, whose threshold moves with its spikes, is not supported", "tclif, lif, plif are"
            )
        near = difflib.get_close_matches(filed, NEURONS, 1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise TclifError(f"{path}: neuron {filed!r:.40} is not supported", f"tclif, lif and plif are{guess}")
    if by_hand is not None and filed is not None and by_hand != filed:
        case.notices.append(f"neuron {by_hand} given by hand; {path} says {filed}")
    said, source = by_hand or filed, "given by hand" if by_hand else f"in {path}"
    if len(case.found.neurons) > 1:
        raise TclifError(f"{case.where}: holds both TC-LIF and PLIF neurons", "only one kind a checkpoint can be read")
    inside = next(iter(case.found.neurons), None)
    if inside is None and said is None:
        raise TclifError(
            f"{case.where}: no neuron has parameters in it, so the kind of neuron is unknown{case.nor_in}",
            'if it is the authors\' LIF, which has none, write "neuron": "lif" into args.json; otherwise it is not '
            "a TC-LIF network",
        )
    if said is not None and said != (inside or "lif"):
        holds = (
            f"holds {inside.upper()} neurons ({OWN_PARAMETERS[inside]})" if inside else "no neuron has parameters in it"
        )
        raise TclifError(f"{case.where}: {holds}, but the neuron {source} is {said}", "is it this model's args.json?")
    if said is None:
        assert inside is not None
        case.notices.append(
            f"neurons taken as {inside}, from their parameter {OWN_PARAMETERS[inside]}: no file names them"
        )
    return inside or "lif"


def _check_belongs(case: _Case) -> None:
    """Say where args.json and the weights disagree, and what the data must look like."""
    args, found = case.args, case.found
    network = args.text("network")
    if network in ("ff", "fb") and (network == "fb") != found.recurrent:
        has = "has" if found.recurrent else "has no"
        case.notices.append(
            f"{args.path} says network {network}, but the checkpoint {has} recurrent weights: is it its args.json?"
        )
    if case.script != "MNIST":
        return
    ind = args.number("ind")
    if ind is not None and ind != found.input_size:
        case.notices.append(
            f"{args.path} says ind {ind:g}, but the first layer takes {found.input_size} features a step"
        )
    elif found.input_size > 1:
        case.notices.append(
            f"the network takes a window of {found.input_size} neighbouring pixels a step: the data must be windowed "
            f"already, step t beginning at pixel min(t, {PIXELS - found.input_size})"
        )
    if args.text("task") == "PSMNIST":
        case.notices.append(
            "the authors' script draws PS-MNIST's permutation without a seed and does not save it: the data must be "
            "permuted already, as in that training"
        )


def _threshold(case: _Case) -> float:
    filed = case.args.number("threshold")
    if filed is not None:
        check_threshold(filed, f"{case.args.path}: threshold")
    if case.script == "MNIST" and (case.args.text("network") or ("fb" if case.found.recurrent else "ff")) == "fb":
        if filed != FB_THRESHOLD and case.given.threshold is None:
            case.notices.append(
                f"threshold {FB_THRESHOLD:g}: the authors' recurrent MNIST model hard-codes it, whatever "
                f"{case.args.path} says ({'nothing' if filed is None else f'{filed:g}'})"
            )
        filed = FB_THRESHOLD
    return case.number("threshold", filed, case.given.threshold)


def _reset(case: _Case, neuron: str) -> Reset:
    hard = case.args.flag("hard_reset")
    ignored = neuron != "plif" and bool(hard) and case.script == "MNIST"
    coded: Reset = "hard" if neuron == "plif" or (hard and not ignored) else "soft"
    if case.given.reset is not None:
        by_hand: Reset = "hard" if case.given.reset == "hard" else "soft"
        if case.args.path and by_hand != coded:
            case.notices.append(f"{by_hand} reset given by hand; {case.args.path} and its script mean {coded}")
        return by_hand
    if ignored:
        case.notices.append(f"soft reset: {case.args.path} says hard_reset, which the authors' MNIST script ignores")
    elif neuron == "plif":
        case.notices.append("hard reset to 0, and input that is not decayed: what the authors' PLIF always does")
    elif hard is None:
        case.notices.append("soft reset assumed (say --reset hard if the training used it)")
    return coded


def _strict(case: _Case) -> bool:
    sg = case.args.text("sg")
    coded = sg == "gau"
    if case.given.comparator is not None:
        by_hand = case.given.comparator == ">"
        if sg is not None and by_hand != coded:
            case.notices.append(
                f"comparator {case.given.comparator} given by hand; {case.args.path} says sg {sg!r:.40}"
            )
        return by_hand
    if sg is None:
        case.notices.append("fires at v >= threshold assumed (say --comparator '>' if it was trained with --sg gau)")
    elif coded:
        case.notices.append("fires at v > threshold: the authors' surrogate gau does, all their others fire at >=")
    elif sg not in ("triangle", "exp", "rectangle", "sigmoid"):
        case.notices.append(f"fires at v >= threshold assumed: the authors' code has no surrogate {sg!r:.40}")
    return coded


def _decay(case: _Case) -> float:
    if case.given.decay is not None:
        return float(case.given.decay)
    if case.script == "SHD-SSC":
        raise TclifError(
            f"{case.where}: the LIF neurons' decay is not in the checkpoint, and the authors' SHD/SSC script sets none",
            "give it by hand (decay)",
        )
    if case.script == "unknown":
        case.notices.append("LIF decay 0.8 assumed, as the authors' code has it")
    return LIF_DECAY
