"""``tclif synth``: a build's circuit in an FPGA."""

from __future__ import annotations

from typing import Annotated

import typer

from tclif_deploy.cli.options import BuildFolder, OptionalData, SomeSamples, command
from tclif_deploy.cli.output import Output, out


@command("synth")
def synth_command(
    build: BuildFolder,
    *,
    data: OptionalData = None,
    device: Annotated[
        str | None, typer.Option(help="An FPGA: a target's name, or .toml file.", show_default="the build's target")
    ] = None,
    samples: SomeSamples = 4,
    rtl_lanes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="Neurons of a layer added up at once (1 to 64).",
            show_default="the build's, else what fits",
        ),
    ] = None,
    rtl_pipelines: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=8,
            help="Neurons of a layer updated in a clock, a power of two that divides its lanes (1 to 8).",
            show_default="the build's, else 1",
        ),
    ] = None,
    mhz: Annotated[float, typer.Option(min=1, max=1000, help="Clock that is asked for (1 to 1,000).")] = 100.0,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of nextpnr's placement.")] = 1,
    printed: Output,
) -> None:
    """Place a build's circuit in an FPGA with Yosys and nextpnr: resources, clock, and time of a step on data.

    Exit code 0: it is placed (a clock that is not reached is said); 2: bad input, or it does not fit.
    """
    from tclif_deploy.builds import Build
    from tclif_deploy.report.terminal.hardware import print_synthesis
    from tclif_deploy.workflows.synth import synth

    opened = Build.open(build)
    with printed.running() as reporter:
        result = synth(
            opened, data, device=device, samples=samples, lanes=rtl_lanes, pipelines=rtl_pipelines, asked_mhz=mhz,
            seed=seed, say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    printed.result(result, lambda: print_synthesis(out, result))
