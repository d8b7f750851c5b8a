"""The same build again, from what its manifest says, and whether it is the same to the last byte."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tclif_deploy.arguments import checked
from tclif_deploy.builds import Build
from tclif_deploy.builds import attribution as explained
from tclif_deploy.builds.folder import MANIFEST, check_place
from tclif_deploy.builds.manifest import Manifest, data_source, sha256, versions
from tclif_deploy.data import Dataset, load_data
from tclif_deploy.errors import TclifError
from tclif_deploy.files import read_bytes
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.report.page import PAGE
from tclif_deploy.workflows.compile import compile
from tclif_deploy.workflows.options import CompileOptions

PLACED = "rtl/synthesis.json"
HERE = "run it in the folder from which the model was compiled, where its files lie as they did"
LARGEST = 1 << 34
"""bytes of a file that is compared"""


@dataclass(frozen=True)
class Rebuilt:
    """A build, made again."""

    folder: str | None
    """where the new one was put; None where it was only compared"""
    files: int
    """of both that were compared"""
    differ: tuple[str, ...]
    """files that are not the same in both, or that only one of them has"""
    versions: tuple[str, ...]
    """packages that are of another version by now, which may be why"""

    @property
    def equal(self) -> bool:
        """Whether every file is the same, byte for byte."""
        return not self.differ


@checked
def rebuild(
    build: Build | Path | str, output: Path | str | None = None, *, say: Say = say_nothing, progress: Bars = no_bars
) -> Rebuilt:
    """Compile a build's model again with the recorded options, and compare every file with the build's own.

    Model, data and calibration data are read from where they were, relative to the current folder; what they hold must
    have the recorded digests. ``output`` keeps the new build (default: it is only compared). Not compared is what was
    added later: ``explain.json``, and a page that was written again with it. The circuit that ``tclif synth`` placed,
    with lanes of its own, is compared with its own digests.

    Raises `TclifError` where one of the files is gone or holds something else by now, for a live module or data in
    memory, which only their program has, for a build of ``tclif finetune``, and for one of an earlier version, whose
    manifest says too little.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.workflows.rebuild import rebuild
    >>> quick = tc.QuantizeSettings(passes=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile("fixtures/spoken_digits/checkpoint.pth.tar", output=f"{folder}/build",
    ...                        options=tc.CompileOptions(quantize=quick, backend="none"))
    ...     again = rebuild(build)
    >>> again.equal, again.differ
    (True, ())
    """
    build = build if isinstance(build, Build) else Build.open(build)
    manifest = build.manifest
    model, data, calibration = _inputs(manifest)
    changed = tuple(
        f"{name} {manifest.versions.get(name, 'none')} then, {now} now"
        for name, now in versions().items()
        if manifest.versions.get(name) != now
    )
    for line in changed:
        say(line)
    if output is not None:
        check_place(Path(output), (build.folder, model, data, calibration))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "build" if output is None else Path(output)
        compile(
            model, manifest.target, data=data, calibration=calibration, output=folder, options=_options(manifest),
            say=say, progress=progress,
        )  # fmt: skip
        say("comparing every file")
        files, differ = _compare(build, folder)
    return Rebuilt(None if output is None else str(output), files, differ, changed)


def _inputs(manifest: Manifest) -> tuple[Path, Dataset | None, Path | None]:
    """The model's file, the data and the calibration's file, all of the recorded digests."""
    source, of_data, scales = manifest.model, manifest.verified_on, manifest.calibration
    again = f"; it was made by: {manifest.command}" if manifest.command else ""
    if manifest.finetune is not None:
        raise TclifError(f"a build of tclif finetune is made again by its own command{again}", "run that")
    if source.sha256 is None:
        raise TclifError(f"its model was a live module ({source.path})", "run the program that compiled it again")
    if manifest.choices is None:
        raise TclifError(f"{MANIFEST} is of an earlier version: options are missing{again}", "compile it again")
    if of_data is not None and of_data.path is None:
        raise TclifError("its data were in memory", "run the program that compiled it again")
    if scales.kind == "given" and scales.path is None:
        raise TclifError("its calibration data were in memory", "run the program that compiled it again")
    model = Path(source.path)
    if not model.is_file():
        raise TclifError(f"{model}: the model is not there", HERE)
    if sha256(model) != source.sha256:
        raise TclifError(f"{model}: is another model by now (SHA-256 {sha256(model)[:12]}…)", "put the former one back")
    data = None
    if of_data is not None and of_data.path is not None:
        if not Path(of_data.path).exists():
            raise TclifError(f"{of_data.path}: the data are not there", HERE)
        data = load_data(of_data.path, of_data.task)
        if replace(data_source(data), task=of_data.task) != of_data:
            raise TclifError(f"{of_data.path}: holds other data by now", "put the former ones back")
    if scales.kind in ("given", "beside_model"):
        scales.load()
    return model, data, Path(scales.path) if scales.kind == "given" and scales.path is not None else None


def _options(manifest: Manifest) -> CompileOptions:
    """The options with which `compile` makes such a manifest."""
    assert manifest.choices is not None
    choices = manifest.choices
    goals = (choices.auto_bits_max_drop, choices.auto_bits_max_memory, choices.auto_bits_max_cores)
    found = any(goal is not None for goal in goals)
    settings = replace(manifest.settings, weight_bits=()) if found else manifest.settings
    return CompileOptions(
        read=manifest.model.read, quantize=settings, requirements=manifest.requirements, samples=manifest.samples,
        command=manifest.command, task=None if manifest.verified_on is None else manifest.verified_on.task,
        **vars(manifest.choices),
    )  # fmt: skip


def _compare(build: Build, folder: Path) -> tuple[int, tuple[str, ...]]:
    """How many files were compared, and which differ."""
    later = {explained.FILE, PAGE} if (build.folder / explained.FILE).exists() else set()
    names = {*_files(build.folder), *_files(folder)}
    if PLACED in names:  # tclif synth emits the circuit with the lanes that it places
        later |= {PAGE, *(name for name in names if name.startswith("rtl/"))}
    names -= later
    differ = [name for name in sorted(names) if not _same(build.folder / name, folder / name)]
    if PLACED in later and not _whole(build.folder / "rtl"):
        differ.append("rtl")
    return len(names), tuple(differ)


def _whole(circuit: Path) -> bool:
    """Whether the files of a circuit are as they were written, by its own digests."""
    from tclif_deploy.backends.rtl.description import read_description

    try:
        read_description(circuit)
    except TclifError:
        return False
    return True


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix()


def _same(a: Path, b: Path) -> bool:
    if not (a.is_file() and b.is_file()) or a.stat().st_size != b.stat().st_size:
        return False
    return read_bytes(a, "is it readable?", LARGEST) == read_bytes(b, "is it readable?", LARGEST)
