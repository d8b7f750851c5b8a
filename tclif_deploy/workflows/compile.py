"""The main job: a model in, a verified build folder out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tclif_deploy import backends, mapping
from tclif_deploy.arguments import checked
from tclif_deploy.backends.rtl.source import emit as emit_circuit
from tclif_deploy.builds import folder as build_folder
from tclif_deploy.builds.build import FIXED, MAPPING, NETWORK, RECORD, REPORT, Build
from tclif_deploy.builds.manifest import (
    Choices,
    DataSource,
    Manifest,
    ModelSource,
    data_source,
    layer_summaries,
    sha256,
    versions,
)
from tclif_deploy.builds.record import make_record
from tclif_deploy.builds.report import Report, Tuning
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.data.dataset import MEANINGS, Task
from tclif_deploy.data.tasks import order_notice
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, read_json
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.formats import NotInNir, write_nir
from tclif_deploy.formats.network_file import write_network
from tclif_deploy.frontends import ModelLike, ReadOptions, load
from tclif_deploy.network import Network
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.quantization import quantize
from tclif_deploy.quantization.calibration import Calibration, choose_calibration
from tclif_deploy.quantization.notices import input_notice, payload_notice, widths_notice
from tclif_deploy.quantization.quantizer import weight_widths
from tclif_deploy.quantization.width_trials import WidthSearch
from tclif_deploy.report import page
from tclif_deploy.report.compare import settings_that_differ
from tclif_deploy.simulation.scores import check_classes
from tclif_deploy.target import Target, as_target
from tclif_deploy.verification import Judgement, Requirements, Verdict
from tclif_deploy.verification.fidelity import run_both
from tclif_deploy.verification.neurobench import neurobench
from tclif_deploy.workflows.backend_runs import check_backends
from tclif_deploy.workflows.options import BuildOptions, CompileOptions
from tclif_deploy.workflows.widths import narrowed, width_goal

ACTIVITY_SAMPLES = 32
"""samples whose spikes are counted for the cost model, of those that are verified"""
METRICS_SAMPLES, METRICS_NEURON_STEPS = 8, 1 << 25
"""samples on which NeuroBench's metrics are counted, unless one has more neuron steps than these (1 GB of states)"""
RTL = "rtl"
"""the backend that has an option of its own"""
SHOWN = 4
"""settings of a replaced build that are named"""


