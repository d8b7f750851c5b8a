"""A build's circuit in an FPGA: what it takes, which clock it reaches, and how long a step is there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.backends.rtl.description import read_description
from tclif_deploy.backends.rtl.fit import check_block_rams, check_multipliers, fitting_lanes, named
from tclif_deploy.backends.rtl.layout import MOST_LANES, PIPELINES, STEP_BITS
from tclif_deploy.backends.rtl.simulate import check_installed, clocks_of, simulate
from tclif_deploy.backends.rtl.source import emit
from tclif_deploy.backends.rtl.synthesis import (
    ASKED_MHZ,
    FILE,
    Clocks,
    Synthesis,
    check_tools,
    device_of,
    synthesize,
)
from tclif_deploy.builds import Build
from tclif_deploy.builds.folder import write_json
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.outputs import new_folder
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.settings import Limits
from tclif_deploy.simulation import reference
from tclif_deploy.simulation.result import check_lengths
from tclif_deploy.target import Target, as_target
from tclif_deploy.text import count
from tclif_deploy.verification import difference

SAMPLES = 4
"""whose clocks are counted"""
MHZ = Limits(1, 1000)
"""clocks that may be asked for"""
SEEDS = Limits(0, 2**31 - 1)
"""that nextpnr takes"""
MEMORY = re.compile(r"layer\d+_[a-z]+\d*\.hex")


@checked
def synth(
    build: Build | Path | str,
    data: DataLike | None = None,
    *,
    device: Target | Path | str | None = None,
    samples: Annotated[int, Limits(1)] = SAMPLES,
    lanes: Annotated[int | None, Limits(1, MOST_LANES)] = None,
    pipelines: Annotated[int | None, Limits(1, PIPELINES[-1])] = None,
    asked_mhz: Annotated[float, MHZ] = ASKED_MHZ,
    seed: Annotated[int, SEEDS] = 1,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> Synthesis:
    """Place the circuit of a build in ``device``, a target that is an FPGA (default: the build's own); minutes.

    With ``data``, the circuit runs them in simulation too, is compared with the reference, and its clocks are counted:
    those of a sample's own steps, none of the padding after its end.
    ``lanes`` is how many neurons of a layer are added up at once (default: those that the build was compiled with, else
    as many as fit), ``pipelines`` how many are updated in a clock, 1, 2, 4 or 8 (default: those of the build, else 1);
    the circuit is emitted with them. Circuit and outcome (``rtl/synthesis.json``) take the place of the build's former
    ones when both are whole: a refusal or an interruption leaves those as they were.

    Raises `TclifError`.
    """
    build = build if isinstance(build, Build) else Build.open(build)
    target = build.target if device is None else as_target(device)
    device_of(target)
    check_tools()
    test = as_dataset(data)
    if test is not None:
        test = test[:samples]
        check_data(build.fixed, test)
        check_installed()
    pipelines = pipelines_of(build) if pipelines is None else pipelines
    lanes = lanes_of(build, target, pipelines) if lanes is None else lanes
    check_multipliers(build.fixed, target, lanes, pipelines)
    check_block_rams(build.fixed, target, lanes, pipelines)
    place = build.folder / "rtl"
    with new_folder(place, ours=lambda _: True, inputs=(data,)) as folder:
        say(f"emitting rtl with {named(lanes, pipelines)}")
        emit(build.fixed, target, folder, lanes=lanes, pipelines=pipelines)
        clocks = None if test is None else count_clocks(build, folder, test, say, progress)
        say(f"synthesizing for {target.device} (minutes)")
        result = synthesize(folder, target, seed=seed, asked_mhz=asked_mhz, clocks=clocks)
        write_json(folder / FILE, result)
        _carry(place, folder)
    return result


def pipelines_of(build: Build) -> int:
    """The pipelines that a build was compiled with, else 1."""
    choices = build.manifest.choices
    return (choices and choices.rtl_pipelines) or 1


def lanes_of(build: Build, target: Target, pipelines: int = 1) -> int:
    """The lanes that a build was compiled with, else as many as fit ``target``."""
    choices = build.manifest.choices
    return (choices and choices.rtl_lanes) or fitting_lanes(build.fixed, target, pipelines)


def check_data(fixed: FixedNetwork, test: Dataset) -> None:
    """Raise `TclifError`, which names the data, where the circuit of ``fixed`` cannot run them."""
    if test.features != fixed.input.size:
        raise TclifError(f"{test.name}: {test.features} features a step, the network takes {fixed.input.size}")
    most = (1 << STEP_BITS) - 1
    if test.time >= most:
        raise TclifError(f"{test.name}: {test.time:,} steps, the circuit counts to {most:,}", "give shorter samples")


def count_clocks(build: Build, folder: Path, test: Dataset, say: Say, progress: Bars) -> Clocks:
    """Clocks of the simulated circuit in ``folder`` on ``test``, each sample up to its end.

    Raises `TclifError` where it differs from the reference.
    """
    say(f"simulating the circuit on {count(test.samples, 'sample')}")
    x, _ = build.fixed.input.encode(test.x, test.scale)
    lengths = check_lengths(test.lengths, *x.shape[:2])
    ticks: list[Int] = []
    layers: dict[str, list[Int]] = {layer.name: [] for layer in build.fixed.layers}
    done, clocks, moved = 0, 0, progress("samples")
    for length in np.unique(lengths).tolist():  # what follows a sample's end is not sent: it would count
        own = x[lengths == length, :length]
        got, measured = simulate(folder, own)
        check = difference(reference.simulate(build.fixed, own), got, length)
        if not check.equal:
            raise TclifError(
                f"{build.folder}: the circuit differs from the reference in {check.spike_mismatches:,} spikes and "
                f"{check.state_mismatches:,} states", "our fault: report it, with the build",
            )  # fmt: skip
        clocks += sum(clocks_of(folder, own[n : n + 1], np.array([length])) for n in range(len(own)))
        ticks.append(measured.ticks)
        for name, steps in measured.layers.items():
            layers[name].append(steps)
        done += len(own)
        moved(done, len(x))
    every = np.concatenate(ticks)
    by_layer = {name: np.concatenate(steps) for name, steps in layers.items()}
    return Clocks(
        samples=len(x), steps=int(lengths.sum()), mean=float(every.mean()), longest=int(every.max()),
        sample=clocks / len(x),
        layers={name: (float(steps.mean()), int(steps.max())) for name, steps in by_layer.items()},
    )  # fmt: skip


def _carry(former: Path, folder: Path) -> None:
    """Copy what lies in a ``former`` circuit's folder and is no part of it, as a bitstream made there."""
    if not former.is_dir():
        return
    try:
        made = set(read_description(former).sha256)
    except TclifError:  # damaged: what its names say
        made = set()
    for path in sorted(former.iterdir()):
        new = folder / path.name
        if path.name in made or MEMORY.fullmatch(path.name) or new.exists():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new, symlinks=True)
        else:
            shutil.copy2(path, new, follow_symlinks=False)
