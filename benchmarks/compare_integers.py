"""Do two checkouts make the same integers? ``python benchmarks/compare_integers.py OLD NEW`` says where they do not.

Each runs the same cases in processes of its own (this script with ``--emit``, the checkout as PYTHONPATH), which write
what they make into a folder. Then the folders are compared: every array byte by byte, so that -0.0 is not 0.0; of JSON
and ONNX all but versions, producers and notices; of what is refused, only that it is. What crashes in OLD makes no
integers, so NEW may do better there; what crashes in NEW alone is a difference. The cases (`compare_cases`) are

- every model under ``fixtures/`` of this script's checkout, for several targets, with and without calibration;
- random networks of all neurons and connections, quantized by random settings for random targets, simulated, verified;
- random files of other tools and torch modules, read; and networks in files, written and read back.

What is random comes from numpy, by the same seeds. OLD or NEW may also be a folder that was filled before, by
``PYTHONPATH=CHECKOUT python benchmarks/compare_integers.py --emit FOLDER``, which saves the time. The exit code is 1
where anything differs. A name that moves between checkouts gets its new place in `compare_draw.PLACES`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from compare_cases import CRASHED, REFUSED, all_cases, attempt
from numpy.typing import NDArray
from onnx import numpy_helper

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
IGNORED = ("notices", "version", "versions", "producer_name", "producer_version")
"""Keys of JSON, data sets of HDF5 and fields of ONNX that may differ."""


def main() -> int:
    """Compare, or emit one side; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", nargs="*", type=Path, metavar="CHECKOUT", help="OLD and NEW")
    parser.add_argument("--networks", type=int, default=200, help="random networks; other random cases grow with them")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--fixtures", type=Path, default=FIXTURES, help="folder of the models that both sides read")
    parser.add_argument("--emit", type=Path, metavar="FOLDER", help="only fill this folder, from what PYTHONPATH names")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("N", "OF"), help="of what --emit emits")
    given = parser.parse_args()
    if given.emit is not None:
        emit(given.emit, given.fixtures, given.networks, *given.part)
        return 0
    if len(given.sides) != 2:
        parser.error("name OLD and NEW")
    began, found = time.perf_counter(), 0
    with tempfile.TemporaryDirectory(prefix="compare-integers-") as scratch:
        old, new = run_both(given, Path(scratch))
        for line in differences(old, new):
            print(line, flush=True)
            found += 1
        before, after = ([path.name for path in side.rglob("*") if path.is_file()] for side in (old, new))
    cases = sum(1 for _ in all_cases(given.fixtures, given.networks))
    print(
        f"{'DIFFERENT' if found else 'equal'}: {found:,} differences in {len(after):,} files of {cases:,} cases; "
        f"{after.count(REFUSED):,} refusals; crashes: {before.count(CRASHED)} in OLD, {after.count(CRASHED)} in NEW; "
        f"{time.perf_counter() - began:.0f} s"
    )
    return int(found > 0)


def emit(folder: Path, fixtures: Path, networks: int, part: int, parts: int) -> None:
    """Fill ``folder`` with every ``parts``-th case of the checkout that this process imports."""
    import tclif_deploy

    root, wanted = Path(tclif_deploy.__file__).parents[1], os.environ.get("PYTHONPATH", str(FIXTURES.parent))
    if root.resolve() != Path(wanted).resolve():
        sys.exit(f"tclif_deploy comes from {root}, not from {wanted}")
    for n, (name, case) in enumerate(all_cases(fixtures.resolve(), networks)):
        if n % parts == part:
            attempt(folder / name, case)


def run_both(given: argparse.Namespace, scratch: Path) -> list[Path]:
    """The folders of both sides: emitted into ``scratch``, or the side itself where it was emitted before."""
    folders, runs = [], []
    for name, side in zip(("old", "new"), given.sides, strict=True):
        if not (side / "tclif_deploy" / "__init__.py").is_file():
            if not side.is_dir():
                sys.exit(f"{side} is no folder")
            folders.append(side)
            continue
        folders.append(scratch / name)
        runs += [(side.resolve(), folders[-1], part) for part in range(given.jobs)]

    def run(checkout: Path, folder: Path, part: int) -> None:
        # One thread each: how a sum is split over threads may show in its last bit.
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        subprocess.run(
            [sys.executable, "-W", "ignore", __file__, "--emit", folder, "--fixtures", given.fixtures.resolve(),
             "--networks", str(given.networks), "--part", str(part), str(given.jobs)],
            env=environment, cwd=scratch, check=True,
        )  # fmt: skip

    with ThreadPoolExecutor(given.jobs) as pool:
        for done in [pool.submit(run, *arguments) for arguments in runs]:
            done.result()
    return folders


