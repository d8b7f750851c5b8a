"""``python -m tests.fuzz.run --inputs N --seed S``: damaged files without end; findings are printed as they come."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.cases import attempt, drawn, make


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--first", type=int, default=0, help="number of the first input: a finding names it")
    parser.add_argument("--keep", type=Path, help="write each damaged file of a finding into this folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tclif-fuzz-") as scratch:
        folder = Path(scratch, "inputs")
        folder.mkdir()
        make(folder)
        found, started, slow = Counter[str](), time.monotonic(), Counter[str]()
        for number in range(given.first, given.first + given.inputs):
            begun = time.monotonic()
            finding = attempt(folder, given.seed, number)
            name, command, _, content = drawn(folder, given.seed, number)
            slow[f"{command[0]} {name}"] += round(1000 * (time.monotonic() - begun))
            if finding is not None:
                found[finding.file] += 1
                print(finding, flush=True)
                if given.keep and content is not None:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / f"{given.seed}-{number}-{Path(name).name}").write_bytes(content)
        seconds = time.monotonic() - started
    print(f"seed {given.seed}: {given.inputs} inputs in {seconds:.0f} s, {found.total()} findings {dict(found)}")
    print("most milliseconds:", slow.most_common(5))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
