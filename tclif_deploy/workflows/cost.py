"""What does it cost there? Cores, energy and latency of a model or a build, on real data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tclif_deploy import mapping
from tclif_deploy.arguments import checked
from tclif_deploy.data import DataLike, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.frontends import ReadOptions
from tclif_deploy.mapping import CannotFit, Cost, HardwareSummary, Placement, hardware_summary
from tclif_deploy.mapping.advice import advise
from tclif_deploy.progress import Say, say_nothing
from tclif_deploy.quantization import CannotHold, QuantizeSettings
from tclif_deploy.quantization.calibration import Calibration
from tclif_deploy.settings import Limits
from tclif_deploy.target import Target, as_target
from tclif_deploy.workflows.check import SAMPLES
from tclif_deploy.workflows.integers import ModelOrBuild, integers_for, opened


@dataclass(frozen=True, eq=False)
class Price:
    """A network on a target: where it lies, and what that costs.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> quick = tc.QuantizeSettings(passes=())  # passes take a second
    >>> price = tc.cost(model, data, "loihi1", samples=2, settings=quick)
    >>> price.target, price.placement.chips, [round(us, 1) for us in price.cost.latency.us_per_step]
    ('loihi1', 1, [6.3, 11.3])
    """

    target: str
    """its name"""
    calibration: Calibration | None
    """what set the scales of the integers; None where that is not known"""
    placement: Placement
    """which core holds which neurons"""
    cost: Cost
    """energy in nJ an inference, latency in microseconds"""
    layers: tuple[str, ...] = ()
    """names of the network's layers, in order"""


@dataclass(frozen=True, kw_only=True)
class PriceSummary(HardwareSummary):
    """What ``tclif cost --json`` prints."""

    target: str
    calibration: Calibration | None


def price_summary(price: Price) -> PriceSummary:
    """A price's figures."""
    figures = vars(hardware_summary(price.placement, price.cost))
    return PriceSummary(target=price.target, calibration=price.calibration, **figures)


@checked
def cost(
    subject: ModelOrBuild,
    data: DataLike,
    target: Target | Path | str | None = None,
    *,
    calibration: DataLike | None = None,
    samples: Annotated[int, Limits(1)] = SAMPLES,
    strategy: str = "greedy",
    read: ReadOptions | None = None,
    settings: QuantizeSettings | None = None,
    say: Say = say_nothing,
) -> Price:
    """Place a model, a build or its integers on ``target`` (default: the build's own, or loihi2), and count its work.

    Counted are the first ``samples`` of ``data`` that did not set the scales. Raises `TclifError` where it does not
    fit, with what would help.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> quick = tc.QuantizeSettings(passes=())  # passes take a second
    >>> price = tc.cost(model, data, samples=2, settings=quick)
    >>> len(price.placement.cores), [round(nanojoule) for nanojoule in price.cost.energy.total]
    (1, [4240, 6806])
    """
    machine, data = None if target is None else as_target(target), as_dataset(data, needed=True)
    integers = integers_for(subject, machine, data, calibration=calibration, read=read, settings=settings, say=say)
    assert integers.data is not None
    test = integers.data[:samples]
    say(f"counting the activity of {test.samples} samples on {integers.target.name}")
    try:
        placement = mapping.place(integers.fixed, integers.target, strategy)
    except CannotFit as error:
        advice = advise(integers.fixed, integers.target, strategy)
        hint = "; ".join([*([error.hint] if error.hint else []), *advice])
        raise CannotFit(error.what, hint) from None
    activity = mapping.measure(integers.fixed, test)
    total = mapping.cost(integers.fixed, integers.target, placement, activity)
    return Price(
        integers.target.name,
        integers.calibration,
        placement,
        total,
        tuple(layer.name for layer in integers.fixed.layers),
    )


@checked
def compare_costs(
    subject: ModelOrBuild,
    data: DataLike,
    targets: Sequence[Target | Path | str],
    *,
    calibration: DataLike | None = None,
    samples: Annotated[int, Limits(1)] = SAMPLES,
    strategy: str = "greedy",
    read: ReadOptions | None = None,
    settings: QuantizeSettings | None = None,
    say: Say = say_nothing,
) -> list[Price | tuple[str, TclifError]]:
    """What if: `cost` for each target; one that does not fit is told by its name and why, and stops no other.

    Raises `TclifError` where the model, the data or a target cannot be read.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> from tclif_deploy.workflows.cost import compare_costs
    >>> quick = tc.QuantizeSettings(passes=())  # passes take a second
    >>> loihi2 = tc.load_target("loihi2")
    >>> prices = compare_costs(model, data, (loihi2, loihi2.override(weight_bits=4)), samples=2, settings=quick)
    >>> [f"{price.placement.utilization()['synaptic_memory'].peak:.0%}" for price in prices]
    ['45%', '25%']
    """
    subject = opened(subject)
    machines = [as_target(target) for target in targets]
    data = as_dataset(data, needed=True)
    results: list[Price | tuple[str, TclifError]] = []
    for machine in machines:
        try:
            results.append(
                cost(subject, data, machine, calibration=calibration, samples=samples, strategy=strategy, read=read,
                     settings=settings, say=say)
            )  # fmt: skip
        except (CannotHold, CannotFit) as error:
            results.append((machine.name, error))
    return results
