"""``tclif export``: a model for other tools."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tclif_deploy.cli.options import Model, TargetName, choice, command, refuse, saved
from tclif_deploy.cli.output import Steps
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.quantization.settings import QuantizeSettings
from tclif_deploy.target import Overrides
from tclif_deploy.text import WARNING

if TYPE_CHECKING:
    from tclif_deploy.fixed import FixedNetwork
    from tclif_deploy.target import Target

FORMATS = {"nir": ".nir", "onnx": "-onnx", "netx": ".net", "torch": ".pt"}
"""format -> how what is written is called after the model's name; ``onnx`` is a folder"""


@command("export")
def export_command(
    context: typer.Context,
    model: Model,
    *,
    to: Annotated[str, typer.Option("--to", metavar="|".join(FORMATS), help="The format.", show_default=False)],
    output: Annotated[Path | None, saved("File (a folder for onnx).", "the model's name")] = None,
    target: TargetName = "loihi2",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Data that set the state scales.", show_default="calibration.npz beside the model; a bound"),
    ] = None,
    step: Annotated[float, typer.Option("--export-dt", help="For nir: the time step that time constants mean.")] = 1e-4,
    read: ReadOptions,
    overrides: Overrides,
    settings: QuantizeSettings,
    printed: Steps,
) -> None:
    """Write a model as NIR (standard neurons as NIR's own nodes), netx of lava-dl, integer ONNX, or our torch file.

    The target, the calibration and what they quantize by are for onnx, and for netx where its own neurons do not do.
    """
    from tclif_deploy import backends
    from tclif_deploy.formats.netx.write import fits_netx
    from tclif_deploy.frontends import load
    from tclif_deploy.outputs import check_file_place
    from tclif_deploy.target import load_target

    choice("--to", to, FORMATS)
    integers = ("target", "calibration", Overrides, QuantizeSettings)
    if to not in ("onnx", "netx"):
        refuse(context, "is for --to onnx or netx, which write integers", *integers)
    if to != "nir":
        refuse(context, "is for --to nir", "step")
    if to == "onnx":
        backends.check_ready("onnx", runs=False)
    network = load(model, read)
    path = output or Path(model.name.split(".")[0] + FORMATS[to])
    if to != "onnx":
        check_file_place(path, (model, calibration))
    elif path.exists() or path.is_symlink():
        raise TclifError(f"{path}: is there already", "name another folder: --output FOLDER")
    with printed.running() as reporter:
        if to == "nir":
            from tclif_deploy.formats import export_nir

            notices = export_nir(network, path, step)
        elif to == "torch":
            from tclif_deploy.frontends import save
            from tclif_deploy.nn.from_network import to_module

            save(to_module(network), path)
            notices = ()
        elif to == "netx" and fits_netx(network):
            from tclif_deploy.formats import write_netx

            refuse(
                context,
                f"is for integers, and {model} has netx's own neurons, which are written as they are",
                *integers,
            )
            notices = write_netx(network, path)
        else:
            from tclif_deploy.workflows.integers import integers_for

            machine = load_target(target).override(**asdict(overrides))
            integers_of_model = integers_for(
                model, machine, calibration=calibration, read=read, settings=settings, say=reporter.say
            )
            notices = _integers(integers_of_model.fixed, to, path, machine)
        for line in (*network.notices, *notices):
            reporter.say(line if line.startswith(WARNING) else f"notice: {line}")
        reporter.say(f"written: {path}")


def _integers(fixed: FixedNetwork, to: str, path: Path, target: Target) -> tuple[str, ...]:
    """Write the compiled network; what there is to say about it."""
    from tclif_deploy import backends
    from tclif_deploy.formats import write_netx_fixed
    from tclif_deploy.outputs import new_folder

    if to == "netx":
        lost = write_netx_fixed(fixed, path)
        own = "its neurons are not netx's own: run it with tclif_deploy.formats.netx.lava_loader.network.Network"
        return (*fixed.notices, own, *lost)
    with new_folder(path) as folder:
        backends.get("onnx").emit(fixed, target, folder)
    return fixed.notices
