"""``python -m tests.fuzz.run --inputs N --seed S``: damaged files without end; findings are printed as they come."""

from __future__ import annotations

import argparse
import faulthandler
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz import processes
from tests.fuzz.cases import SECONDS, attempt, drawn
from tests.fuzz.inputs import make

ADDRESSES = 16 << 30
"""bytes that the process may map: beyond, a file has made a command ask for what it should not"""
REPORT_SECONDS = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--first", type=int, default=0, help="number of the first input: a finding names it")
    parser.add_argument("--keep", type=Path, help="write each damaged file of a finding into this folder")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after that time")
    parser.add_argument("--processes", action="store_true", help="each command in its own process, two at once")
    given = parser.parse_args()
    if given.processes:
        return as_processes(given)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    faulthandler.enable()
    with tempfile.TemporaryDirectory(prefix="tclif-fuzz-") as scratch:
        folder = Path(scratch, "inputs")
        folder.mkdir()
        make(folder)
        found, codes, slow = Counter[str](), Counter[int | None](), Counter[str]()
        started = said = time.monotonic()
        growth = run = 0
        for number in range(given.first, given.first + given.inputs):
            begun = time.monotonic()
            if begun - started > given.seconds:
                break
            if begun - said > REPORT_SECONDS:
                said = begun
                print(f"seed {given.seed}: {run} inputs so far, {found.total()} findings", flush=True)
            Path(scratch, "number").write_text(str(number))  # stays there if this one hangs or ends the process
            faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
            case = drawn(folder, given.seed, number)
            wrong, outcome = attempt(folder, case)
            run += 1
            codes[outcome.code] += 1
            growth = max(growth, outcome.growth if run > 100 else 0)  # the first ones import and compile
            slow[f"{case.command[0]} {case.file}"] += round(1000 * (time.monotonic() - begun))
            if wrong is not None:
                found[case.file] += 1
                print(f"{case}: {wrong}\n    {case.again}", flush=True)
                if given.keep and case.content is not None:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / f"{given.seed}-{number}-{Path(case.file).name}").write_bytes(case.content)
        faulthandler.cancel_dump_traceback_later()
        seconds = time.monotonic() - started
    print(f"seed {given.seed}: {run} inputs in {seconds:.0f} s, {found.total()} findings {dict(found)}")
    print(f"exit codes {dict(codes)}, at most {growth >> 20} MB more than before a command")
    print("most milliseconds:", slow.most_common(8))
    return bool(found)


def as_processes(given: argparse.Namespace) -> int:
    """What is asked for, each command in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="tclif-fuzz-") as scratch:
        whole, *folders = [Path(scratch, name) for name in ("whole", "one", "other")]
        whole.mkdir()
        make(whole)
        for folder in folders:
            shutil.copytree(whole, folder)
        numbers, run, found = range(given.first, given.first + given.inputs), 0, 0
        for case, wrong in processes.run(folders, whole, given.seed, numbers, given.seconds):
            run += 1
            if wrong is not None:
                found += 1
                print(f"{case}: {wrong}\n    {case.again} --processes", flush=True)
    print(f"seed {given.seed}: {run} processes, {found} findings")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
