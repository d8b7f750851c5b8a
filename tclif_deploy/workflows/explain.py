"""Where a build's error comes from, and what would help: ``explain.json`` in the build folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tclif_deploy.builds import folder as buildfolder
from tclif_deploy.data import Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.frontends import load
from tclif_deploy.network import Network
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.quantization import QuantizeSettings
from tclif_deploy.report import page
from tclif_deploy.verification import verify
from tclif_deploy.verification.error_attribution import account
from tclif_deploy.verification.health import health
from tclif_deploy.verification.remedies import remedies
from tclif_deploy.workflows.compile import choose_calibration

FILE = "explain.json"
SAMPLES = 100
"""a run of the whole network for each source of error alone and for all but it: more samples cost time"""


def explain(
    folder: Path | str,
    data: Dataset | Path | str,
    *,
    calibration: Dataset | Path | str | None = None,
    samples: int | None = SAMPLES,
    jobs: int = 2,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> dict[str, Any]:
    """Account for the error of the build in ``folder`` on ``data``; the account is also kept in the build.

    ``calibration`` serves the remedies that are measured (default: as for the compiler). Raises `TclifError` where
    the folder is no build, or where the float network of the build cannot be found.
    """
    folder = Path(folder)
    manifest = buildfolder.read_manifest(folder)
    fixed = FixedNetwork.load(folder / "fixed.npz")
    network = float_network(folder, manifest)
    source, calibrating, test = choose_calibration(Path(manifest["model"]["path"]), calibration, as_dataset(data))
    assert test is not None
    test = test if samples is None else test[:samples]
    if test.features != network.input_size:
        raise TclifError(
            f"{test.name}: {test.features} features a step, the network takes {network.input_size}",
            "give data like those that the build was verified on",
        )
    say(f"float against fixed on {test.samples} samples")
    verdict = verify(network, fixed, test, progress=progress("samples"))
    say("quantizing each source of error alone, and all but it")
    found = account(
        network, fixed, test, calibrating, saturations=verdict.saturations, progress=progress("runs"), jobs=jobs
    )
    measured: tuple[Any, ...] = ()
    if calibrating is not None and "finetune" not in manifest:
        say(f"measuring what would help, calibrated on {source}")
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in manifest["settings"].items()}
        target = buildfolder.manifest_target(folder, manifest)
        measured = remedies(
            found, network, target, QuantizeSettings(**settings), test, calibrating,
            progress=progress("remedies"), jobs=jobs,
        )  # fmt: skip
    result = {
        **found.to_json(), "data": test.name, "health": list(health(fixed, verdict)),
        "remedies": [asdict(remedy) for remedy in measured],
        "accuracy": {"float": verdict.accuracy_float, "fixed": verdict.accuracy_fixed},
    }  # fmt: skip
    buildfolder.write_json(folder / FILE, result)
    if page.missing() is None:
        say(f"writing {page.PAGE}")
        page.write_page(folder)
    return result


def float_network(folder: Path, manifest: dict[str, Any]) -> Network:
    """The float network of a build: its ``network.nir``, which is exact, or the model that it was compiled from."""
    if (folder / "network.nir").exists():
        return load(folder / "network.nir")
    model = Path(manifest["model"]["path"])
    if not model.exists():
        raise TclifError(f"{folder}: no network.nir, and its model {model} is gone", "compile it again")
    if buildfolder.sha256(model) != manifest["model"]["sha256"]:
        raise TclifError(f"{model}: has changed since {folder} was compiled from it", "compile it again")
    return load(model)
