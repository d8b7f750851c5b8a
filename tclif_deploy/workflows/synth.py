"""A build's circuit in an FPGA: what it takes, which clock it reaches, and how long a step is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.backends.rtl.description import Description, read_description
from tclif_deploy.backends.rtl.layout import fitting_lanes
from tclif_deploy.backends.rtl.simulate import check_installed, clocks_of, simulate
from tclif_deploy.backends.rtl.source import emit
from tclif_deploy.backends.rtl.synthesis import (
    ASKED_MHZ,
    FILE,
    Clocks,
    Synthesis,
    check_fits,
    check_tools,
    device_of,
    synthesize,
)
from tclif_deploy.builds import Build
from tclif_deploy.builds.folder import write_json
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.settings import Limits
from tclif_deploy.simulation import reference
from tclif_deploy.simulation.result import check_lengths
from tclif_deploy.target import Target, as_target
from tclif_deploy.text import count
from tclif_deploy.verification import difference

SAMPLES = 4
"""whose clocks are counted"""


@checked
def synth(
    build: Build | Path | str,
    data: DataLike | None = None,
    *,
    device: Target | Path | str | None = None,
    samples: Annotated[int, Limits(1)] = SAMPLES,
    lanes: Annotated[int | None, Limits(1)] = None,
    asked_mhz: Annotated[float, Limits(above=0)] = ASKED_MHZ,
    seed: Annotated[int, Limits(0)] = 1,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> Synthesis:
    """Place the circuit of a build in ``device``, a target that is an FPGA (default: the build's own); minutes.

    With ``data``, the circuit runs them in simulation too, is compared with the reference, and its clocks are counted.
    ``lanes`` is how many neurons of a layer are added up at once (default: those that the build was compiled with, else
    as many as fit); the circuit is emitted with them. The outcome is kept in the build, as ``rtl/synthesis.json``.
    Raises `TclifError`.
    """
    build = build if isinstance(build, Build) else Build.open(build)
    target = build.target if device is None else as_target(device)
    device_of(target)
    check_tools()
    test = as_dataset(data)
    if test is not None:
        check_installed()
    folder = build.folder / "rtl"
    lanes = lanes_of(build, target) if lanes is None else lanes
    say(f"emitting rtl with {count(lanes, 'lane')}")
    emit(build.fixed, target, folder, lanes=lanes)
    description = read_description(folder)
    check_fits(description, target)
    clocks = None if test is None else count_clocks(build, description, folder, test[:samples], say, progress)
    say(f"synthesizing for {target.device} (minutes)")
    result = synthesize(folder, target, seed=seed, asked_mhz=asked_mhz, clocks=clocks)
    write_json(folder / FILE, result)
    return result


def lanes_of(build: Build, target: Target) -> int:
    """The lanes that a build was compiled with, else as many as fit ``target``."""
    choices = build.manifest.choices
    return (choices and choices.rtl_lanes) or fitting_lanes(build.fixed, target)


def count_clocks(
    build: Build, description: Description, folder: Path, test: Dataset, say: Say, progress: Bars
) -> Clocks:
    """Clocks of the simulated circuit on ``test``; raises `TclifError` where it differs from the reference."""
    say(f"simulating the circuit on {count(test.samples, 'sample')}")
    x, _ = build.fixed.input.encode(test.x, test.scale)
    got, measured = simulate(folder, x, lengths=test.lengths, progress=progress("samples"))
    check = difference(reference.simulate(build.fixed, x, lengths=test.lengths), got, x.shape[1])
    if not check.equal:
        raise TclifError(
            f"{folder}: the circuit differs from the reference in {check.spike_mismatches:,} spikes and "
            f"{check.state_mismatches:,} states", "our fault: report it, with the build",
        )  # fmt: skip
    steps = x.shape[0] * x.shape[1]
    return Clocks(
        samples=x.shape[0], steps=steps, mean=float(measured.ticks.mean()), longest=int(measured.ticks.max()),
        sample=clocks_of(folder, x, check_lengths(test.lengths, *x.shape[:2])) / x.shape[0],
        layers={name: (float(np.mean(own)), int(own.max())) for name, own in measured.layers.items()},
    )  # fmt: skip
