"""Rooms import downwards only, also inside functions and for type checking alone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = "tclif_deploy"
ROOT = Path(__file__).parents[2] / PACKAGE
LINES = (
    "errors version aliases text",
    "arguments extras",
    "blas comparison display files outputs pickle_scan processes progress jit settings torch_zip workers",
    "hdf5 json_form torch_file",
    "convolution readout grid chains start",
    "network",
    "neurons",
    "fixed",
    "bounds data target",
    "simulation formulas",
    "graph quantization mapping backends",
    "formats nn",
    "frontends oracles verification",
    "builds",
    "analysis",
    "report",
    "workflows",
    PACKAGE,
    "cli",
    "__main__",
)
"""Rooms from the lowest line to the highest; a room imports from lower lines alone. The package's own name is its
``__init__``, which loads public names from any line when they are asked for."""
RANK = {room: rank for rank, line in enumerate(LINES) for room in line.split()}

ALONE = "backends/lava/template"
"""Runs without this package, from the folder that it is copied to."""


def module_name(file: Path) -> str:
    steps = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(steps[:-1] if steps[-1] == "__init__" else steps)


FILES = {module_name(f): f for f in ROOT.rglob("*.py") if not f.relative_to(ROOT).as_posix().startswith(ALONE)}


def room_of(module: str) -> str:
    """``tclif_deploy.formats.nir`` -> ``formats``; the package itself is a room too."""
    steps = module.split(".")
    return steps[1] if len(steps) > 1 else steps[0]


def imported(tree: ast.Module) -> set[str]:
    """Modules of this package that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            paths = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in FILES else node.module for name in paths}
    return {name for name in names if name.split(".")[0] == PACKAGE}


def upward() -> set[tuple[str, str]]:
    """(file, room) of every import that does not lead to a lower line."""
    imports = set()
    for module, file in FILES.items():
        own = room_of(module)
        if own == PACKAGE:
            continue
        for name in imported(ast.parse(file.read_text(encoding="utf-8"))):
            other = room_of(name)
            if other != own and RANK[other] >= RANK[own]:
                imports.add((file.relative_to(ROOT).as_posix(), other))
    return imports


def test_every_room_has_a_line():
    assert {room_of(module) for module in FILES} - RANK.keys() == set()


def test_the_page_on_architecture_shows_these_lines():
    text = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    shown = [set(re.findall(r"`(\w+)`", row)) for row in rows]
    assert shown == [set(line.split()) for line in reversed(LINES) if line != PACKAGE]


@pytest.mark.slow
def test_rooms_import_from_lower_lines_alone():
    assert upward() == set()


@pytest.mark.parametrize(
    "code",
    [
        "from tclif_deploy.formats.nir import read_nir",
        "from tclif_deploy import formats",
        "import tclif_deploy.formats as f",
        "def later():\n    from tclif_deploy.formats import read_nir",
        "if TYPE_CHECKING:\n    from tclif_deploy.formats import read_nir",
    ],
)
def test_an_import_is_seen_wherever_it_stands(code):
    assert {room_of(name) for name in imported(ast.parse(code))} == {"formats"}
