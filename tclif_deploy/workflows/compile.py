"""The main job: a model in, a verified build folder out."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from tclif_deploy import backends, mapping
from tclif_deploy.builds import folder as buildfolder
from tclif_deploy.builds.record import make_record
from tclif_deploy.data import Dataset, as_dataset, load_data
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.formats import NotInNir, write_nir
from tclif_deploy.frontends import ReadOptions, load
from tclif_deploy.network import Network, Progress
from tclif_deploy.quantization import QuantizeSettings, quantize
from tclif_deploy.quantization.couplings import rotation_frequency
from tclif_deploy.quantization.notices import input_notice
from tclif_deploy.quantization.quantizer import weight_widths
from tclif_deploy.quantization.weight_width_search import choose_widths
from tclif_deploy.report import page
from tclif_deploy.settings import Limits, Named, check_settings
from tclif_deploy.simulation import Engine, simulate
from tclif_deploy.target import Target, load_target
from tclif_deploy.verification import BackendCheck, Requirements, Verdict, difference, verify
from tclif_deploy.verification.health import health
from tclif_deploy.version import __version__

Say = Callable[[str], None]

ACTIVITY_SAMPLES = 32
"""samples whose spikes are counted for the cost model"""


@dataclass(frozen=True)
class BuildOptions:
    """What can be chosen about a build, however its integers come about."""

    read: ReadOptions = ReadOptions()
    quantize: QuantizeSettings = QuantizeSettings()
    requirements: Requirements = Requirements()
    backend: str = "default"
    """backends' names, separated by commas; ``none``, ``all``, or ``default`` for the target's own"""
    backend_samples: Annotated[int, Limits(1)] = 4
    """samples that every backend runs, compared with the reference bit for bit"""
    backend_batched: bool = False
    """run a backend's fast, simulation-only form, where it has one, on all samples"""
    engine: Engine = "auto"
    """what simulates the integers: the fast engine, or the reference, which is the specification"""
    command: Annotated[str, Named(None, "what was typed")] = ""
    """the command line that asked for this, for the record"""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class CompileOptions(BuildOptions):
    """Everything that can be chosen about a compilation, apart from the model, the target and the data."""

    narrowest: Annotated[float | None, Limits(0, 1), Named("--auto-max-drop")] = None
    """choose the narrowest weights of each layer that lose at most this fraction of accuracy on the data"""
    samples: Annotated[int | None, Limits(1)] = None
    """use only the first samples of the data"""


@dataclass(frozen=True, eq=False)
class Build:
    """A finished compilation."""

    folder: Path
    network: Network
    fixed: FixedNetwork
    target: Target
    verdict: Verdict | None
    """None where no data was given: nothing was verified"""
    requirements: Requirements
    shortfalls: tuple[str, ...]
    """which requirements the verdict misses, and which backends differ from the reference"""
    notices: tuple[str, ...]
    report: dict[str, Any]
    """what ``report.json`` holds"""


def compile(
    model: Path | str,
    target: Target | Path | str = "loihi2",
    *,
    data: Dataset | Path | str | None = None,
    calibration: Dataset | Path | str | None = None,
    output: Path | str | None = None,
    options: CompileOptions = CompileOptions(),
    say: Say = lambda line: None,
    progress: Callable[[str], Progress] = lambda title: lambda done, total: None,
) -> Build:
    """Compile ``model`` (a checkpoint, or a .nir file) for ``target`` into the folder ``output``.

    With ``data`` the result is verified: float against fixed on all samples, the backend against the reference
    on some. ``calibration`` sets the state scales (default: ``calibration.npz`` beside the model, else the first
    quarter of ``data``, which the verdict then leaves out). ``say`` gets a line a step, ``progress(title)`` gives
    the callback of a long one. Raises `TclifError`; then nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = compile("fixtures/smnist_ff/checkpoint.pth.tar", "loihi2", data="fixtures/smnist_test.npz",
    ...                     output=f"{folder}/build", options=CompileOptions(samples=2, backend="none"))
    >>> build.verdict.samples
    2
    """
    path = Path(model)
    target = target if isinstance(target, Target) else load_target(target)
    folder = Path(output) if output is not None else buildfolder.default_folder(path, target.name)
    for backend in chosen_backends(target, options).values():
        if data is not None:
            backend.check_installed()
    test = as_dataset(data)
    if test is not None and options.samples is not None:
        test = test[: options.samples]
    _check_requirements(options.requirements, test)

    with buildfolder.new_build(folder) as temporary:
        say(f"reading {path}")
        network = load(path, options.read)
        source, calibration_data, test = choose_calibration(path, calibration, test)
        say(f"quantizing for {target.name}, calibrated on {source}")
        if options.narrowest is None:
            fixed = quantize(network, target, calibration_data, options.quantize, progress=progress("layers"))
        else:
            fixed, options = _narrowed(network, target, calibration_data, test, options, say, progress)
        if calibration_data is not None and test is not None and (notice := input_notice(calibration_data, test)):
            fixed = replace(fixed, notices=(*fixed.notices, notice))
        return write_build(
            temporary, folder, path, network, fixed, target, source, test, options=options, say=say, progress=progress
        )


