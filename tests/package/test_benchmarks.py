"""What measures this package measures what it was told to, or says that it cannot."""

import subprocess
import sys

import pytest

from tests.helpers.requirements import needs


@pytest.mark.parametrize("command", [["job.py", "--only", "help", "--rounds", "1"], ["train.py", "--repeats", "1"]])
@pytest.mark.parametrize("there", [False, True])
def test_a_baseline_that_is_no_checkout_is_refused(tmp_path, there, command):
    folder = tmp_path if there else tmp_path / "nowhere"  # else what is installed would be compared with itself
    done = subprocess.run(
        [sys.executable, f"benchmarks/{command[0]}", *command[1:], "--baseline", str(folder)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--baseline {folder}: no tclif_deploy in it; name the root of another checkout" in done.stderr


def test_images_that_are_not_there_are_refused_before_any_job():
    done = subprocess.run(
        [sys.executable, "benchmarks/job.py", "--only", "compile 10,000", "--mnist", "no/file.gz"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "--mnist no/file.gz: no such file" in done.stderr


def test_make_bench_hands_on_the_images_and_the_baseline():
    needs("make")

    def commands(*given):
        done = subprocess.run(
            ["make", "-n", "-o", ".venv/.ready", "bench", *given], capture_output=True, text=True, check=True
        )
        return [line.split("benchmarks/")[1].strip() for line in done.stdout.splitlines() if "benchmarks/" in line]

    assert commands() == ["bench.py", "job.py"]
    assert commands("MNIST=a b.gz", "BASELINE=../old") == [
        "bench.py --mnist 'a b.gz'", "job.py --mnist 'a b.gz' --baseline '../old'",
    ]  # fmt: skip
