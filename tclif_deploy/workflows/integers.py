"""The integers of whatever a job is given: those of a build as they are, or a model's, quantized for a target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from tclif_deploy.builds import Build
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.files import as_path
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.frontends import ModelLike, ReadOptions, load
from tclif_deploy.progress import Say, say_nothing
from tclif_deploy.quantization import QuantizeSettings, quantize
from tclif_deploy.quantization.calibration import Calibration, calibration_of, choose_calibration
from tclif_deploy.quantization.settings import DEFAULTS
from tclif_deploy.target import Target, load_target

DEFAULT_TARGET = "loihi2"

ModelOrBuild: TypeAlias = "Build | FixedNetwork | ModelLike"
"""a build or its folder, compiled integers, or whatever is taken as a model"""


@dataclass(frozen=True, eq=False)
class Integers:
    """What a job on a network and a target works with."""

    fixed: FixedNetwork
    target: Target
    calibration: Calibration | None
    """what set the scales; None where nobody knows: integers that came by themselves"""
    data: Dataset | None
    """the job's data less those that set the scales"""


def opened(subject: ModelOrBuild) -> ModelOrBuild:
    """A build folder as its `Build`; everything else as it is."""
    if isinstance(subject, (Path, str)) and as_path(subject, "expected a model file or a build folder").is_dir():
        return Build.open(subject)
    return subject


def own_target(subject: ModelOrBuild) -> Target:
    """A build's target; `DEFAULT_TARGET` for everything else."""
    subject = opened(subject)
    return subject.target if isinstance(subject, Build) else load_target(DEFAULT_TARGET)


def integers_for(
    subject: ModelOrBuild,
    target: Target | None = None,
    data: DataLike | None = None,
    *,
    calibration: DataLike | None = None,
    read: ReadOptions | None = None,
    settings: QuantizeSettings | None = None,
    say: Say = say_nothing,
) -> Integers:
    """Integers of ``subject`` for ``target`` (default: the build's own, or `DEFAULT_TARGET`).

    A build is quantized again only for another target: from its float network, with its own settings and calibration
    data. A model is quantized by ``settings``, calibrated as `compile` would on all of ``data``. Raises `TclifError`
    where the target cannot hold the network's numbers.
    """
    subject, test, given = opened(subject), as_dataset(data), as_dataset(calibration, "calibration")
    target = target or own_target(subject)
    if isinstance(subject, FixedNetwork):
        return Integers(subject, target, None, test)
    if isinstance(subject, Build):
        test = None if test is None else subject.unseen(test)
        if target == subject.target and given is None:
            return Integers(subject.fixed, target, subject.calibration, test)
        chosen = subject.calibration if given is None else calibration_of("given", given)
        say(f"quantizing again for {target.name}, calibrated on {chosen}")
        own = narrowed(subject.settings, target)
        return Integers(quantize(subject.network, target, given or chosen.load(), own), target, chosen, test)
    network, path = load(subject, read), Path(subject) if isinstance(subject, (Path, str)) else None
    choice = choose_calibration(path, given, test)
    say(f"quantizing for {target.name}, calibrated on {choice.calibration}")
    return Integers(
        quantize(network, target, choice.data, settings or DEFAULTS), target, choice.calibration, choice.left
    )


def narrowed(settings: QuantizeSettings, target: Target) -> QuantizeSettings:
    """``settings`` with weights no wider than ``target`` holds."""
    most = target.weight_bits.value
    return replace(settings, weight_bits=tuple(min(bits, most) for bits in settings.weight_bits))
