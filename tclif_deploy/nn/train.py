"""Training a network by name: its data, its folder, and where its weights begin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.data.shifts import Shifts
from tclif_deploy.data.tasks import PERMUTATION, data_files, is_permuted, load_task, read_permutation
from tclif_deploy.errors import TclifError
from tclif_deploy.files import read_json
from tclif_deploy.nn.checkpoint import load_weights, save_json
from tclif_deploy.nn.config import TrainConfig, TrainResult, args_of
from tclif_deploy.nn.fit import SINCE, fit, resume_path
from tclif_deploy.nn.models import architecture, build
from tclif_deploy.nn.trainer import Trainer, one_thread_each
from tclif_deploy.outputs import check_file_place, write_file
from tclif_deploy.progress import Progress, Say, no_progress, say_nothing

ARGS = "args.json"
"""says beside a checkpoint how it was trained"""
FREE = ("epochs",)
"""what a training that is resumed may change"""


def train(config: TrainConfig, progress: Progress = no_progress, say: Say = say_nothing) -> TrainResult:
    """Train as ``config`` says, resuming where a state of the same settings stands beside ``config.out``.

    After every epoch the checkpoint (float32 state_dict, the authors' keys), the state to resume from and a log are
    written, each atomically; a finished training removes its state. ``progress(done, total)`` counts samples;
    ``say`` gets one line an epoch.

    Raises `TclifError` for wrong data or settings, a state of another run, a disk that is full, and a loss that is
    not a number (the last good checkpoint stays).
    """
    arch = architecture(config.model)
    if config.device != "cpu" and not (config.device.startswith("cuda") and torch.cuda.is_available()):
        raise TclifError(f"device is {config.device!r}", "cpu, or cuda where torch sees one")
    check_file_place(config.out, (config.start, *data_files(config.data)))
    task = load_task(config.model, arch.sizes, config.data, config.seed, _order_of_pixels(config, say))
    data, validation_data = _hold_out(task.train, config)
    assert data.task is not None
    if config.label_smoothing and not data.task.endswith("label"):
        raise TclifError("label_smoothing is of labels, and these targets are numbers", "leave it out")
    shifts = Shifts(data, config.shift, task.permutation) if config.shift else None
    decay = config.readout_decay or (arch.decay if data.task.startswith("step") else 1.0)
    network = build(
        config.model, config.neuron, seed=config.seed, surrogate=config.surrogate, strict=config.strict,
        readout_decay=decay,
    )  # fmt: skip
    if config.start is not None:
        load_weights(config.start, network)
    settings = args_of(config, arch, data.task, decay)
    check_folder(config.out, settings)

    def describe() -> None:
        save_json(config.out.parent / ARGS, settings)
        if (permutation := task.permutation) is not None:
            write_file(config.out.parent / PERMUTATION, lambda file: np.save(file, permutation))

    with one_thread_each(), Trainer(network, config) as trainer:
        result = fit(
            config, trainer, replace(task, train=data), validation_data, progress, say, shifts=shifts, describe=describe
        )
    resume_path(config.out).unlink(missing_ok=True)
    return result


def _order_of_pixels(config: TrainConfig, say: Say) -> NDArray[np.int64] | None:
    """The order of pixels of the task that the training goes on with: that of ``config.start``, or of what stands in
    the folder already; None: one is drawn from the seed, or the task has none."""
    if not is_permuted(config.model):
        return None
    here = config.out.parent / PERMUTATION
    began = config.out.exists() or resume_path(config.out).exists()  # else it is what an interrupted start left
    found = read_permutation(here) if began and here.exists() else None
    if config.start is None:
        return found
    begun = config.start.parent / PERMUTATION
    if not begun.exists():
        say(
            f"{config.start}: has no {PERMUTATION} beside it, so that its order of pixels is not known; "
            + (f"that of {here} is taken" if found is not None else f"seed {config.seed} draws one")
        )
        return found
    permutation = read_permutation(begun)
    if found is not None and not np.array_equal(found, permutation):
        raise TclifError(
            f"{here}: is another order of pixels than that of {begun}, another task",
            "choose an --output in another folder, or move what is there away",
        )
    return permutation


def check_folder(out: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder that holds another training's ``args.json``, a finished training, or a checkpoint that no
    training of ours left."""
    args = out.parent / ARGS
    elsewhere = "choose an --output in another folder, or move what is there away"
    if not args.exists():
        if out.exists():
            raise TclifError(f"{out}: is there already, and no {ARGS} beside it says how it was trained", elsewhere)
        return
    if all(path.name in (ARGS, PERMUTATION) for path in out.parent.iterdir()):
        return  # of a training that did not come to a checkpoint
    stored = read_json(args, elsewhere)
    if not isinstance(stored, dict):
        raise TclifError(f"{args}: is of no training", elsewhere)
    for name in {**settings, **{key: None for key in SINCE if key in stored}}:
        value = settings.get(name, SINCE.get(name))
        if name not in FREE and stored.get(name, SINCE.get(name, value)) != value:
            same = "give the same settings to resume it, or " if resume_path(out).exists() else ""
            raise TclifError(
                f"{args}: is of a training with {name} {stored.get(name, SINCE.get(name))!s:.40}, not {value}",
                same + elsewhere,
            )
    if out.exists() and not resume_path(out).exists():
        raise TclifError(
            f"{out}: holds a finished training of these settings",
            f"--start goes on from it, in another folder; to do it again, {elsewhere}",
        )


def _hold_out(data: Dataset, config: TrainConfig) -> tuple[Dataset, Dataset | None]:
    """The training data without, and the data of, the samples held out for validation."""
    if not config.validation:
        return data, None
    if config.validation >= data.samples:
        raise TclifError(f"validation takes {config.validation} of {data.samples} training samples", "take fewer")
    order = np.random.default_rng(config.seed).permutation(data.samples)
    return data[order[config.validation :]], data[order[: config.validation]]
