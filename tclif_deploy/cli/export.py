"""``tclif export``: a model for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tclif_deploy.cli.common import Debug, Quiet, Reporter, app, choice
from tclif_deploy.cli.reading import AS_THE_FILE_SAYS, Model, reads_models
from tclif_deploy.errors import TclifError
from tclif_deploy.frontends import ReadOptions
from tclif_deploy.network import Network

if TYPE_CHECKING:
    from tclif_deploy.target import Target

FORMATS = {"nir": ".nir", "onnx": "-onnx", "netx": ".net", "torch": ".pt"}
"""format -> how what is written is called after the model's name; ``onnx`` is a folder"""


@app.command("export")
@reads_models
def export_command(
    model: Model,
    to: Annotated[str, typer.Option("--to", help="nir, onnx, netx or torch.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File (a folder for onnx). [default: the model's name]")
    ] = None,
    target: Annotated[
        str, typer.Option("--target", "-t", help="Whose integers: for onnx, and for neurons netx lacks.")
    ] = "loihi2",
    weight_bits: Annotated[int | None, typer.Option(help="Override the target's weight width.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Data that set the integers' state scales.")] = None,
    step: Annotated[float, typer.Option("--export-dt", help="For nir: the time step that time constants mean.")] = 1e-4,
    read: ReadOptions = AS_THE_FILE_SAYS,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a model as NIR (standard neurons as NIR's own nodes), netx of lava-dl, integer ONNX, or our torch file."""
    from tclif_deploy.formats.netx.write import fits_netx
    from tclif_deploy.frontends import load
    from tclif_deploy.target import load_target

    choice("--to", to, tuple(FORMATS))
    for name, value in (("--calibration", calibration), ("--weight-bits", weight_bits)):
        if value is not None and to not in ("onnx", "netx"):
            raise TclifError(f"{name} is for --to onnx or netx, which write integers", f"leave {name} out")
    network = load(model, read)
    path = output or Path(model.name.split(".")[0] + FORMATS[to])
    if path.exists() and path.resolve() == model.resolve():
        raise TclifError(f"{path}: is the model itself", "name another file: --output FILE")
    reporter = Reporter(quiet)
    if to == "nir":
        from tclif_deploy.formats import export_nir

        told = export_nir(network, path, step)
    elif to == "torch":
        from tclif_deploy.frontends import save
        from tclif_deploy.nn.from_network import to_module

        save(to_module(network), path)
        told = ()
    elif to == "netx" and fits_netx(network):
        from tclif_deploy.formats import write_netx

        told = write_netx(network, path)
    else:
        machine = load_target(target).override(weight_bits=weight_bits)
        told = _integers(network, to, path, machine, model, calibration, reporter)
    for line in (*network.notices, *told):
        reporter.say(f"note: {line}")
    reporter.say(f"written: {path}")


def _integers(
    network: Network, to: str, path: Path, target: Target, model: Path, calibration: Path | None, reporter: Reporter
) -> tuple[str, ...]:
    """Write the compiled network; what there is to say about it."""
    from tclif_deploy import backends, quantize
    from tclif_deploy.formats import write_netx_fixed
    from tclif_deploy.quantization.calibration import choose_calibration

    choice = choose_calibration(model, calibration, None)
    reporter.say(f"quantizing for {target.name}, calibrated on {choice.calibration}")
    fixed = quantize(network, target, choice.data)
    if to == "netx":
        write_netx_fixed(fixed, path)
        own = "its neurons are not netx's own: run it with tclif_deploy.formats.netx.lava_loader.network.Network"
        return (*fixed.notices, own)
    if path.exists():
        raise TclifError(f"{path}: is there already", "name another folder: --output FOLDER")
    backends.get("onnx").emit(fixed, target, path)
    return fixed.notices