def differences(old: Path, new: Path) -> Iterator[str]:
    """One line for each file that is on one side only, and for each array that differs."""
    files = {side: {path.relative_to(side) for path in side.rglob("*") if path.is_file()} for side in (old, new)}
    mended = {file.parent for file in files[old] - files[new] if file.name == CRASHED}
    for file in sorted(files[old] | files[new]):
        if mended.intersection(file.parents):
            continue
        if file not in files[old] or file not in files[new]:
            yield f"{file.parent}: {file.name}: only in {'OLD' if file in files[old] else 'NEW'}"
            continue
        texts = (old / file).read_bytes(), (new / file).read_bytes()
        if file.name == CRASHED:
            kinds = [text.strip().splitlines()[-1].partition(b":")[0].decode() for text in texts]
            if kinds[0] != kinds[1]:
                yield f"{file.parent}: {file.name}: {kinds[0]} in OLD, {kinds[1]} in NEW"
        elif file.name != REFUSED and texts[0] != texts[1]:
            before, after = contents(old / file), contents(new / file)
            for name in sorted(before.keys() | after.keys()):
                said = first_difference(before.get(name), after.get(name))
                if said:
                    yield f"{file.parent}: {file.name}: {name}{said}"


def first_difference(a: NDArray[Any] | None, b: NDArray[Any] | None) -> str:
    """Where two arrays differ first, and how; empty where every byte is equal."""
    if a is None or b is None:
        return f" only in {'NEW' if a is None else 'OLD'}"
    if a.dtype.kind != b.dtype.kind or (a.dtype != b.dtype and a.dtype.kind not in "SU"):
        return f" is {a.dtype} in OLD, {b.dtype} in NEW"
    shared = tuple(min(pair) for pair in zip(a.shape, b.shape, strict=False))
    if a.ndim == b.ndim:
        wider = np.promote_types(a.dtype, b.dtype)  # texts differ in width where their longest line does
        parts = [np.ascontiguousarray(x[tuple(map(slice, shared))], wider) for x in (a, b)]
        bits = [x.reshape(-1).view(np.uint8).reshape(x.size, wider.itemsize) for x in parts]
        unequal = np.flatnonzero((bits[0] != bits[1]).any(axis=1))
        if unequal.size:
            index = tuple(int(i) for i in np.unravel_index(unequal[0], shared))
            return f"{list(index)}: {parts[0][index]} became {parts[1][index]} ({unequal.size} of {parts[0].size})"
    return "" if a.shape == b.shape else f" has shape {a.shape} in OLD, {b.shape} in NEW"


def contents(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name; a text is an array of its lines, JSON an array for each value."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            found = {name: file[name] for name in file.files}
        header = found.pop("header", None)
        return found if header is None else {**found, **leaves(json.loads(header.tobytes()), "header")}
    if path.suffix == ".json":
        return leaves(json.loads(path.read_text()), "")
    if path.suffix in (".nir", ".net"):
        found = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and name.rpartition("/")[2] not in IGNORED:
                value = np.asarray(item[()])
                found[name] = value.astype(np.bytes_) if value.dtype == object else value

        with h5py.File(path) as file:
            file.visititems(visit)
        return found
    if path.suffix == ".onnx":
        model = onnx.load(path)
        for name in IGNORED:
            if name in model.DESCRIPTOR.fields_by_name:
                model.ClearField(name)
        return {**tensors(model.graph), "line": np.array(str(model).splitlines())}
    return {"line": np.array(path.read_bytes().split(b"\n"))}


def leaves(value: Any, name: str) -> dict[str, NDArray[Any]]:
    """Every number and text of a JSON value, by its path."""
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, item in items if key not in IGNORED for k, v in leaves(item, f"{name}.{key}").items()}
    return {name.lstrip("."): np.array(repr(value))}


def tensors(graph: Any) -> dict[str, NDArray[Any]]:
    """The constants of an ONNX graph, which leave it, and of the graphs in it."""
    found = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    del graph.initializer[:]
    for node in graph.node:
        for attribute in node.attribute:
            found |= tensors(attribute.g) if attribute.HasField("g") else {}
    return found


if __name__ == "__main__":
    sys.exit(main())
