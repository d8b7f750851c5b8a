"""The C code against the reference: compiled strictly, under sanitizers, and on another machine."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tclif_deploy import Simulator, TclifError, load
from tclif_deploy.backends import c as backend
from tclif_deploy.data import load_data
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.quantization import quantize
from tclif_deploy.simulation import reference
from tests.helpers import readouts
from tests.helpers.random_networks import (
    STARTS,
    assert_alive,
    assert_same,
    drawn_network,
    network_options,
    random_network,
)
from tests.helpers.requirements import needs

MAIN_LOOP = Path(__file__).parents[2] / "docs" / "firmware" / "main_loop.c"
SMALL = {"sizes": (4, 9, 8, 3), "samples": 2, "time": 30}
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef", "-pedantic", "-Werror")
SANITIZED = (*STRICT, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FREESTANDING = ("-std=c99", "-ffreestanding", *STRICT, "-c")
MICROCONTROLLER = ("riscv64-linux-gnu-gcc", "-march=rv32imac", "-mabi=ilp32", "-fno-pic", "-Os", *FREESTANDING)
"""a 32-bit one: objects need no library, so the 64-bit compiler serves"""


def some_lengths(x: Int) -> Int:
    return np.random.default_rng(0).integers(1, x.shape[1] + 1, x.shape[0])


def assert_equals_reference(network: FixedNetwork, x: Int, folder: Path, *compiler: str, emulator=()) -> None:
    backend.emit(network, None, folder)
    lengths = some_lengths(x)
    want = reference.simulate(network, x, lengths=lengths)
    assert_alive(want)
    assert_same(backend.run(folder, x, lengths=lengths, compiler=compiler, emulator=emulator), want)


@pytest.mark.slow
@settings(max_examples=14, deadline=None, suppress_health_check=list(HealthCheck))
@given(network_options(), st.data())
def test_every_option_and_readout_rule_equals_the_reference_under_sanitizers(tmp_path_factory, chosen, data):
    needs("gcc")
    network, x = drawn_network(**chosen)
    network = readouts.drawn_rule(network, x, data)
    assert_equals_reference(network, x, tmp_path_factory.mktemp("c"), "gcc", *SANITIZED)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("rounding", ["toward_zero", "floor", "nearest"])
@pytest.mark.parametrize(("overflow", "reset", "bits"), [("saturate", "hard", 14), ("wrap", "soft", 32)])
def test_overflowing_states_equal_the_reference_under_sanitizers(tmp_path, compiler, rounding, overflow, reset, bits):
    needs(compiler)
    network, x = random_network(
        11, rounding=rounding, overflow_u=overflow, overflow_v=overflow, reset=reset, bits_u=bits, bits_v=bits,
        saturating=True, recurrent=True, signed=True, **SMALL,
    )  # fmt: skip
    assert reference.simulate(network, x).saturations > 0
    assert_equals_reference(network, x, tmp_path, compiler, *SANITIZED)


@pytest.mark.parametrize("options", STARTS.values(), ids=STARTS)
def test_starts_and_a_hard_reset_of_the_dendrite_equal_the_reference(tmp_path, options):
    needs("gcc")
    network, x = random_network(3, recurrent=True, feedback=True, **options, **SMALL)
    assert_equals_reference(network, x, tmp_path, "gcc", *SANITIZED)


def test_starts_just_beyond_the_states_range_have_a_type_that_holds_them(tmp_path):
    needs("gcc")
    network, x = random_network(3, bits_u=8, bits_v=8, **SMALL)
    beyond = np.where(np.arange(network.layers[0].size) % 2, 128, -128)
    network = replace(network, layers=(replace(network.layers[0], u0=beyond, v0=beyond), *network.layers[1:]))
    assert_equals_reference(network, x, tmp_path, "gcc", *SANITIZED)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [1, 3])
def test_delays_skips_feedback_and_a_spiking_output_equal_the_reference(tmp_path, delay):
    needs("gcc")
    network, x = random_network(
        5, recurrent=True, skip=True, feedback=True, delay=delay, forward_delay=2, spiking_output=True, v0=True, q=True,
        **SMALL,
    )  # fmt: skip
    assert reference.simulate(network, x).readout.any()
    assert_equals_reference(network, x, tmp_path, "gcc", *SANITIZED)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("seed", range(6))
def test_convolutions_equal_the_reference_under_sanitizers(tmp_path, compiler, seed):
    needs(compiler)
    network, x = random_network(seed, conv=True, recurrent=seed % 2 == 1, skip=seed % 3 == 0, signed=True, **SMALL)
    assert {c.kind for layer in network.layers for c in layer.connections} == {"dense", "conv"}
    assert_equals_reference(network, x, tmp_path, compiler, *SANITIZED)


def reads_as_the_reference(network: FixedNetwork, x: Int, lengths: Int, folder: Path, *compiler: str, emulator=()):
    backend.emit(network, None, folder)
    want = reference.simulate(network, x, lengths=lengths)
    assert_same(backend.run(folder, x, lengths=lengths, compiler=compiler, emulator=emulator), want)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "spiking"), readouts.RULED)
def test_every_readout_rule_equals_the_reference_under_sanitizers(tmp_path, text, spiking):
    needs("gcc")
    reads_as_the_reference(*readouts.ruled(text, spiking), tmp_path, "gcc", *SANITIZED)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["sum", "max", "first"])
def test_readout_rules_of_wide_states_that_wrap_equal_the_reference_under_sanitizers(tmp_path, text):
    needs("gcc")
    ruled = readouts.ruled(text, True, reset="hard", bits_v=32, overflow_v="wrap", v0=True)
    reads_as_the_reference(*ruled, tmp_path, "gcc", *SANITIZED)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "spiking"), [("sum", False), ("first", True), ("votes:2", True)])
def test_readout_rules_equal_the_reference_on_a_risc_v_machine(tmp_path, text, spiking):
    needs("riscv64-linux-gnu-gcc", "qemu-riscv64")
    compiler = ("riscv64-linux-gnu-gcc", "-static", *STRICT)
    reads_as_the_reference(*readouts.ruled(text, spiking), tmp_path, *compiler, emulator=("qemu-riscv64",))


def test_code_of_other_readout_rules_is_left_out(tmp_path):
    """A rule that does what the usual one does is the same C to the byte; of others only what they need is there."""
    texts = {}
    for text in ("count", "rate", "max", "step", "first"):
        network, _, _ = readouts.ruled(text, True)
        backend.emit(network, None, tmp_path / text)
        names = ("config.h", "tables.h", "network.h", "network.c", "main.c")
        texts[text] = {name: (tmp_path / text / name).read_text() for name in names}
    assert texts["rate"] == texts["count"]
    assert all("TCLIF_RULE" not in text for text in texts["count"].values())
    assert "uint32_t count[" not in texts["max"]["network.h"]
    assert "#ifdef TCLIF_RULE" not in texts["max"]["network.c"]
    assert "tclif_running_t" in texts["max"]["config.h"]
    assert "tclif_running_t" not in texts["step"]["config.h"]
    assert "#define TCLIF_FIRST 1" in texts["first"]["config.h"]
    assert json.loads((tmp_path / "first" / "network.json").read_text())["readout"]["rule"] == "first"
    assert "readout" not in json.loads((tmp_path / "count" / "network.json").read_text())


@pytest.mark.slow
def test_a_sum_of_too_many_steps_is_refused(tmp_path):
    needs("gcc")
    network, x, _ = readouts.ruled("sum", False, bits_v=32)
    out = replace(network.output, multiplier=np.full(network.output.size, 2**31 - 1))
    wide = replace(network, layers=(*network.layers[:-1], out))
    backend.emit(wide, None, tmp_path)
    with pytest.raises(TclifError, match="64 bits"):
        reference.simulate(wide, x)
    with pytest.raises(TclifError, match="64 bits"):
        backend.run(tmp_path, x)


def test_a_convolutions_table_is_as_large_as_its_kernel(tmp_path):
    network, _ = random_network(2, conv=True, **SMALL)
    backend.emit(network, None, tmp_path)
    weights = sum(c.weight.size for layer in network.layers for c in layer.connections)
    assert json.loads((tmp_path / "size.json").read_text())["weight_bytes"] == weights
    assert weights < sum(c.neurons * c.sources for layer in network.layers for c in layer.connections) / 2


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["toward_zero", "floor", "nearest"])
def test_a_risc_v_build_equals_the_reference_in_its_emulator(tmp_path, rounding):
    needs("riscv64-linux-gnu-gcc", "qemu-riscv64")
    network, x = random_network(6, rounding=rounding, recurrent=True, saturating=True, bits_u=20, bits_v=20, **SMALL)
    compiler = ("riscv64-linux-gnu-gcc", "-static", *STRICT)
    assert_equals_reference(network, x, tmp_path, *compiler, emulator=("qemu-riscv64",))


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("level", ["-Os", "-O3"])
@pytest.mark.parametrize("rule", ["count", "sum", "first"])
def test_the_network_needs_no_library(tmp_path, compiler, level, rule):
    needs(compiler, "nm")
    network, _ = random_network(7, recurrent=True, skip=True, spiking_output=True, **SMALL)
    network = readouts.with_rule(network, rule)
    backend.emit(network, None, tmp_path)
    subprocess.run([compiler, level, *FREESTANDING, "network.c"], cwd=tmp_path, check=True)
    unresolved = subprocess.run(["nm", "-u", "network.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert unresolved.stdout == ""
    sources = "".join((tmp_path / name).read_text() for name in ("network.c", "network.h", "config.h", "tables.h"))
    assert re.findall(r"#include <(.*)>", sources) == ["stdint.h", "stdint.h"]
    assert not re.search(r"\b(float|double|malloc)\b", re.sub(r"/\*.*?\*/", "", sources, flags=re.DOTALL))


@pytest.mark.slow
def test_said_sizes_are_the_compilers_on_a_32_bit_microcontroller(tmp_path):
    needs("riscv64-linux-gnu-gcc", "riscv64-linux-gnu-nm", "riscv64-linux-gnu-size")
    sized = {"recurrent": True, "sizes": (5, 33, 17, 3), "samples": 2, "time": 30}
    cases = {
        "plain": random_network(8, **sized)[0],
        "conv": random_network(8, conv=True, **sized)[0],
        "rich": random_network(8, delay=3, skip=True, spiking_output=True, **sized)[0],
        **{text: readouts.ruled(text, True, sizes=(5, 33, 6))[0] for text in ("sum", "max", "votes:2", "first")},
    }
    for name, network in cases.items():
        folder = tmp_path / name
        backend.emit(network, None, folder)
        stated = json.loads((folder / "size.json").read_text())
        probe = folder / "probe.c"
        probe.write_text('#include "network.h"\ntclif_state state;\n')
        subprocess.run([*MICROCONTROLLER, "network.c", "probe.c"], cwd=folder, check=True)
        text = subprocess.run(["riscv64-linux-gnu-nm", "-S", "probe.o"], cwd=folder, check=True, capture_output=True)
        assert int(text.stdout.split()[1], 16) == stated["ram_bytes"]
        text = subprocess.run(
            ["riscv64-linux-gnu-size", "-A", "network.o"], cwd=folder, check=True, capture_output=True
        )
        sections = {row.split()[0].decode(): int(row.split()[1]) for row in text.stdout.splitlines() if b"." in row[:1]}
        tables = sum(size for section, size in sections.items() if section.startswith((".rodata", ".srodata")))
        assert 0 <= tables - stated["weight_bytes"] - stated["parameter_bytes"] <= 64, (
            "more than padding between tables"
        )
        code = sum(size for section, size in sections.items() if section.startswith(".text"))
        assert code < 4096
        assert sum(sections.get(section, 0) for section in (".data", ".sdata", ".bss", ".sbss")) == 0


@pytest.mark.slow
@pytest.mark.parametrize("target", ["loihi2", "ideal"])
def test_the_trained_network_equals_the_reference(tmp_path, target):
    needs("gcc")
    network = quantize(load("fixtures/smnist_ff/checkpoint.pth.tar"), target, "fixtures/smnist_ff/calibration.npz")
    data = load_data("fixtures/smnist_test.npz")[:2]
    x, _ = network.input.encode(data.x, data.scale)
    want = reference.simulate(network, x)
    assert_alive(want)
    backend.emit(network, None, tmp_path)
    assert_same(backend.run(tmp_path, x, compiler=("gcc", *STRICT)), want)


BOARD = r"""
#include <stdio.h>

