"""Fine-tuning: a trained network is quantized, trained on through its own integers, and built like any other."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tclif_deploy import backends
from tclif_deploy.arguments import checked
from tclif_deploy.builds import Build
from tclif_deploy.builds import folder as build_folder
from tclif_deploy.builds.build import NETWORK
from tclif_deploy.builds.manifest import sha256
from tclif_deploy.data import DataLike, Dataset
from tclif_deploy.data.dataset import Task
from tclif_deploy.data.tasks import PERMUTATION
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, narrowest_int
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.formats.network_file import write_network
from tclif_deploy.formats.read_options import LIF_DECAY, read_args
from tclif_deploy.frontends import load
from tclif_deploy.network import Network
from tclif_deploy.nn.config import FitSettings, TrainConfig, TuneSettings
from tclif_deploy.nn.from_network import to_module
from tclif_deploy.nn.objective import spread
from tclif_deploy.outputs import check_folder_place, write_files
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.quantization import dequantize, quantize
from tclif_deploy.quantization.calibration import Calibration, calibration_of, choose_calibration
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.scores import answers, judged
from tclif_deploy.target import Target, as_target
from tclif_deploy.workflows.compile import choices_of, chosen_backends, say_replaced, source_of, write_build
from tclif_deploy.workflows.options import BuildOptions
from tclif_deploy.workflows.tuning_report import Outcome, tuning_of

CALIBRATION = 128
"""training samples that set the scales where no calibration data are given"""
PROBE = 512
"""training samples whose loss before fine-tuning says what a diverged one is"""
DIVERGED, SLACK = 2.0, 0.5
"""an epoch whose mean loss is above DIVERGED times the loss before it began, plus SLACK (times the variance of targets
that are numbers), has diverged"""
MARGIN_SHARE = 4
"""the temperature of a distillation is the float network's mean margin over this"""
Teacher = tuple[NDArray[Any], float]
"""what a network says of the training data, and the temperature at which it is learned"""
TUNED, CONTROL = "tuned", "control"
"""folders of the two trainings"""


