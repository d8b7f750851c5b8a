"""``python -m tests.fuzz.run_functions --examples N --seed S``: public functions, called as often as wanted."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz import functions
from tests.package.test_wrong_calls import NAMES, NOT_CHECKED, SLOW, World

FEWER = 10
"""a function that takes its time is called so many times less often"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="calls of each function")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    found, started = Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tclif-fuzz-") as scratch:
        for name in ("world", "here"):
            Path(scratch, name).mkdir()
        os.chdir(Path(scratch, "here"))  # what a call is told to write lands there
        world, calls = World(Path(scratch, "world")), 0

        def run(name: str, strategy: Any, times: int, body: Callable[[Any], object]) -> None:
            @seed(options.seed)
            @settings(
                max_examples=max(1, times),
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(strategy)
            def one(drawn: Any) -> None:
                nonlocal calls
                calls += 1
                try:
                    body(drawn)
                except Exception as error:
                    found[name] += 1
                    print(f"{name}: {type(error).__name__}: {error!s:.200}\n    {drawn!r:.500}", flush=True)
                for path in Path().iterdir():
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

            one()

        for name in NAMES:
            function, arguments = world.calls()[name]
            strategy = functions.arguments_of(function, arguments, NOT_CHECKED)
            times = options.examples // FEWER if name in SLOW else options.examples
            run(name, strategy, times, lambda drawn, function=function: functions.tried(function, **drawn))
        called = calls
        run("the whole way", functions.whole_ways(), options.examples, lambda way: functions.whole_way(*way, Path()))
        os.chdir("/")
    seconds = time.monotonic() - started
    print(
        f"seed {options.seed}: {called} calls of {len(NAMES)} functions, {calls - called} networks on their whole way "
        f"in {seconds:.0f} s, {found.total()} findings {dict(found)}"
    )
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