#include "network.h"

int board_wait(tclif_input_t x[TCLIF_INPUTS])
{
    int32_t awake = 0;
    if (fread(&awake, sizeof awake, 1, stdin) != 1) {
        return 0;
    }
    for (uint32_t j = 0; j < TCLIF_INPUTS; j++) {
        int32_t value = 0;
        (void)!fread(&value, sizeof value, 1, stdin);
        x[j] = (tclif_input_t)value;
    }
    return awake;
}

void board_show(const tclif_state *state)
{
    int64_t row[TCLIF_OUTPUTS + 1] = {tclif_readout(state)};
    for (uint32_t n = 0; n < TCLIF_OUTPUTS; n++) {
        row[n + 1] = tclif_value(state, n);
    }
    fwrite(row, sizeof row, 1, stdout);
}
"""
"""stdin and stdout in the place of a board's converter and its pins"""


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    "chosen", [{}, {"recurrent": True, "skip": True, "delay": 3, "forward_delay": 2, "spiking_output": True}]
)
def test_the_main_loop_of_the_page_on_firmware_says_what_the_reference_says(tmp_path, compiler, chosen):
    needs(compiler)
    network, x = random_network(15, **SMALL, **chosen)
    backend.emit(network, None, tmp_path)
    shutil.copy(MAIN_LOOP, tmp_path)
    (tmp_path / "board.c").write_text(BOARD)
    sources = ("main_loop.c", "network.c", "board.c")
    subprocess.run([compiler, "-std=c99", *SANITIZED, *sources, "-o", "firmware"], cwd=tmp_path, check=True)
    subprocess.run([compiler, *FREESTANDING, "main_loop.c"], cwd=tmp_path, check=True)
    begins = np.where(np.arange(x.shape[1]) == 0, 2, 1)
    stream = np.concatenate([np.column_stack([begins, sample]) for sample in x]).astype(np.int32)
    done = subprocess.run([tmp_path / "firmware"], input=stream.tobytes(), check=True, capture_output=True)
    answers = np.frombuffer(done.stdout, np.int64).reshape(*x.shape[:2], -1)
    session = Simulator(network, batch=len(x))
    for t in range(x.shape[1]):
        want = reference.simulate(network, x[:, : t + 1])
        assert np.array_equal(session.step(x[:, t]).readout, want.readout)
        assert np.array_equal(answers[:, t, 1:], want.readout)
        assert np.array_equal(answers[:, t, 0], want.classes)
    assert want.readout.any()


