"""What a target's file says of its proof, and the line of a verdict where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tclif_deploy import (
    CompileOptions,
    Dataset,
    QuantizeSettings,
    TclifError,
    compile,
    load_target,
    mapping,
    neurons,
    quantize,
)
from tclif_deploy.cli.main import run
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.oracles import ORACLES
from tclif_deploy.oracles.reached import not_reached
from tclif_deploy.target import known_targets, shipped_origin
from tests.helpers.requirements import needs_oracle

COMPARED = "[[proof.compared]]\nversion = '1'\ncovers = 'x'"
DATA = Dataset((np.random.default_rng(1).random((8, 30, 4)) < 0.3).astype(np.int8), np.arange(8) % 3)
UNBIASED = QuantizeSettings(passes=("scales", "compensate"))
"""no biases of u, which Loihi's registers do not have"""


def cuba(reset: str) -> Network:
    rng = np.random.default_rng(2)

    def layer(name: str, source: str, size: int, sources: int) -> Layer:
        neuron = neurons.cuba_lif(size, current_decay=0.25, voltage_decay=0.125, threshold=2.0, reset=reset)
        return Layer(name, neuron, (Connection(source, rng.normal(0.2, 0.6, (size, sources)), int(source != "input")),))

    return Network(4, (layer("a", "input", 8, 4), layer("b", "a", 3, 8)))