def _narrowed(
    network: Network,
    target: Target,
    calibration: Dataset | None,
    test: Dataset | None,
    options: CompileOptions,
    say: Say,
    progress: Callable[[str], Progress],
) -> tuple[FixedNetwork, CompileOptions]:
    """The integers with the narrowest weights, and the options that give just these."""
    if test is None or calibration is None or options.narrowest is None:
        raise TclifError("--weight-bits auto needs something to measure", "give --data FILE")
    say(f"choosing weight bits on {test.samples} samples")
    found = choose_widths(
        network, target, calibration, test, options.narrowest, options.quantize, progress=progress("trials")
    )
    said = found.sentence(network, options.narrowest, test.y is not None, test.samples)
    fixed = replace(found.fixed, notices=(*found.fixed.notices, said))
    return fixed, replace(options, quantize=replace(options.quantize, weight_bits=found.bits))


def chosen_backends(target: Target, options: BuildOptions) -> dict[str, backends.Backend]:
    """The backends that ``options`` name, by name."""
    names = target.backend if options.backend == "default" else options.backend
    return {name: backends.get(name) for name in backends.parse(names)}


def write_build(
    temporary: Path,
    folder: Path,
    path: Path,
    network: Network,
    fixed: FixedNetwork,
    target: Target,
    source: str,
    test: Dataset | None,
    *,
    options: BuildOptions,
    say: Say,
    progress: Callable[[str], Progress],
    extra: Callable[[Verdict | None], dict[str, Any]] = lambda verdict: {},
) -> Build:
    """Fill the empty folder ``temporary``, which will be ``folder``: files, backends, verdict on ``test``, report.

    ``fixed`` are integers of ``network`` (of the file ``path``), calibrated on ``source``, in words; what ``extra``
    makes of the verdict stands in the report and the manifest too.
    """
    say("writing network.nir and fixed.npz")
    fixed.save(temporary / "fixed.npz")
    notices = network.notices + fixed.notices
    no_page = page.missing()
    if no_page is not None:
        notices += (no_page,)
    try:
        write_nir(network, temporary / "network.nir")
    except NotInNir as error:
        notices += (f"no network.nir: {error}",)
    chosen = chosen_backends(target, options)
    for name, backend in chosen.items():
        say(f"emitting {name}")
        backend.emit(fixed, target, temporary / name)
    verdict = None
    if test is not None:
        say(f"verifying float against fixed on {test.samples} samples")
        verdict = verify(network, fixed, test, engine=options.engine, progress=progress("samples"))
        part = test if options.backend_batched else test[: options.backend_samples]
        verdict.backends.update(_run_backends(chosen, fixed, part, temporary, options, say, progress))
        notices += health(fixed, verdict)
    shortfalls = tuple(options.requirements.shortfalls(verdict)) if verdict else ()
    report = {
        **(verdict.to_json() if verdict else empty_report()),
        "model": str(path), "target": target.name, "verified": verdict is not None,
        "notices": list(notices), "shortfalls": list(shortfalls), **_hardware(fixed, target, test, temporary),
        **(more := extra(verdict)),
    }  # fmt: skip
    widths = weight_widths(network, target, options.quantize)
    make_record(network, fixed, widths, test, verdict).save(temporary / "record.npz")
    manifest = {**_manifest(temporary, path, target, network, fixed, source, options, notices), **more}
    buildfolder.write_json(temporary / "report.json", report)
    buildfolder.write_json(temporary / buildfolder.MANIFEST, manifest)
    if no_page is None:
        say(f"writing {page.PAGE}")
        page.write_page(temporary)
    return Build(folder, network, fixed, target, verdict, options.requirements, shortfalls, notices, report)


def _run_backends(
    chosen: dict[str, backends.Backend],
    fixed: FixedNetwork,
    data: Dataset,
    folder: Path,
    options: BuildOptions,
    say: Say,
    progress: Callable[[str], Progress],
) -> dict[str, BackendCheck]:
    """Every emitted backend on ``data`` against the reference, which runs once."""
    if not chosen:
        return {}
    x, _ = fixed.input.encode(data.x, data.scale)
    law = simulate(fixed, x, lengths=data.lengths, spikes=True, engine="reference")
    found = {}
    for name, backend in chosen.items():
        say(f"running {name} on {data.samples} samples against the reference")
        result = backend.run(
            folder / name, x, lengths=data.lengths, batched=options.backend_batched, progress=progress(name)
        )
        found[name] = difference(law, result, data.time)
    return found


