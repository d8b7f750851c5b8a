"""``tclif simulate``: a build on a whole data set."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import FILES, ParallelOption, Samples, TaskOption, choice, command, refuse
from tclif_deploy.cli.output import Output, out


@command("simulate")
def simulate_command(
    context: typer.Context,
    build: Annotated[Path, typer.Argument(metavar="BUILD", help="Build folder, or a fixed.npz.", show_default=False)],
    *,
    data: Annotated[Path, typer.Option(help=f"Data to run on: {FILES}.", show_default=False)],
    task: TaskOption = None,
    samples: Samples = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps into which SHD and SSC are binned.")] = 250,
    seconds: Annotated[float, typer.Option(min=1e-6, help="Seconds of SHD and SSC that are binned.")] = 1.4,
    trace: Annotated[Path | None, typer.Option(help="Write spikes, readouts and classes to this HDF5 file.")] = None,
    states: Annotated[str, typer.Option(help="Layers whose u and v go to the trace too, by commas.")] = "",
    engine: Annotated[str, typer.Option(help="'engine' (fast) or 'reference' (the specification).")] = "auto",
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Threads of the engine, or workers with --parallel.")
    ] = None,
    parallel: ParallelOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples in memory at a time.")] = 256,
    printed: Output,
) -> None:
    """Run a compiled network's integers on data: accuracy, rate, spikes and synaptic operations by layer."""
    from tclif_deploy.builds import Build
    from tclif_deploy.data.stream import open_stream
    from tclif_deploy.errors import TclifError
    from tclif_deploy.fixed import FixedNetwork
    from tclif_deploy.report.terminal.tables import print_run
    from tclif_deploy.simulation.stream import run_all
    from tclif_deploy.simulation.trace_file import TraceFile
    from tclif_deploy.workers import check_parallel

    check_parallel(parallel)
    if data.suffix not in (".h5", ".hdf5"):
        refuse(context, f"is for SHD and SSC, {data} is another file", "steps", "seconds")
    network = Build.open(build).fixed if build.is_dir() else FixedNetwork.load(build)
    stream = open_stream(data, samples=samples, steps=steps, seconds=seconds, task=task)
    if stream.features != network.input.size:
        raise TclifError(f"{data}: {stream.features} features a step, the network takes {network.input.size}")
    traced = tuple(name.strip() for name in states.split(",") if name.strip())
    if traced and trace is None:
        raise TclifError("--states without --trace", "name the file with --trace FILE")
    if trace is not None and parallel is not None:
        raise TclifError("--trace with --parallel", "a trace is written by one process: leave --parallel out")
    inputs = (data, *(build.iterdir() if build.is_dir() else (build,)))
    with printed.running() as reporter, contextlib.ExitStack() as stack:
        file = None if trace is None else stack.enter_context(TraceFile(trace, network, states=traced, inputs=inputs))
        bar, done = reporter.progress("samples"), 0

        def each(part, result):  # type: ignore[no-untyped-def]
            nonlocal done
            if file is not None:
                file.add(part, result)
            done += part.samples
            bar(done, stream.samples)

        summary = run_all(
            network, stream.batches(batch), engine=choice("--engine", engine, ("auto", "engine", "reference")),
            jobs=jobs, parallel=parallel, spikes=file is not None, traces=traced, each=each,
        )  # fmt: skip
    printed.result(summary.to_json(), lambda: print_run(out, summary))
    if trace is not None and not printed.as_json:
        out.print(f"trace: {trace}", highlight=False, markup=False, soft_wrap=True)