def test_the_page_on_firmware_shows_the_main_loop_that_is_compiled():
    page = (MAIN_LOOP.parents[1] / "firmware.md").read_text(encoding="utf-8")
    assert MAIN_LOOP.read_text(encoding="ascii") in page


def test_types_are_the_narrowest_that_suffice(tmp_path):
    small, _ = random_network(9, bits_u=12, bits_v=16, frac_bits=4, weight_bits=2, graded=False, **SMALL)
    large, _ = random_network(9, bits_u=24, bits_v=32, frac_bits=12, weight_bits=12, **SMALL)
    backend.emit(small, None, tmp_path / "small")
    backend.emit(large, None, tmp_path / "large")
    types = {}
    for name in ("small", "large"):
        text = (tmp_path / name / "config.h").read_text()
        types[name] = dict(reversed(pair) for pair in re.findall(r"typedef int(\d+)_t tclif_(\w+)_t;", text))
    assert {key: types["small"][key] for key in ("input", "weight", "coefficient", "u", "v", "wide")} == {
        "input": "8", "weight": "8", "coefficient": "8", "u": "16", "v": "16", "wide": "32",
    }  # fmt: skip
    assert {key: types["large"][key] for key in ("weight", "u", "v", "accumulator", "wide")} == {
        "weight": "16", "u": "32", "v": "32", "accumulator": "32", "wide": "64",
    }  # fmt: skip


