"""Files are opened for writing in `tclif_deploy.outputs` alone; what else writes is listed here, with the reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "tclif_deploy"
ALLOWED = {
    "outputs/": "the one room that writes",
    "jit.py": "the cache of machine code, a folder of its own",
    "oracles/scripts/": "run in an environment and a process of their own, into a temporary folder of ours",
    "backends/lava/template/": "runs without this package, from the folder that it is copied to",
}
SCRATCH = {
    "backends/rtl/simulate.py": ["os.replace", "shutil.copy2"],  # into the cache of machine code
    "backends/rtl/synthesis.py": ["shutil.copytree"],  # into a temporary folder of ours
    "cli/main.py": ["os.open"],  # the null device, for what nobody reads
    "backends/lava/supervise.py": ["np.savez", "open"],  # in a temporary folder of ours
    "oracles/__init__.py": ["unlink", "write_text"],  # in the folder of environments, which is a cache
    "oracles/process.py": ["given.write_text", "open"],  # in a temporary folder of ours
    "hdf5/file.py": ["h5py.File"],  # into memory
    "formats/nir/read_file.py": ["nir.write"],  # into memory
    "formats/nir/write_file.py": ["nir.write"],  # into memory
    "formats/model_file/file.py": ["torch.save"],  # into memory
    "nn/checkpoint.py": ["torch.save"],  # into memory
    "nn/train.py": ["np.save", "unlink"],  # into the file that outputs opened; the state of a finished training
    "report/static.py": ["canvas.savefig", "canvas.savefig"],  # into memory
    "report/sweep.py": ["figure.savefig"],  # into the file that outputs made
    "simulation/trace_file.py": ["h5py.File", "truncate"],  # into the file that outputs made
    "workflows/finetune.py": ["shutil.rmtree"],  # the state of finished trainings
    "workflows/synth.py": ["shutil.copy2", "shutil.copytree"],  # into the folder that outputs made
}
"""file -> the calls in it that write nowhere else"""
WRITING = {
    "write_text", "write_bytes", "savez", "savez_compressed", "savefig", "to_csv", "copytree", "copyfile",
    "copy", "copy2", "move", "rename", "mkdir", "makedirs", "touch", "symlink_to", "hardlink_to", "unlink", "rmdir",
    "rmtree", "mkstemp", "mkdtemp", "NamedTemporaryFile", "truncate", "tofile", "removedirs", "fdopen",
}  # fmt: skip
QUALIFIED = {
    ("os", "open"),
    ("os", "link"),
    ("os", "symlink"),
    ("np", "savetxt"),
    ("nir", "write"),
    ("os", "remove"),
    ("os", "replace"),
    ("os", "remove"),
    ("np", "save"),
    ("torch", "save"),
    ("json", "dump"),
    ("shutil", "copy"),
}
MODES = set("wax+")


def writes(call: ast.Call) -> str | None:
    """What a call writes with, or None."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    owner = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""
    if (owner, name) in QUALIFIED or (name in WRITING and not (name == "copy" and owner != "shutil")):
        return f"{owner}.{name}" if owner else name
    if name in ("open", "File", "ZipFile", "FileIO", "TextIOWrapper"):
        given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
        texts = [a.value for a in given if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if any(len(text) <= 3 and MODES & set(text) for text in texts):
            return f"{owner}.{name}" if owner and name != "open" else name
    if name == "replace" and len(call.args) == 1 and not call.keywords:
        return "Path.replace"  # text.replace takes two, dataclasses.replace keywords
    return None


def writers(source: str) -> list[str]:
    """Calls that write, sorted."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return sorted(what for call in calls if (what := writes(call)))


FOUND = {
    name: found
    for path in sorted(ROOT.rglob("*.py"))
    if not (name := path.relative_to(ROOT).as_posix()).startswith(tuple(ALLOWED))
    and (found := writers(path.read_text(encoding="utf-8")))
}


def test_no_other_call_writes_and_what_is_listed_is_still_needed():
    assert FOUND == SCRATCH


@pytest.mark.parametrize(
    "code",
    [
        "open(path, 'w')", "path.open('a')", "open(path, mode='x')", "open(path, 'r+b')", "path.write_text('')",
        "h5py.File(path, 'w')", "zipfile.ZipFile(path, 'w')", "np.savez(path)", "np.save(path, x)", "os.replace(a, b)",
        "torch.save(x, path)", "path.replace(other)", "os.open(path, flags)", "shutil.rmtree(path)",
        "figure.savefig(path)", "Path('a').mkdir()", "io.FileIO(p, 'w+')",
    ],
)  # fmt: skip
def test_a_call_that_writes_is_seen(code):
    assert len(writers(code)) == 1


@pytest.mark.parametrize("code", ["open(path)", "open(path, 'rb')", "x.copy()", "text.replace('w', 'a')", "f.read()"])
def test_a_call_that_reads_is_not(code):
    assert writers(code) == []