def _hardware(fixed: FixedNetwork, target: Target, data: Dataset | None, folder: Path) -> dict[str, Any]:
    """Placement, findings of the design rules and, with data, cost; ``mapping.json`` is written where it fits."""
    activity = None if data is None else mapping.measure(fixed, data[:ACTIVITY_SAMPLES])
    found: dict[str, Any] = {"mapping": None, "energy": None, "latency": None}
    placement = None
    try:
        placement = mapping.place(fixed, target)
    except mapping.CannotFit:
        pass  # the design rules say by how much, and what would help
    else:
        buildfolder.write_json(folder / "mapping.json", placement.to_json())
        cost = None if activity is None else mapping.cost(fixed, target, placement, activity)
        found |= mapping.report(placement, cost)
    findings = mapping.check(fixed, target, placement, activity)
    return {**found, "findings": [finding.to_json() for finding in findings]}


def empty_report() -> dict[str, Any]:
    """The verdict's keys where nothing was verified."""
    return {
        "samples": 0, "accuracy": {"float": None, "fixed": None}, "agreement": {"argmax": None, "logit_snr_db": None},
        "layers": [], "saturations": None, "saturations_by_layer": {}, "input_clipped": None, "backends": {},
    }  # fmt: skip


def _check_requirements(requirements: Requirements, data: Dataset | None) -> None:
    """Refuse, before any work, requirements that the given data cannot answer."""
    asked = [name.replace("_", "-") for name, value in asdict(requirements).items() if value is not None]
    if asked and data is None:
        raise TclifError(f"--{asked[0]} needs something to measure", "give --data FILE")
    for name in ("min-accuracy", "max-accuracy-drop"):
        if name in asked and data is not None and data.y is None:
            raise TclifError(f"{data.name}: no labels, but --{name} asks for accuracy", "add y (samples,) to the file")


def choose_calibration(
    model: Path, given: Dataset | Path | str | None, test: Dataset | None
) -> tuple[str, Dataset | None, Dataset | None]:
    """(what was used, in words; calibration data; what remains to verify on)."""
    data = as_dataset(given)
    if data is not None:
        return f"{data.name} ({data.samples} samples)", data, test
    beside = model.parent / "calibration.npz"
    if beside.exists():
        data = load_data(beside)
        return f"{data.name} ({data.samples} samples)", data, test
    if test is not None and test.samples >= 2:
        count = max(1, test.samples // 4)
        return f"the first {count} of {test.samples} samples of {test.name}", test[:count], test[count:]
    return "nothing: worst-case bound", None, test


def _manifest(
    folder: Path,
    model: Path,
    target: Target,
    network: Network,
    fixed: FixedNetwork,
    calibration: str,
    options: BuildOptions,
    notices: tuple[str, ...],
) -> dict[str, Any]:
    """Enough to know what was built from what, and to build it again."""
    return {
        "format": buildfolder.FORMAT,
        "version": buildfolder.FORMAT_VERSION,
        "versions": {
            "tclif_deploy": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("numpy", "torch", "nir")},
        },
        "model": {"path": str(model), "sha256": buildfolder.sha256(model)},
        "target": target.model_dump(mode="json"),
        "settings": asdict(options.quantize),
        "requirements": asdict(options.requirements),
        "command": options.command,
        "calibration": calibration,
        "input": asdict(fixed.input),
        "arithmetic": asdict(fixed.arithmetic),
        "layers": [_layer_summary(a, b, fixed) for a, b in zip(network.layers, fixed.layers, strict=True)],
        "notices": list(notices),
        "sizes": {p.parent.name: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*/size.json"))},
    }


def _layer_summary(real: Any, fixed: Any, network: FixedNetwork) -> dict[str, Any]:
    """Scales and couplings of one layer, float beside fixed."""
    one = float(2**network.arithmetic.frac_bits)
    before = [rotation_frequency(u, v) for u, v in zip(real.neuron.b_u, real.neuron.b_v, strict=True)]
    after = [rotation_frequency(u / one, v / one) for u, v in zip(fixed.b_u, fixed.b_v, strict=True)]
    turning = [(a, b) for a, b in zip(before, after, strict=True) if np.isfinite(a) and np.isfinite(b) and a > 0]
    return {
        "name": fixed.name,
        "neurons": fixed.size,
        "shift": fixed.shift,
        "lsb_u": [float(fixed.lsb_u.min()), float(fixed.lsb_u.max())],
        "lsb_v": [float(fixed.lsb_v.min()), float(fixed.lsb_v.max())],
        "threshold": [int(fixed.threshold.min()), int(fixed.threshold.max())] if fixed.spiking else None,
        "couplings": sorted({(int(u), int(v)) for u, v in zip(fixed.b_u, fixed.b_v, strict=True)}),
        "frequency_error": max((abs(b / a - 1) for a, b in turning), default=None),
    }