@pytest.mark.slow
def test_layer_names_that_are_no_identifiers_do_no_harm(tmp_path):
    needs("gcc")
    network, x = random_network(13, **SMALL)
    names = {"layer0": "int", "layer1": "*/ #error ü ??/", "layer2": 'a"b\\'}
    layers = tuple(
        replace(la, name=names[la.name],
                connections=tuple(replace(c, source=names.get(c.source, c.source)) for c in la.connections))
        for la in network.layers
    )  # fmt: skip
    assert_equals_reference(replace(network, layers=layers), x, tmp_path, "gcc", *STRICT)


@pytest.mark.slow
def test_one_changed_weight_in_the_tables_changes_spikes(tmp_path):
    needs("gcc")
    network, x = random_network(14, **SMALL)
    backend.emit(network, None, tmp_path)
    before = backend.run(tmp_path, x)
    tables = (tmp_path / "tables.h").read_text()
    start = tables.index("w0_0[] = {") + len("w0_0[] = {")
    numbers = tables[start : tables.index("}", start)]
    largest = max(re.findall(r"-?\d+", numbers), key=lambda text: abs(int(text)))
    changed = re.sub(rf"(?<![-\d]){re.escape(largest)},", f"{-int(largest)},", numbers, count=1)
    assert changed != numbers
    (tmp_path / "tables.h").write_text(tables.replace(numbers, changed))
    after = backend.run(tmp_path, x)
    assert any((before.spikes[name] != after.spikes[name]).any() for name in before.spikes)


