"""Weight widths that are chosen: what was asked for, and the search on the calibration data."""

from __future__ import annotations

from dataclasses import replace

from tclif_deploy import mapping
from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping.memory import RESOURCES
from tclif_deploy.network import Network
from tclif_deploy.progress import Bars, Say
from tclif_deploy.quantization.weight_width_search import choose_widths
from tclif_deploy.quantization.width_trials import Size, WidthGoal, WidthSearch
from tclif_deploy.simulation.scores import task_of
from tclif_deploy.target import Target
from tclif_deploy.workflows.options import CompileOptions

BITS_PER_KIB = 8192


def width_goal(options: CompileOptions) -> WidthGoal | None:
    """What the widths are to be chosen against; None where they are not chosen.

    Raises `TclifError` for more than one goal.
    """
    kib = options.auto_bits_max_memory
    limits = {
        "--auto-max-drop": None
        if options.auto_bits_max_drop is None
        else WidthGoal("loss", options.auto_bits_max_drop),
        "--auto-max-memory": None if kib is None else WidthGoal("memory", kib * BITS_PER_KIB),
        "--auto-max-cores": None
        if options.auto_bits_max_cores is None
        else WidthGoal("cores", options.auto_bits_max_cores),
    }
    given = {name: goal for name, goal in limits.items() if goal is not None}
    if len(given) > 1:
        raise TclifError(f"{' and '.join(given)} are different goals", "weight bits are chosen against one: give one")
    return next(iter(given.values()), None)


def narrowed(
    network: Network,
    target: Target,
    calibration: Dataset | None,
    goal: WidthGoal,
    options: CompileOptions,
    say: Say,
    progress: Bars,
) -> tuple[FixedNetwork, CompileOptions, WidthSearch]:
    """The integers with the widths that were chosen, the options that give just these, and what was tried.

    Only ``calibration`` is looked at: the data of the verdict choose nothing.
    """
    if calibration is None:
        raise TclifError("--weight-bits auto needs something to measure", "give --calibration FILE or --data FILE")
    task = task_of(calibration, network.outputs)
    if task != "label":
        if goal.kind == "loss":
            raise TclifError(
                f"--weight-bits auto loses classes of samples against --auto-max-drop, {calibration.name} is of "
                f"task {task}",
                "--auto-max-memory and --auto-max-cores go by the error of the readout: give one of them",
            )
        calibration = replace(calibration, y=None, task=None, mask=None)
    say(f"choosing weight bits on {calibration.samples} calibration samples: {goal}")

    def sizes(fixed: FixedNetwork) -> Size:
        try:
            placement = mapping.place(fixed, target)
        except mapping.CannotFit:
            return Size(None, None)
        column = RESOURCES.index("synaptic_memory")
        return Size(sum(core.used[column] for core in placement.cores), len(placement.cores))

    fixed, search = choose_widths(
        network, target, calibration, goal, sizes, options.quantize, progress=progress("trials")
    )
    fixed = replace(fixed, notices=(*fixed.notices, *search.sentences()))
    bits = search.trials[search.chosen].bits
    return fixed, replace(options, quantize=replace(options.quantize, weight_bits=bits)), search