@checked
def compile(
    model: ModelLike,
    target: Target | Path | str = "loihi2",
    *,
    data: DataLike | None = None,
    calibration: DataLike | None = None,
    output: Path | str | None = None,
    options: CompileOptions | None = None,
    example_input: Any = None,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> Build:
    """Compile ``model`` (a file that `load` reads, a live module, a graph) for ``target`` into the folder ``output``.

    With ``data`` the result is verified: float against fixed on all samples, the backend against the reference
    on some. ``calibration`` sets the state scales (default: ``calibration.npz`` beside the model, else the first
    quarter of ``data``, which the verdict then leaves out). ``example_input`` is for a live module, which is read by
    running it (see `tclif_deploy.load`). ``say`` gets a line a step, ``progress(title)`` gives
    the callback of a long one. Raises `TclifError`; then nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> test, quick = tc.load_data("fixtures/spoken_digits/test.npz")[:8], tc.QuantizeSettings(passes=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile("fixtures/spoken_digits/checkpoint.pth.tar", data=test, output=f"{folder}/build",
    ...                        options=tc.CompileOptions(quantize=quick, backend="none"))
    >>> build.target.name, build.verdict.samples, build.verdict.agreement_argmax
    ('loihi2', 8, 1.0)
    """
    options = options or CompileOptions()
    goal = width_goal(options)
    source = source_of(model, options.read)
    path = None if source.sha256 is None else Path(source.path)
    target = as_target(target)
    folder = Path(output) if output is not None else build_folder.default_folder(path or Path(source.path), target.name)
    for name in chosen_backends(target, options):
        backends.check_ready(name, runs=data is not None)
    if options.read.args is not None:
        as_path(options.read.args, "check the path given as --args")
    test, calibration = as_dataset(data, task=options.task), as_dataset(calibration, "calibration")
    verified_on = None if test is None else replace(data_source(test), task=options.task)
    choices = choices_of(options)
    if test is not None and options.samples is not None:
        test = test[: options.samples]
    check_requirements(options.requirements, test)
    say_task(test, options.task, say)

    with build_folder.new_build(folder, (model, data, calibration, options.read.args)) as temporary:
        say(f"reading {source.path}")
        network = load(model, options.read, example_input=example_input)
        if test is not None:
            check_classes(test, network.outputs)
        choice = choose_calibration(path, calibration, test)
        say(f"quantizing for {target.name}, calibrated on {choice.calibration}")
        widths = None
        if goal is None:
            fixed = quantize(network, target, choice.data, options.quantize, progress=progress("layers"))
        else:
            fixed, options, widths = narrowed(network, target, choice.data, goal, options, say, progress)
        notices: list[str | None] = []
        if choice.data is not None and choice.left is not None:
            notices.append(input_notice(choice.data, choice.left))
            if widths is not None:
                notices.append(widths_notice(choice.data, choice.left))
        if choice.data is not None:
            notices.append(payload_notice(choice.data, fixed, target))
        if path is not None and test is not None:
            notices.append(order_notice(path, test))
        fixed = replace(fixed, notices=(*fixed.notices, *filter(None, notices)))
        build = write_build(
            temporary, source, network, fixed, target, choice.calibration, choice.left,
            samples=options.samples, options=options, say=say, progress=progress, verified_on=verified_on,
            choices=choices, widths=widths,
        )  # fmt: skip
        say_replaced(folder, build, say)
    return replace(build, folder=folder)


def say_replaced(folder: Path, build: Build, say: Say) -> None:
    """Say in what the earlier build in ``folder``, which ``build`` is about to replace, was made otherwise."""
    if not build_folder.is_build(folder):
        return
    try:
        other = settings_that_differ(Build.open(folder), build)
    except TclifError:
        say(f"{folder}: replaces an earlier build that cannot be read")
        return
    if other:
        shown = [f"{name} {left} → {right}" for name, left, right in other[:SHOWN]]
        more = [f"and {len(other) - SHOWN} more"] if len(other) > SHOWN else []
        say(f"{folder}: replaces an earlier build with other settings: {'; '.join([*shown, *more])}")


def chosen_backends(target: Target, options: BuildOptions) -> dict[str, backends.Backend]:
    """The backends that ``options`` name, by name. Raises `TclifError` where they say something of another."""
    names = backends.parse(target.backend if options.backend == "default" else options.backend)
    for name, value in (("--rtl-lanes", options.rtl_lanes), ("--rtl-pipelines", options.rtl_pipelines)):
        if value is not None and RTL not in names:
            raise TclifError(f"{name} has no effect without --backend {RTL}", f"leave {name} out, or emit it")
    return {name: backends.get(name) for name in names}


def source_of(model: ModelLike, read: ReadOptions) -> ModelSource:
    """What a build remembers of ``model`` and of how it was read."""
    read = replace(read, args=None if read.args is None else Path(read.args))
    if isinstance(model, (str, os.PathLike)):
        return ModelSource(str(model), sha256(Path(model)) if Path(model).is_file() else "", read)
    return ModelSource(type(model).__name__, None, read)


def choices_of(options: BuildOptions) -> Choices:
    """What of ``options`` the manifest keeps as it was asked for."""
    choices = Choices(
        options.backend, options.backend_samples, options.backend_batched, options.engine, None,
        rtl_lanes=options.rtl_lanes, rtl_pipelines=options.rtl_pipelines,
    )  # fmt: skip
    if not isinstance(options, CompileOptions):
        return choices
    return replace(
        choices, auto_bits_max_drop=options.auto_bits_max_drop, auto_bits_max_memory=options.auto_bits_max_memory,
        auto_bits_max_cores=options.auto_bits_max_cores,
    )  # fmt: skip


def write_build(
    folder: Path,
    source: ModelSource,
    network: Network,
    fixed: FixedNetwork,
    target: Target,
    calibration: Calibration,
    test: Dataset | None,
    *,
    options: BuildOptions,
    samples: int | None = None,
    say: Say,
    progress: Bars,
    tuning: Callable[[Verdict], Tuning] | None = None,
    verified_on: DataSource | None = None,
    choices: Choices | None = None,
    widths: WidthSearch | None = None,
) -> Build:
    """Fill the empty ``folder``: files, backends, verdict on ``test``, report.

    ``fixed`` are integers of ``network``, and ``calibration`` is what set their scales; ``tuning`` makes of the verdict
    what the build says of its fine-tuning; ``widths`` is how the weights' widths were chosen.
    """
    chosen = chosen_backends(target, options)
    for name in chosen:
        backends.check_readout(name, fixed)
        backends.check_arithmetic(name, fixed)
        backends.check_starts(name, fixed)
    say("writing network.nir and fixed.npz")
    fixed.save(folder / FIXED)
    write_network(network, folder / NETWORK)
    notices = network.notices + fixed.notices
    no_page = page.missing()
    if no_page is not None:
        notices += (no_page,)
    try:
        write_nir(network, folder / "network.nir")
    except NotInNir as error:
        notices += (f"no network.nir: {error}",)
    for name, backend in chosen.items():
        say(f"emitting {name}")
        if name == RTL and (options.rtl_lanes is not None or options.rtl_pipelines is not None):
            emit_circuit(fixed, target, folder / name, lanes=options.rtl_lanes, pipelines=options.rtl_pipelines)
        else:
            backend.emit(fixed, target, folder / name)
    verdict = activity = behaviour = None
    sums = mapping.StepSums(fixed, target)
    if test is not None:
        say(f"verifying float against fixed on {test.samples} samples")
        recorder = mapping.ActivityRecorder(fixed, ACTIVITY_SAMPLES)
        verdict = run_both(network, fixed, test, options.engine, progress("samples"), recorder, sums)
        activity, behaviour = recorder.activity(), verdict.behaviour()
        part = test if options.backend_batched else test[: options.backend_samples]
        verdict.backends.update(check_backends(
            {name: folder / name for name in chosen}, fixed, part, batched=options.backend_batched, say=say,
            progress=progress,
        ))  # fmt: skip
    metrics = None
    if test is not None and test.time * sum(layer.size for layer in fixed.layers) <= METRICS_NEURON_STEPS:
        metrics = neurobench(network, fixed, test[:METRICS_SAMPLES])
    tuned = None if tuning is None or verdict is None else tuning(verdict)
    summary = {} if verdict is None else vars(verdict.summary())
    hardware, findings = _hardware(fixed, target, activity, verdict, folder)
    judgement = Judgement((), (), False)
    if verdict is not None:
        judgement = options.requirements.judge(verdict, hardware, target)
    if widths is not None and widths.shortfall is not None:
        judgement = Judgement((*judgement.shortfalls, widths.shortfall), judgement.uncertain, True)
    report = Report(
        model=source.path, target=target.name, verified=verdict is not None, notices=notices,
        shortfalls=judgement.shortfalls, uncertain=judgement.uncertain, limited=judgement.limited,
        findings=findings, finetune=tuned, neurobench=metrics, widths=widths, **summary,
        unproven=mapping.unproven(fixed, target, behaviour, sums if behaviour else None), **vars(hardware),
    )  # fmt: skip
    manifest = Manifest(
        versions=versions(), model=source, target=target, settings=options.quantize,
        requirements=options.requirements, calibration=calibration, samples=samples, command=options.command,
        input=fixed.input, arithmetic=fixed.arithmetic, layers=layer_summaries(network, fixed), notices=notices,
        sizes={p.parent.name: read_json(p, "is the disk full?") for p in sorted(folder.glob("*/size.json"))},
        finetune=tuned, verified_on=verified_on, choices=choices,
    )  # fmt: skip
    make_record(network, fixed, weight_widths(network, target, options.quantize), test, verdict).save(folder / RECORD)
    build_folder.write_json(folder / REPORT, report)
    build_folder.write_json(folder / build_folder.MANIFEST, manifest)
    build = Build(folder, manifest, report, network, fixed, verdict)
    if no_page is None:
        say(f"writing {page.PAGE}")
        page.write_page(build)
    return build


def _hardware(
    fixed: FixedNetwork, target: Target, activity: mapping.Activity | None, verdict: Verdict | None, folder: Path
) -> tuple[mapping.HardwareSummary, tuple[mapping.Finding, ...]]:
    """Placement, findings of all rules and, with data, cost; ``mapping.json`` is written where it fits."""
    placement = cost = None
    try:
        placement = mapping.place(fixed, target)
    except mapping.CannotFit:
        pass  # the design rules say by how much, and what would help
    else:
        build_folder.write_json(folder / MAPPING, mapping.placement_summary(placement))
        cost = None if activity is None else mapping.cost(fixed, target, placement, activity)
    behaviour = None if verdict is None else verdict.behaviour()
    findings = mapping.check(fixed, target, placement, activity, behaviour=behaviour)
    return mapping.hardware_summary(placement, cost), findings


def say_task(data: Dataset | None, given: Task | None, say: Say) -> None:
    """Say how the data's targets were taken, where that is not the usual way and nobody said it."""
    if data is not None and given is None and data.task not in (None, "label"):
        say(f"{data.name}: y is taken as {MEANINGS[data.task]} (task {data.task})")


def check_requirements(requirements: Requirements, data: Dataset | None) -> None:
    """Refuse, before any work, requirements that the given data cannot answer."""
    asked = [name.replace("_", "-") for name, value in asdict(requirements).items() if value is not None]
    if asked and data is None:
        raise TclifError(f"--{asked[0]} needs something to measure", "give --data FILE")
    if data is None:
        return
    of_labels, of_numbers = ("min-accuracy", "max-accuracy-drop"), ("min-r2", "max-rmse", "max-smape")
    for name in asked:
        if name in of_labels and data.y is None:
            raise TclifError(f"{data.name}: no labels, but --{name} asks for accuracy", "add y (samples,) to the file")
        if name in of_numbers and data.y is None:
            raise TclifError(
                f"{data.name}: no targets, but --{name} asks how near they are", "add y (samples, outputs) to the file"
            )
        numbers = data.task in ("value", "step-value")
        if numbers and name in (*of_labels, "min-agreement"):
            raise TclifError(f"{data.name}: its targets are numbers, --{name} asks for classes", f"leave --{name} out")
        if data.task is not None and not numbers and name.startswith(tuple(of_numbers)):
            raise TclifError(f"{data.name}: its targets are labels, --{name} asks for numbers", f"leave --{name} out")