@pytest.mark.parametrize("name", known_targets())
def test_each_shipped_target_says_what_proves_it_or_that_nothing_does(capsys, name):
    proof = load_target(name).proof
    assert proof is not None
    assert proof.not_covered
    assert bool(proof.compared) == (name in ("xylo2", "loihi1", "loihi2", "speck2"))
    for each in proof.compared:
        assert each.neuron_steps >= (1_000_000 if each.oracle == "brian2-loihi" else 10_000_000)
    assert run(["targets", name]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for each in proof.compared:
        assert f"{each.neuron_steps:,} neuron steps, every spike and state equal: {each.covers}" in shown
    assert all(f"not covered: {text}" in shown for text in proof.not_covered)
    assert ("no simulator of others was compared with it" in shown) == (not proof.compared)
    assert ("does not work in steps" in shown) == (name == "speck2")


@pytest.mark.parametrize(("reset", "target", "said"), [
    ("hard", "loihi1", None),
    ("soft", "loihi2", "no simulator of others has loihi2's cuba neurons with a soft reset: that a chip"),
    ("hard", "spinnaker2", "no simulator of others was compared with spinnaker2"),
    ("hard", "ideal", "no simulator of others was compared with ideal"),
])  # fmt: skip
def test_a_network_is_proven_where_its_neurons_were_compared(reset, target, said):
    found = mapping.unproven(quantize(cuba(reset), target, DATA, UNBIASED), load_target(target))
    assert found is None if said is None else found.startswith(said)


def test_a_chip_without_steps_is_not_claimed():
    rng = np.random.default_rng(2)
    layer = Layer(
        "a", neurons.integrate_and_fire(3, threshold=1.0), (Connection("input", rng.normal(0.2, 0.6, (3, 4))),)
    )
    found = mapping.unproven(quantize(Network(4, (layer,)), "speck2", DATA), load_target("speck2"))
    assert found == "speck2 does not work in steps: these bits are not claimed to be the chip's"


def test_rules_that_a_file_or_a_flag_changes_are_not_proven_any_more(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('inherits = "xylo2"\nmost_spikes = 7\n')
    for target in (load_target(path), load_target("xylo2").override(rounding="floor")):
        assert target.proof.neuron_steps == 0
        assert [each.oracle for each in target.proof.compared] == ["xylosim"]
    path.write_text('inherits = "xylo2"\nneurons_per_core = 7\n')
    for target in (load_target(path), load_target("xylo2").override(weight_bits=4)):
        assert target.proof.neuron_steps >= 10_000_000
    path.write_text('inherits = "xylo2"\nproof = "unlimited"\n')
    assert load_target(path).proof is None


@pytest.mark.parametrize(("text", "said"), [
    (f"{COMPARED}\nneuron_steps = 1\noracle = 'nosuch'", "proof.compared.0.oracle: expected"),
    (f"{COMPARED}\nneuron_steps = -1\noracle = 'lava'", "neuron_steps"),
    ("[proof]\nneurons = ['lif2']", "proof.neurons.0: expected 'if', 'lif', 'cuba' or 'two_compartment'"),
    ("proof = 3", "proof"),
    ("reset_kinds = ['hard']", "most_spikes: after a hard reset, the only one of reset_kinds, a neuron fires once"),
    ("growing_factors = true", "growing_factors: shift_decays has factors of 1 - 2^-d alone, and none above 1"),
    ("[proof]\nfoo = 1", "proof.foo: unknown key, known: compared, neurons, resets, steps, not_covered"),
    ("[proof]\nneuron = []", "proof.neuron: unknown key, did you mean neurons?"),
    (f"{COMPARED}\nneuron_steps = 1\noracle = 'lava'\nx = 1", "x: unknown key, known: oracle, version, neuron_steps"),
    ("leaky_u = true", "leaky_u: shift_decays has factors of 1 - 2^-d alone"),
    ("neuron_kinds = ['if', 'lif']", "input_first: of a current that decays before it is used, if, lif keep nothing"),
    ("most_spikes = 0", "most_spikes"),
    ("most_spikes = 256", "most_spikes"),
])  # fmt: skip
def test_files_that_say_what_cannot_be_are_refused(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(f'inherits = "xylo2"\n{text}\n')
    with pytest.raises(TclifError) as caught:
        load_target(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_verdict_on_an_unproven_target_says_so_once_in_each_place(tmp_path, capsys):
    line = "no simulator of others was compared with spinnaker2: that a chip computes these bits is not shown"
    for target, times in (("spinnaker2", 1), ("loihi1", 0)):
        folder = tmp_path / target
        options = CompileOptions(backend="none", quantize=UNBIASED)
        build = compile(cuba("hard"), target, data=DATA, output=folder, options=options)
        assert build.report.unproven == (line if times else None)
        assert json.loads((folder / "report.json").read_text())["unproven"] == build.report.unproven
        assert (folder / "report.html").read_text().count(line) == times
        capsys.readouterr()
        run(["show", str(folder)])
        assert " ".join(capsys.readouterr().out.split()).count(line) == times


def test_what_was_not_verified_has_no_verdict_to_doubt(tmp_path, capsys):
    build = compile(cuba("hard"), "ideal", output=tmp_path / "b", options=CompileOptions(backend="none"))
    assert build.report.unproven is not None
    run(["show", str(tmp_path / "b")])
    assert "unproven" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_prints_what_was_compared(capsys):
    needs_oracle("xylosim")
    assert run(["verify-target", "xylo2", "--cases", "3", "--seed", "5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["equal"]
    assert said["oracles"][0]["neuron_steps"] > 10_000
    assert run(["verify-target", "xylo2", "--cases", "3", "--seed", "5", "-q"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{said['oracles'][0]['neuron_steps']:,} neuron steps of 3 random networks" in shown
    assert "xylo2: equal in every bit" in shown


@pytest.mark.slow
def test_the_command_exits_1_where_they_differ(tmp_path, capsys):
    needs_oracle("xylosim")
    path = tmp_path / "mine.toml"
    path.write_text('inherits = "xylo2"\nleast_step = false\n')
    assert run(["verify-target", str(path), "--cases", "3", "-q"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "first difference: network 0, layer" in shown
    assert "mine: is not what they compute" in shown


@pytest.mark.parametrize(("rules", "said"), [
    ("overflow_u = 'wrap'", ["overflow_u"]),
    ("each_addend = true", ["each_addend"]),
    ("most_spikes = 9", ["most_spikes"]),
    ("input_bits = 30", ["input_bits"]),
    ("comparator = '>'\nrounding = 'floor'", ["comparator"]),
    ("rounding = 'floor'", []),
    ("overflow_v = 'wrap'", []),
    ("coefficient_bits = 11", []),
    ("neurons_per_core = 3", []),
])  # fmt: skip
def test_rules_that_no_network_reaches_are_named(tmp_path, rules, said):
    path, between = tmp_path / "mine.toml", tmp_path / "between.toml"
    between.write_text(f'inherits = "loihi2"\n{rules}\n')
    path.write_text('inherits = "between.toml"\nchips = 2\n')
    for of in (path, load_target(path).model_copy(update={"name": "loihi2"})):
        origin = shipped_origin(of)
        assert origin == load_target("loihi2")
        assert not_reached(load_target(path), origin, (ORACLES["lava"],), 6, 3) == tuple(said)
    assert shipped_origin("loihi2") is None
    assert shipped_origin(load_target(path)) is None


@pytest.mark.slow
def test_a_rule_that_no_network_reaches_is_no_part_of_what_is_equal(tmp_path, capsys):
    needs_oracle("lava")
    path = tmp_path / "mine.toml"
    path.write_text('inherits = "loihi2"\noverflow_u = "wrap"\nmost_spikes = 9\n')
    assert run(["verify-target", str(path), "--cases", "3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["equal"]
    assert said["no_difference"] == ["most_spikes", "overflow_u"]
    assert run(["verify-target", str(path), "--cases", "3", "-q"]) == 0
    line = (
        "mine: equal in every bit; but nothing is shown of most_spikes, overflow_u, which made no difference in these"
    )
    assert line in " ".join(capsys.readouterr().out.split())
    path.write_text('inherits = "loihi2"\nneurons_per_core = 9\n')
    assert run(["verify-target", str(path), "--cases", "3", "-q"]) == 0
    assert " ".join(capsys.readouterr().out.split()).endswith("mine: equal in every bit")


@pytest.mark.parametrize(("target", "oracle", "said"), [
    ("xylo2", "lava", "target xylo2: its file does not name lava (proof); it names xylosim"),
    ("loihi2", "xylosim", "target loihi2: its file does not name xylosim (proof); it names lava"),
    ("ideal", "lava", "target ideal: its file names no simulator of others to compare with (proof)"),
    ("xylo2", "nosuch", "oracle 'nosuch' is not known"),
])  # fmt: skip
def test_a_simulator_that_the_target_does_not_name_is_one_line(capsys, target, oracle, said):
    assert run(["verify-target", target, "--oracle", oracle, "--cases", "1"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {said}")


def test_the_page_has_the_figures_of_the_files():
    page = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
    for name in known_targets():
        for each in load_target(name).proof.compared:
            row = next(
                line for line in page.splitlines()
                if line.startswith(f"| `{name}` | ") and each.oracle in line and each.version in line
            )  # fmt: skip
            assert f"| {each.neuron_steps:,}" in row
