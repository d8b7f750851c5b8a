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
class CheckpointFacts:
    """What the weights themselves tell."""

    neurons: frozenset[str]
    """the kinds whose parameters are there"""
    recurrent: bool
    input_size: int


@dataclass(frozen=True)
class SettingsResolver:
    """What is known about one checkpoint, and the notices of what was decided for it."""

    where: str
    args: Args
    given: ReadOptions
    facts: CheckpointFacts
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

    def number(self, name: str, from_file: float | None, override: float | None) -> float:
        """The value given by hand, else the file's, else an error that says where to put it."""
        if override is None:
            if from_file is None:
                put = (
                    "add it to that file" if self.args.path else "put the training's args.json beside it or say --args"
                )
                raise TclifError(
                    f"{self.where}: the {name} is not in the checkpoint{self.nor_in}",
                    f"{put}, or give --threshold and --gamma by hand",
                )
            return from_file
        if from_file is not None and override != from_file:
            self.notices.append(
                f"{name} {override:g} given by hand; {self.args.path} and its script mean {from_file:g}"
            )
        return float(override)


def resolve(
    args: Args, given: ReadOptions, facts: CheckpointFacts, where: str
) -> tuple[NeuronSettings, tuple[str, ...]]:
    """Settings of every neuron of one checkpoint, and notices of what was decided.

    Raises `TclifError` where a value is nowhere, of the wrong type, or speaks of another network.
    """
    resolver = SettingsResolver(where, args, given, facts, [])
    neuron = _neuron(resolver)
    _check_belongs(resolver)
    threshold = _threshold(resolver)
    reset = _reset(resolver, neuron)
    needs_gamma = neuron == "tclif" and reset == "soft"
    gamma = resolver.number("gamma", args.number("gamma"), given.gamma) if needs_gamma else 0.0
    strict = _strict(resolver)
    decay = _decay(resolver) if neuron == "lif" else LIF_DECAY
    settings = NeuronSettings(neuron, threshold, gamma, strict, reset, decay=decay)
    return settings, tuple(resolver.notices)