@pytest.mark.slow
def test_more_samples_than_a_batch_are_joined(tmp_path, monkeypatch):
    needs("gcc")
    network, x = random_network(12, sizes=(4, 9, 3), samples=5, time=20)
    monkeypatch.setattr("tclif_deploy.backends.c.program.BATCH", 2)
    backend.emit(network, None, tmp_path)
    calls = []
    result = backend.run(tmp_path, x, progress=lambda *a: calls.append(a))
    assert_same(result, reference.simulate(network, x))
    assert calls == [(2, 5), (4, 5), (5, 5)]


def wide_sum(network: FixedNetwork, shift: int) -> FixedNetwork:
    first = network.layers[0]
    huge = replace(first.connections[0], exponent=shift)
    return replace(network, layers=(replace(first, connections=(huge,)), *network.layers[1:]))


def test_an_accumulator_too_narrow_is_refused_with_the_numbers(tmp_path):
    network, _ = random_network(17, **SMALL)
    with pytest.raises(TclifError, match=r"layer0: its sum over connections can reach \d{10,}, .* 32 bits holds 2147"):
        backend.emit(wide_sum(network, 20), None, tmp_path / "c", accumulator_bits=32)
    backend.emit(wide_sum(network, 10), None, tmp_path / "fits", accumulator_bits=32)
    with pytest.raises(TclifError, match=r"layer0: its sum over connections can reach \d{19,}, .* 64 bits holds 9223"):
        backend.emit(wide_sum(network, 50), None, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_missing_or_failing_compiler_is_one_line(tmp_path, monkeypatch):
    network, x = random_network(3, **SMALL)
    backend.emit(network, None, tmp_path)
    with pytest.raises(TclifError, match="no-such-compiler: cannot be run"):
        backend.run(tmp_path, x, compiler=("no-such-compiler",))
    needs("gcc")
    (tmp_path / "tables.h").write_text("#error broken\n")
    with pytest.raises(TclifError, match=r"gcc failed .*broken") as error:
        backend.run(tmp_path, x, compiler=("gcc",))
    assert "\n" not in str(error.value)
    shutil.rmtree(tmp_path)
    with pytest.raises(TclifError, match="holds no C network"):
        backend.run(tmp_path, x, compiler=("gcc",))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(TclifError, match="no C compiler is installed; install gcc or clang"):
        backend.check_installed()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 5, 4), int), "0 samples"),
        (np.zeros((2, 0, 4), int), "0 steps"),
        (np.zeros((2, 5, 3), int), "has 3 features a step, the network takes 4"),
        (np.zeros((2, 5, 4)), "integers are needed"),
        (np.full((2, 5, 4), 10**6), "payload"),
    ],
)
def test_wrong_input_is_refused_with_the_reason(tmp_path, x, message):
    network, _ = random_network(3, **SMALL)
    backend.emit(network, None, tmp_path)
    with pytest.raises(TclifError, match=message):
        backend.run(tmp_path, x, compiler=("gcc",))
