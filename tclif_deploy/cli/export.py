"""``tclif export``: a model for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli import reading
from tclif_deploy.cli.common import Debug, Quiet, Reporter, app, choice
from tclif_deploy.errors import TclifError

FORMATS = {"nir": ".nir", "onnx": "-onnx", "netx": ".net", "torch": ".pt"}
"""format -> how what is written is called after the model's name; ``onnx`` is a folder"""


@app.command("export")
def export_command(
    model: reading.Model,
    to: Annotated[str, typer.Option("--to", help="nir, onnx, netx or torch.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File (a folder for onnx). [default: the model's name]")
    ] = None,
    target: Annotated[str, typer.Option("--target", "-t", help="For onnx: whose integers.")] = "loihi2",
    calibration: Annotated[Path | None, typer.Option(help="For onnx: data that set the state scales.")] = None,
    step: Annotated[float, typer.Option("--export-dt", help="For nir: the time step that time constants mean.")] = 1e-4,
    args: reading.Args = None,
    threshold: reading.Threshold = None,
    gamma: reading.Gamma = None,
    comparator: reading.Comparator = None,
    reset: reading.Reset = None,
    neuron: reading.Neuron = None,
    decay: reading.Decay = None,
    dt: reading.Dt = None,
    convention: reading.Convention = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a model as NIR (standard neurons as NIR's own nodes), netx of lava-dl, integer ONNX, or our torch file."""
    from tclif_deploy.frontends import ReadOptions, load

    choice("--to", to, tuple(FORMATS))
    for name, value in (("--calibration", calibration),):
        if value is not None and to != "onnx":
            raise TclifError(f"{name} is for --to onnx, which writes integers", f"leave {name} out")
    network = load(model, ReadOptions(args, threshold, gamma, comparator, reset, neuron, decay, dt, convention))
    path = output or Path(model.name.split(".")[0] + FORMATS[to])
    if path.exists() and path.resolve() == model.resolve():
        raise TclifError(f"{path}: is the model itself", "name another file: --output FILE")
    reporter = Reporter(quiet)
    if to == "nir":
        from tclif_deploy.interchange import export_nir

        told = export_nir(network, path, step)
    elif to == "netx":
        from tclif_deploy.interchange import write_netx

        told = write_netx(network, path)
    elif to == "torch":
        from tclif_deploy.frontends import save
        from tclif_deploy.frontends.to_torch import to_module

        save(to_module(network), path)
        told = ()
    else:
        from tclif_deploy import backends, load_target, quantize

        machine = load_target(target)
        fixed = quantize(network, machine, calibration)
        if path.exists():
            raise TclifError(f"{path}: is there already", "name another folder: --output FOLDER")
        backends.get("onnx").emit(fixed, machine, path)
        told = fixed.notices
    for line in (*network.notices, *told):
        reporter.say(f"note: {line}")
    reporter.say(f"written: {path}")