def _neuron(resolver: SettingsResolver) -> str:
    """The kind of neuron, from its parameters where it has any."""
    from_file, override, path = resolver.args.text("neuron"), resolver.given.neuron, resolver.args.path
    if from_file is not None and override is None and from_file not in NEURONS:
        if from_file == "alif":
            raise TclifError(
                f"{path}: ALIF, whose threshold moves with its spikes, is not supported", "tclif, lif, plif are"
            )
        near = difflib.get_close_matches(from_file, NEURONS, 1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise TclifError(f"{path}: neuron {from_file!r:.40} is not supported", f"tclif, lif and plif are{guess}")
    if override is not None and from_file is not None and override != from_file:
        resolver.notices.append(f"neuron {override} given by hand; {path} says {from_file}")
    named, source = override or from_file, "given by hand" if override else f"in {path}"
    if len(resolver.facts.neurons) > 1:
        raise TclifError(
            f"{resolver.where}: holds both TC-LIF and PLIF neurons", "only one kind a checkpoint can be read"
        )
    inside = next(iter(resolver.facts.neurons), None)
    if inside is None and named is None:
        raise TclifError(
            f"{resolver.where}: no neuron has parameters in it, so the kind of neuron is unknown{resolver.nor_in}",
            'if it is the authors\' LIF, which has none, write "neuron": "lif" into args.json; otherwise it is not '
            "a TC-LIF network; of Norse's LIF, whose state_dict holds no neuron either, load the live module",
        )
    if named is not None and named != (inside or "lif"):
        holds = (
            f"holds {inside.upper()} neurons ({OWN_PARAMETERS[inside]})" if inside else "no neuron has parameters in it"
        )
        raise TclifError(
            f"{resolver.where}: {holds}, but the neuron {source} is {named}", "is it this model's args.json?"
        )
    if named is None:
        assert inside is not None
        resolver.notices.append(
            f"neurons taken as {inside}, from their parameter {OWN_PARAMETERS[inside]}: no file names them"
        )
    return inside or "lif"


def _check_belongs(resolver: SettingsResolver) -> None:
    """Say where args.json and the weights disagree, and what the data must look like."""
    args, facts = resolver.args, resolver.facts
    network = args.text("network")
    if network in ("ff", "fb") and (network == "fb") != facts.recurrent:
        has = "has" if facts.recurrent else "has no"
        resolver.notices.append(
            f"{args.path} says network {network}, but the checkpoint {has} recurrent weights: is it its args.json?"
        )
    if resolver.script != "MNIST":
        return
    ind = args.number("ind")
    if ind is not None and ind != facts.input_size:
        resolver.notices.append(
            f"{args.path} says ind {ind:g}, but the first layer takes {facts.input_size} features a step"
        )
    elif facts.input_size > 1:
        resolver.notices.append(
            f"the network takes a window of {facts.input_size} neighbouring pixels a step: the data must be windowed "
            f"already, step t beginning at pixel min(t, {PIXELS - facts.input_size})"
        )
    if args.text("task") == "PSMNIST":
        resolver.notices.append(
            "the authors' script draws PS-MNIST's permutation without a seed and does not save it: the data must be "
            "permuted already, as in that training"
        )


def _threshold(resolver: SettingsResolver) -> float:
    from_file = resolver.args.number("threshold")
    if from_file is not None:
        check_threshold(from_file, f"{resolver.args.path}: threshold")
    if (
        resolver.script == "MNIST"
        and (resolver.args.text("network") or ("fb" if resolver.facts.recurrent else "ff")) == "fb"
    ):
        if from_file != FB_THRESHOLD and resolver.given.threshold is None:
            resolver.notices.append(
                f"threshold {FB_THRESHOLD:g}: the authors' recurrent MNIST model hard-codes it, whatever "
                f"{resolver.args.path} says ({'nothing' if from_file is None else f'{from_file:g}'})"
            )
        from_file = FB_THRESHOLD
    return resolver.number("threshold", from_file, resolver.given.threshold)


def _reset(resolver: SettingsResolver, neuron: str) -> Reset:
    hard = resolver.args.flag("hard_reset")
    ignored = neuron != "plif" and bool(hard) and resolver.script == "MNIST"
    always = neuron == "plif" and (hard is None or "model" not in resolver.args.values)  # ours says what it had
    coded: Reset = "hard" if always or (hard and not ignored) else "soft"
    if resolver.given.reset is not None:
        override: Reset = "hard" if resolver.given.reset == "hard" else "soft"
        if resolver.args.path and override != coded:
            resolver.notices.append(f"{override} reset given by hand; {resolver.args.path} and its script mean {coded}")
        return override
    if ignored:
        resolver.notices.append(
            f"soft reset: {resolver.args.path} says hard_reset, which the authors' MNIST script ignores"
        )
    elif neuron == "plif" and coded == "hard":
        resolver.notices.append("hard reset to 0, and input that is not decayed: what the authors' PLIF always does")
    elif hard is None:
        resolver.notices.append("soft reset assumed (say --reset hard if the training used it)")
    return coded


def _strict(resolver: SettingsResolver) -> bool:
    sg = resolver.args.text("sg")
    coded = sg == "gau"
    if resolver.given.comparator is not None:
        override = resolver.given.comparator == ">"
        if sg is not None and override != coded:
            resolver.notices.append(
                f"comparator {resolver.given.comparator} given by hand; {resolver.args.path} says sg {sg!r:.40}"
            )
        return override
    if sg is None:
        resolver.notices.append(
            "fires at v >= threshold assumed (say --comparator '>' if it was trained with --sg gau)"
        )
    elif coded:
        resolver.notices.append("fires at v > threshold: the authors' surrogate gau does, all their others fire at >=")
    elif sg not in ("triangle", "exp", "rectangle", "sigmoid"):
        resolver.notices.append(f"fires at v >= threshold assumed: the authors' code has no surrogate {sg!r:.40}")
    return coded


def _decay(resolver: SettingsResolver) -> float:
    if resolver.given.decay is not None:
        return float(resolver.given.decay)
    if resolver.script == "SHD-SSC":
        raise TclifError(
            f"{resolver.where}: the LIF neurons' decay is not in the checkpoint, and the authors' SHD/SSC script sets "
            "none",
            "give it by hand (decay)",
        )
    if resolver.script == "unknown":
        resolver.notices.append("LIF decay 0.8 assumed, as the authors' code has it")
    return LIF_DECAY
