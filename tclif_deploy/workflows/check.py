"""Will it fit? Every design rule on a model or a build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tclif_deploy import mapping
from tclif_deploy.arguments import checked
from tclif_deploy.builds import Build
from tclif_deploy.data import DataLike
from tclif_deploy.frontends import ReadOptions
from tclif_deploy.mapping import Finding
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.quantization import CannotHold, QuantizeSettings
from tclif_deploy.quantization.calibration import Calibration
from tclif_deploy.settings import Limits
from tclif_deploy.target import Target, as_target
from tclif_deploy.workflows.integers import ModelOrBuild, integers_for, opened, own_target

SAMPLES = 32
"""samples whose activity is looked at, unless more are asked for"""


@dataclass(frozen=True)
class Check:
    """What the design rules say.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> quick = tc.QuantizeSettings(passes=())  # passes take a second
    >>> too_small = tc.check(model, tc.load_target("loihi2").override(synaptic_memory=4096), settings=quick)
    >>> too_small.fits, too_small.findings[0].severity, too_small.findings[0].rule
    (False, 'error', 'placement')
    """

    target: str
    """its name"""
    calibration: Calibration | None
    """what set the scales of the integers; None where that is not known"""
    findings: tuple[Finding, ...]
    """worst first"""
    layers: Annotated[tuple[str, ...], Field(exclude=True)] = ()
    """names of the network's layers, in order; not in the JSON form; none where the target cannot hold its numbers"""

    @property
    def fits(self) -> bool:
        """Whether the target can hold the network."""
        return not any(finding.is_misfit for finding in self.findings)

    @property
    def passed(self) -> bool:
        """Whether there is no error of any kind among them."""
        return all(finding.severity != "error" for finding in self.findings)


@checked
def check(
    subject: ModelOrBuild,
    target: Target | Path | str | None = None,
    data: DataLike | None = None,
    *,
    calibration: DataLike | None = None,
    samples: Annotated[int, Limits(1)] = SAMPLES,
    strategy: str = "greedy",
    read: ReadOptions | None = None,
    settings: QuantizeSettings | None = None,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> Check:
    """Run every design rule of ``target`` (default: the build's own, or loihi2) on a model, a build, or its integers.

    A build's integers are looked at as they are, whatever the target. ``data`` show silent layers, overflows and rates:
    the first ``samples`` of those that did not set the scales. A model is calibrated as `tclif_deploy.compile` would.
    A network that does not fit is a finding; `TclifError` is raised where the model or the data cannot be read.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> quick = tc.QuantizeSettings(passes=())  # passes take a second
    >>> verdict = tc.check(model, "loihi2", data, settings=quick)
    >>> verdict.fits, [f"{finding.severity}: {finding.rule}" for finding in verdict.findings]
    (True, [])
    """
    subject = opened(subject)
    machine = as_target(target) if target is not None else own_target(subject)
    try:
        quantized_for = None if isinstance(subject, Build) else machine  # a build's integers are looked at as they are
        integers = integers_for(
            subject, quantized_for, data, calibration=calibration, read=read, settings=settings, say=say
        )
    except CannotHold as error:
        hint = error.hint or "choose another target"
        return Check(machine.name, None, (Finding("quantize", "error", machine.name, error.what, "", hint),))
    activity = None
    if integers.data is not None:
        say(f"running {min(samples, integers.data.samples)} samples")
        activity = mapping.measure(integers.fixed, integers.data[:samples], progress=progress("samples"))
    findings = mapping.check(integers.fixed, machine, None, activity, strategy)
    names = tuple(layer.name for layer in integers.fixed.layers)
    return Check(machine.name, integers.calibration, findings, names)