@checked
def finetune(
    model: Path | str,
    target: Target | Path | str,
    data: Path | str | None,
    *,
    calibration: DataLike | None = None,
    output: Path | str | None = None,
    options: BuildOptions | None = None,
    settings: TuneSettings | None = None,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> Build:
    """Quantize ``model`` for ``target``, train it on through the integers, and build the result into ``output``.

    ``data`` is a folder with training and test data, as `tclif_deploy.nn.train` takes it. The build is like
    `compile`'s, verified against the original network on all test data. In ``tuned/`` are the tuned masters as a float
    checkpoint, and ``network.npz``: what the tuned integers mean, with their units, so that the same target gives the
    same integers again. What fine-tuning did stands under ``finetune`` in the report. Both trainings keep their state
    beside ``output`` until the build is there: the same call goes on after an interruption. Raises `TclifError`, also
    where training diverges.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import torch
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.nn import TCLIF
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), TCLIF(threshold=1.0), torch.nn.Linear(8, 2))
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 32)
    >>> x = rng.normal(2.0 * y[:, None, None], 1.0, (32, 10, 3))
    >>> settings = tc.TuneSettings(epochs=5, batch_size=4, lr=0.02, control=False, task="mine")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tc.save(model, f"{folder}/model.pt")
    ...     for part in ("train", "test"):
    ...         np.savez(f"{folder}/{part}.npz", x=x, y=y)
    ...     build = tc.finetune(f"{folder}/model.pt", "loihi2", folder, output=f"{folder}/tuned",
    ...                         options=tc.CompileOptions(backend="none"), settings=settings)
    >>> tuning = build.report.finetune
    >>> f"accuracy {tuning.quantized:.0%} -> {tuning.tuned:.0%} on {tuning.samples_tested} samples"
    'accuracy 62% -> 100% on 32 samples'
    """
    from tclif_deploy.nn.quantized import QuantizedNetwork
    from tclif_deploy.nn.sequence import SequenceNetwork

    path = as_path(model, "expected the file of a model: tclif_deploy.save makes one")
    options, settings, target = options or BuildOptions(), settings or TuneSettings(), as_target(target)
    folder = Path(output) if output is not None else default_place(path, target)
    inputs = (path, data, calibration, options.read.args)
    build_folder.check_place(folder, inputs)
    work = work_folder(folder)
    check_folder_place(work, _is_work_folder, "those of an interrupted fine-tuning")
    for name in chosen_backends(target, options):
        backends.check_ready(name, runs=True)
    with build_folder.new_build(folder, inputs) as temporary:
        say(f"reading {path}")
        network = load(path, options.read)
        if not network.usual_readout:
            raise TclifError(
                f"readout {network.readout}: cannot be fine-tuned", "the soma after a step can: leave --readout out"
            )
        plif = "decays" in settings.learn
        modules = _modules(network, plif)
        train, test = _data(path, network, options, settings, data, say)
        chosen, calibrated = _calibration(path, calibration, train)
        say(f"quantizing for {target.name}, calibrated on {chosen}")
        fixed = quantize(network, target, calibrated, options.quantize)
        tuned = QuantizedNetwork(
            list(modules), fixed, target, mismatch=settings.mismatch, learn=settings.learn,
            weight_bits=options.quantize.weight_bits,
        )  # fmt: skip
        name = f"{path.name} {sha256(path)[:12]} on {train.samples} samples"
        run = _Tuning(settings, work, progress, say)
        teacher = None
        if settings.distil or train.y is None:
            say("asking the float network about the data")
            teacher = _teacher(SequenceNetwork(list(_modules(network))), train, settings)
        way = _way(settings, teacher)
        learned, tested = ((data if data.y is not None else _named(network, data)) for data in (train, test))
        by = ", by what the float network says of them" if teacher else ""
        agree = [part for part, one in (("train", train), ("test", test)) if one.y is None]
        means = f" ({' and '.join(agree)}: agreement with it)" if agree else ""
        say(f"fine-tuning on {train.samples} samples{by}{means}")
        outcome = run.train(
            TUNED,
            f"{name} for {target.name} {_fingerprint(fixed)}{way}",
            tuned,
            _encoded(fixed, learned),
            _encoded(fixed, tested),
            teacher,
        )
        overflows = tuned.take_overflows()
        control = None
        if settings.control and teacher is None:
            say("training the float network on in the same way")
            control = run.train(CONTROL, name, SequenceNetwork(list(_modules(network, plif))), train, test)
        _keep_checkpoint(tuned, work, temporary, path, options, settings)

        build = write_build(
            temporary, source_of(path, options.read), network, tuned.fixed(), target, chosen, test,
            options=options, say=say, progress=progress, choices=choices_of(options),
            tuning=lambda verdict: tuning_of(settings, verdict, test, outcome, control, overflows, teacher),
        )  # fmt: skip
        say_replaced(folder, build, say)
    shutil.rmtree(work, ignore_errors=True)
    return replace(build, folder=folder)


def default_place(model: Path, target: Target) -> Path:
    """Where the build goes if nobody says."""
    return build_folder.default_folder(model, f"{target.name}-tuned")


def work_folder(folder: Path) -> Path:
    """Where the trainings for the build ``folder`` keep their state until it is there."""
    return folder.parent / f"{folder.name}.tuning"


def _is_work_folder(folder: Path) -> bool:
    """Whether ``folder`` holds nothing but the state of trainings of ours."""
    return {path.name for path in folder.iterdir()} <= {TUNED, CONTROL}


@dataclass(frozen=True)
class _Tuning:
    """Both trainings' common part."""

    settings: TuneSettings
    work: Path
    progress: Bars
    say: Say

    def train(
        self, kind: str, name: str, network: Any, train: Dataset, test: Dataset, teacher: Teacher | None = None
    ) -> Outcome:
        """Train ``network``, resuming where its state stands in the folder ``kind`` of the work folder."""
        from tclif_deploy.data.tasks import Task
        from tclif_deploy.nn.fit import fit
        from tclif_deploy.nn.trainer import Trainer, one_thread_each

        fit_settings = {field.name: getattr(self.settings, field.name) for field in fields(FitSettings)}
        config = TrainConfig(name, None, self.work / kind / "checkpoint.pth.tar", **fit_settings)
        with one_thread_each(), Trainer(network, config, teacher) as trainer:
            before = trainer.score(test)
            worst = DIVERGED * trainer.loss(train[:PROBE], (config.seed,)) + SLACK * spread(train)
            result = fit(
                config, trainer, Task(train, test), progress=self.progress(f"{kind}: samples"),
                say=lambda line: self.say(f"{kind}: {line}"), worst=worst,
            )  # fmt: skip
            return Outcome(tuple(result.history), before, trainer.answers(test))


def _modules(network: Network, plif: bool = False) -> torch.nn.Sequential:
    try:
        return to_module(network, plif=plif).float()
    except TclifError as error:
        raise TclifError(error.what, "dense chains of TC-LIF, LIF and PLIF neurons can be fine-tuned") from None


def _data(
    path: Path, network: Network, options: BuildOptions, settings: TuneSettings, data: Path | str | None, say: Say
) -> tuple[Dataset, Dataset]:
    """Training data (the chosen share of them, in an order of their own) and test data."""
    from tclif_deploy.data.tasks import is_permuted, load_task, read_permutation

    args = read_args(options.read.args, path)
    name = settings.task or args.text("model") or (args.text("task") or "").lower()
    seed = int(args.number("seed") or 0)  # without a file beside the model, it drew PS-MNIST's permutation
    kept = path.parent / PERMUTATION
    permutation = read_permutation(kept) if is_permuted(name) and kept.exists() else None
    if is_permuted(name) and permutation is None:
        say(f"{path}: has no {PERMUTATION} beside it, so that its order of pixels is not known; seed {seed} draws one")
    sizes = (network.input_size, network.layers[-1].size)
    folder = None if data is None else as_path(data, "expected the folder of training and test data")
    task = load_task(name or "this model (say --task)", sizes, folder, seed, permutation, unlabelled=True)
    if task.train.y is not None and task.test.y is None:
        raise TclifError(f"{task.test.name}: has no labels, {task.train.name} has", "both parts need them, or neither")
    if settings.temperature is not None and not settings.distil and task.train.y is not None:
        raise TclifError("temperature has no effect without distil", "leave it out, or give --distil")
    order = np.random.default_rng(settings.seed).permutation(task.train.samples)[: settings.samples]
    return task.train[order], task.test


def _calibration(path: Path, given: DataLike | None, train: Dataset) -> tuple[Calibration, Dataset]:
    """What sets the scales, and its data: what is given, what lies beside the model, or some training data.

    Training data are not left out of the training: it is the test data that must stay unseen.
    """
    choice = choose_calibration(path, given, None)
    if choice.data is not None:
        return choice.calibration, choice.data
    data = train[:CALIBRATION]
    return calibration_of("training_samples", data, of=train.samples), data


def _encoded(fixed: FixedNetwork, data: Dataset) -> Dataset:
    """``data`` as the integers that the chip sees."""
    x, _ = fixed.input.encode(data.x, data.scale)
    return replace(data, x=x.astype(narrowest_int(x)), scale=1.0)


def _fingerprint(fixed: FixedNetwork) -> str:
    """Tells one start from another."""
    digest = hashlib.sha256()
    for layer in fixed.layers:
        for value in (*(c.weight for c in layer.connections), layer.threshold, layer.b_u, layer.b_v, layer.bias_u):
            digest.update(value.tobytes())
    return digest.hexdigest()[:12]


def _teacher(network: Any, train: Dataset, settings: TuneSettings) -> Teacher:
    """What the float ``network`` says of the training data, (samples[, time], classes), and the temperature."""
    from tclif_deploy.nn.trainer import Trainer, one_thread_each

    if train.task in ("value", "step-value"):
        raise TclifError(
            f"{train.name}: its targets are numbers, of which distil knows no probabilities",
            "leave --distil out" if train.y is not None else "give the numbers, as y",
        )
    config = TrainConfig("a teacher", None, Path("unused"), threads=settings.threads)
    with one_thread_each(), Trainer(network, config) as trainer:
        said = trainer.answers(train if train.y is not None else _blank(train), scores=True)
    if said.shape[-1] < 2:
        raise TclifError(f"{train.name}: the network has one class: it says nothing to learn", "leave --distil out")
    if settings.temperature is not None:
        return said, settings.temperature
    best = np.sort(said.astype(np.float64), axis=-1)
    margins = best[..., -1] - best[..., -2]
    margin = float((margins if margins.ndim == 1 else margins[judged(train, "step-label")]).mean())
    return said, max(margin / MARGIN_SHARE, float(np.finfo(np.float32).tiny))


def _blank(data: Dataset) -> Dataset:
    """``data`` with labels that mean nothing."""
    by_step = data.task == "step-label"
    labels = np.zeros((data.samples, data.time) if by_step else data.samples, np.int64)
    return replace(data, y=labels, task="step-label" if by_step else "label")


def _named(network: Network, data: Dataset) -> Dataset:
    """``data`` with the classes that the float network gives its samples, or their steps: a training then measures
    agreement."""
    task: Task = "step-label" if data.task == "step-label" else "label"
    classes = answers(network, simulate(network, data, readouts=task == "step-label"), data, task)
    return replace(data, y=classes.astype(np.int64), task=task)


def _way(settings: TuneSettings, teacher: Teacher | None) -> str:
    """What of ``settings`` makes another training of it, beside those that every training has."""
    mismatch = f" mismatch {settings.mismatch}" if settings.mismatch else ""
    learn = f" learn {' '.join(sorted(set(settings.learn)))}" if settings.learn else ""
    return mismatch + learn + (f" distilled at {teacher[1]:.6g}" if teacher is not None else "")


def _keep_checkpoint(
    tuned: Any, work: Path, folder: Path, model: Path, options: BuildOptions, settings: TuneSettings
) -> None:
    """Put the masters' checkpoint, an args.json that says how to read it, and both logs into ``folder``."""
    target = folder / TUNED
    files = {"checkpoint.pth.tar": work / TUNED / "checkpoint.pth.tar"}
    files |= {f"{kind}.log": work / kind / "checkpoint.pth.tar.log" for kind in (TUNED, CONTROL)}
    files[PERMUTATION] = model.parent / PERMUTATION  # of a permuted task: its order of pixels
    write_files(target, {name: source.read_bytes() for name, source in files.items() if source.exists()})
    write_network(dequantize(tuned.fixed()), target / NETWORK)
    described = [
        {
            "threshold": neuron.threshold, "neuron": type(neuron).__name__.lower(), "gamma": gamma,
            "hard_reset": neuron.reset == "hard", "comparator": ">" if neuron.strict else ">=",
        }
        for neuron, gamma in zip(tuned.neurons, tuned.gammas, strict=True)
    ]  # fmt: skip
    if all(one == described[0] for one in described) and not any(map(_beyond_args, tuned.neurons)):
        values = {
            "model": "finetuned", **read_args(options.read.args, model).values, "epochs": settings.epochs,
            "lr": settings.lr, "batch_size": settings.batch_size, "start": str(model), **described[0],
        }  # fmt: skip
        build_folder.write_json(target / "args.json", values)


def _beyond_args(neuron: Any) -> bool:
    """Whether a neuron has a number that neither a checkpoint nor its args.json can say."""
    decay = getattr(neuron, "decay", LIF_DECAY)
    return bool(abs(decay - LIF_DECAY) > 1e-6 or (neuron.reset == "hard" and neuron.v_reset != 0))
