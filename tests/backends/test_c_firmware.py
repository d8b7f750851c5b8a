"""The C code as firmware: real input encoded, boards that test themselves, AVRs, and a part of a CMake project."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tclif_deploy import load
from tclif_deploy.backends import c as backend
from tclif_deploy.backends.c import self_test
from tclif_deploy.backends.c.layout import choose_types
from tclif_deploy.backends.c.source import PIECE, piece_rows
from tclif_deploy.fixed import FixedNetwork, InputEncoding
from tclif_deploy.quantization import quantize
from tclif_deploy.simulation import reference
from tests.backends.test_c import FREESTANDING, SANITIZED, SMALL, STRICT
from tests.helpers import readouts
from tests.helpers.random_networks import random_network
from tests.helpers.requirements import needs

FIRMWARE = Path(__file__).parents[2] / "docs" / "firmware"
AVR = ("avr-gcc", "-std=gnu99", "-mmcu=atmega2560", "-Os", "-Wall", "-Wextra", "-Wshadow", "-Wundef", "-Werror")
EQUAL = "every bit as the reference"
SAYS = """
#include <stdio.h>
#include "self_test.h"
int main(void)
{
    static tclif_state state;
    printf("%u\\n", (unsigned)tclif_self_test(&state));
    return 0;
}
"""
NETWORKS = {
    "plain": lambda: random_network(3, recurrent=True, **SMALL)[0],
    "rich": lambda: random_network(5, skip=True, feedback=True, delay=3, forward_delay=2, spiking_output=True, **SMALL)[
        0
    ],
    "conv": lambda: random_network(2, conv=True, signed=True, **SMALL)[0],
    "sum": lambda: readouts.ruled("sum", False)[0],
    "first": lambda: readouts.ruled("first", True)[0],
    "votes": lambda: readouts.ruled("votes:2", True)[0],
}


def self_tested(folder: Path, *compiler: str, emulator: tuple[str, ...] = ()) -> int:
    """What the self-test of an emitted network returns."""
    (folder / "says.c").write_text(SAYS)
    sources = ("says.c", "self_test.c", "network.c")
    subprocess.run([*compiler, "-std=c99", *sources, "-o", "says"], cwd=folder, check=True)
    done = subprocess.run([*emulator, folder / "says"], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_machine_that_computes_as_the_reference_passes_its_self_test(tmp_path, name):
    needs("gcc")
    backend.emit(NETWORKS[name](), None, tmp_path)
    assert self_tested(tmp_path, "gcc", *SANITIZED) == 0
    subprocess.run(["gcc", *FREESTANDING, "self_test.c"], cwd=tmp_path, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "rich"])
def test_one_changed_number_fails_the_self_test(tmp_path, name):
    needs("gcc")
    backend.emit(NETWORKS[name](), None, tmp_path)
    tables = (tmp_path / "tables.h").read_text()
    head, numbers = tables.split("w0_0[] = {\n", 1)
    first = re.match(r" *(-?\d+),", numbers)
    changed = f" {int(first[1]) + 1}," + numbers[first.end() :]
    (tmp_path / "tables.h").write_text(f"{head}w0_0[] = {{\n{changed}")
    assert self_tested(tmp_path, "gcc", *STRICT) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "conv", "sum"])
def test_the_self_test_passes_on_a_risc_v_machine(tmp_path, name):
    needs("riscv64-linux-gnu-gcc", "qemu-riscv64")
    backend.emit(NETWORKS[name](), None, tmp_path)
    assert self_tested(tmp_path, "riscv64-linux-gnu-gcc", "-static", *STRICT, emulator=("qemu-riscv64",)) == 0


def test_the_drawn_input_makes_every_layer_fire_where_any_does():
    for name in ("plain", "rich", "conv"):
        network = NETWORKS[name]()
        least, values, result = self_test._driven(network)
        assert all(spikes.any() for spikes in result.spikes.values()), name
        assert all(spikes.mean() < 0.9 for spikes in result.spikes.values()), name
        x = self_test.drawn_input(network, self_test.steps_of(network), least, values)
        assert abs(x).max() <= network.input.limit
        assert len(np.unique(x)) > 10


def test_the_sums_of_a_step_are_those_of_a_plain_loop():
    network = NETWORKS["plain"]()
    least, values, result = self_test._driven(network)
    x = self_test.drawn_input(network, self_test.steps_of(network), least, values)
    want = []
    for t in range(x.shape[1]):
        after = reference.simulate(network, x[:, : t + 1])
        words = []
        for layer in network.layers:
            for n in range(layer.size):
                words += [after.u[layer.name][0, n], after.v[layer.name][0, n]]
        for layer in network.layers:
            if layer.spiking:
                words += after.spikes[layer.name][0, t].tolist()
        total = 0
        for word in [*words, *after.readout[0], after.classes[0]]:
            total = (total * self_test.FACTOR + int(word)) % 2**32
        want.append(total)
    assert self_test._sums(network, result) == want


@pytest.mark.slow
@pytest.mark.parametrize("lsb", [1 / 255, 0.25, 3.0e-4, 17.0])
def test_encode_rounds_and_cuts_as_the_reference_does(tmp_path, lsb):
    needs("gcc")
    network, _ = random_network(3, **SMALL)
    encoding = InputEncoding(network.input.size, lsb, 12)
    backend.emit(FixedNetwork(encoding, network.arithmetic, network.layers), None, tmp_path)
    rng = np.random.default_rng(0)
    halves = (np.arange(-2050, 2051) + 0.5) * lsb
    values = np.concatenate([rng.normal(0, 500 * lsb, 4000), halves, [0.0, -0.0, 1e300, -1e300, np.inf, -np.inf]])
    (tmp_path / "encodes.c").write_text("""
#include <stdio.h>
#include "encode.h"
int main(void)
{
    double value;
    while (fread(&value, sizeof value, 1, stdin) == 1) {
        printf("%ld\\n", (long)tclif_encode(value));
    }
    return 0;
}
""")
    subprocess.run(["gcc", "-std=c99", *SANITIZED, "encodes.c", "-o", "encodes"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "encodes"], input=values.tobytes(), capture_output=True, check=True)
    want, clipped = encoding.encode(values)
    assert np.array_equal(np.array(done.stdout.split(), int), want)
    assert clipped > 4
    nan = subprocess.run([tmp_path / "encodes"], input=np.array(np.nan).tobytes(), capture_output=True, check=True)
    assert nan.stdout == b"0\n"


def on_avr(folder: Path, *flags: str) -> str:
    """What the self-test says on the serial port of a simulated ATmega2560."""
    shutil.copy(FIRMWARE / "avr.c", folder)
    sources = ("avr.c", "self_test.c", "network.c")
    subprocess.run([*AVR, *flags, *sources, "-o", "firmware.elf"], cwd=folder, check=True)
    done = subprocess.run(
        ["simavr", "-m", "atmega2560", "-f", "16000000", "firmware.elf"],
        cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=500,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_an_avr_equals_the_reference(tmp_path, name):
    needs("avr-gcc", "simavr")
    backend.emit(NETWORKS[name](), None, tmp_path)
    assert EQUAL in on_avr(tmp_path)


@pytest.mark.slow
def test_an_avr_holds_weights_beyond_32_and_64_kilobytes_in_pieces(tmp_path):
    """The trained network has 16,384 and 65,536 bytes of weights in two layers; and elsewhere the tables stay whole."""
    needs("avr-gcc", "simavr", "gcc")
    network = quantize(load("fixtures/smnist_ff/checkpoint.pth.tar"), "loihi2", "fixtures/smnist_ff/calibration.npz")
    types = choose_types(network, 64)
    rows = [piece_rows(c, types) for layer in network.layers for c in layer.connections]
    assert rows == [0, 0, 64, 0]
    backend.emit(network, None, tmp_path)
    assert EQUAL in on_avr(tmp_path)
    assert self_tested(tmp_path, "gcc", *STRICT) == 0
    tables = (tmp_path / "tables.h").read_text()
    broken = tables.replace("p2_0[] = {w2_0, w2_0_1", "p2_0[] = {w2_0, w2_0_2")
    assert broken != tables
    (tmp_path / "tables.h").write_text(broken)
    assert "DIFFERENT" in on_avr(tmp_path)


def test_pieces_are_whole_rows_that_an_avr_can_hold():
    for seed, sizes in ((1, (4, 300, 200, 3)), (2, (700, 128, 64, 3)), (3, (4, 9, 8, 3))):
        network, _ = random_network(seed, sizes=sizes, samples=1, time=2)
        types = choose_types(network, 64)
        for layer in network.layers:
            for c in layer.connections:
                row = c.neurons * types.weight // 8
                rows = piece_rows(c, types)
                assert (rows == 0) == (c.sources * row <= PIECE)
                assert rows * row <= PIECE < 2 * rows * row or rows == 0


@pytest.mark.slow
def test_what_an_avr_cannot_hold_is_refused_by_its_size(tmp_path):
    needs("avr-gcc")
    backend.emit(NETWORKS["plain"](), None, tmp_path)
    shutil.copy(FIRMWARE / "avr.c", tmp_path)
    config = (tmp_path / "config.h").read_text()

    def refusal(*flags: str) -> str:
        command = ["avr-gcc", "-mmcu=atmega2560", *flags, "avr.c", "self_test.c", "network.c", "-o", "firmware.elf"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        return done.stderr

    assert "avr-gcc -std=gnu99" in refusal("-std=c99")
    large = re.sub(r"LARGEST_TABLE \d+", "LARGEST_TABLE 32768", config)
    (tmp_path / "config.h").write_text(large)
    assert "exceeds 32,767 bytes" in refusal("-std=gnu99")
    wide = re.sub(r"_NEURONS \d+", "_NEURONS 4000", config)
    (tmp_path / "config.h").write_text(wide)
    assert "do not fit into this AVR's RAM" in refusal("-std=gnu99")


@pytest.mark.slow
def test_the_example_project_of_the_page_builds_with_cmake_and_classifies(tmp_path):
    needs("gcc", "cmake")
    network, x = random_network(15, **SMALL)
    backend.emit(network, None, tmp_path / "c")
    shutil.copytree(FIRMWARE, tmp_path / "firmware")
    configure = ["cmake", "-S", "firmware", "-B", "made", f"-DNETWORK={tmp_path / 'c'}"]
    for command in (configure, ["cmake", "--build", "made"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    text = "\n".join(repr(float(value)) for value in (x[0] * network.input.lsb).ravel())
    done = subprocess.run([tmp_path / "made" / "firmware"], input=text, capture_output=True, text=True, check=True)
    first, *classes = done.stdout.splitlines()
    assert first == f"self-test: {EQUAL}"
    want = [reference.simulate(network, x[:1, : t + 1]).classes[0] for t in range(x.shape[1])]
    assert classes == [f"class {n}" for n in want]
