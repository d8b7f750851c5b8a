"""Target files: every number checked, every mistake named with file, line and key, and inheritance."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tclif_deploy import TclifError
from tclif_deploy.cli.main import run
from tclif_deploy.mapping.memory import SynapseFormat
from tclif_deploy.target import UNITS, Target, build, known_targets, load_target, targets_folder

ROOT = Path(__file__).parents[2]
SHIPPED = tuple(sorted(path.stem for path in (ROOT / "targets").glob("*.toml")))


def write(folder, text, name="mychip.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problem(path):
    with pytest.raises(TclifError) as caught:
        load_target(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_number_of_a_shipped_target_has_unit_source_and_evidence_and_the_page_names_each():
    assert len(SHIPPED) >= 6
    assert known_targets() == SHIPPED
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    assert [name for name in SHIPPED if f"`{name}`" not in page] == []
    for name in SHIPPED:
        target = load_target(name)
        assert target.name == name
        for key, limit in target.limits().items():
            assert limit.unit == UNITS[key]
            assert len(limit.source) > 5, (name, key)
            assert limit.evidence in ("vendor", "paper", "secondary", "assumed")


def test_what_is_only_assumed_says_so():
    loihi2 = load_target("loihi2").limits()
    assert all(loihi2[key].evidence == "assumed" for key in loihi2 if key.startswith("energy_"))
    assert all("no public figure for Loihi 2" in loihi2[key].source for key in loihi2 if key.startswith("energy_"))
    assert all(limit.evidence == "assumed" for limit in load_target("ideal").limits().values())


def test_loihi1_has_the_limits_that_nengo_loihi_publishes():
    # nengo_loihi/block.py 1.1: MAX_COMPARTMENTS, MAX_IN_AXONS, MAX_OUT_AXONS, MAX_SYNAPSE_BITS
    loihi1 = load_target("loihi1")
    assert (loihi1.neurons_per_core.value, loihi1.axons_in.value, loihi1.axons_out.value) == (1024, 4096, 4096)
    assert loihi1.synaptic_memory.value == 16384 * 64
    assert loihi1.cores_per_chip.value == 128
    # Davies et al. 2018, Table 2
    assert loihi1.energy_synapse.value[0] == 23.6
    assert loihi1.energy_update_active.value[0] == 81
    assert loihi1.energy_update_idle.value[0] == 52
    assert (loihi1.energy_spike.value[0], loihi1.energy_hop_horizontal.value[0]) == (1.7, 3.0)
    assert loihi1.energy_hop_vertical.value[0] == 4.0
    assert "pre-silicon" in loihi1.energy_synapse.source


def test_a_company_chip_is_ten_lines(tmp_path):
    path = write(tmp_path, """
name = "mychip"
description = "four cores, 4-bit weights"
inherits = "loihi2"
backend = "none"
weight_bits = { value = 4, source = "our data sheet 3.1", evidence = "vendor" }
neurons_per_core = 256
cores_per_chip = 4
chips = 1
energy_synapse = 3.5
mesh_bandwidth = "unlimited"
""")  # fmt: skip
    chip, parent = load_target(path), load_target("loihi2")
    assert (chip.name, chip.backend, chip.weight_bits.value, chip.weight_bits.unit) == ("mychip", "none", 4, "bit")
    assert (chip.weight_bits.source, chip.weight_bits.evidence) == ("our data sheet 3.1", "vendor")
    assert (chip.neurons_per_core.value, chip.neurons_per_core.evidence) == (256, "assumed")
    assert "mychip.toml:7" in chip.neurons_per_core.source
    assert chip.energy_synapse.value == (3.5, 3.5)
    assert chip.mesh_bandwidth is None
    assert chip.state_bits == parent.state_bits


def test_the_example_in_the_docs_is_a_target(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
    chip = load_target(write(tmp_path, re.search(r"```toml\n(.*?)```", text, re.S)[1]))
    assert (chip.weight_bits.evidence, chip.chips.evidence) == ("vendor", "assumed")
    assert chip.energy_synapse.value == (2.0, 3.5)


def test_inherits_goes_through_files_beside_each_other(tmp_path):
    write(tmp_path, 'name = "a"\ndescription = ""\ninherits = "loihi2"\nneurons_per_core = 100\n', "a.toml")
    b = write(tmp_path, 'name = "b"\ndescription = ""\ninherits = "a.toml"\nchips = 3\n', "b.toml")
    assert (load_target(b).neurons_per_core.value, load_target(b).chips.value) == (100, 3)


def test_a_circle_of_inherits_is_named(tmp_path):
    a = write(tmp_path, 'name = "a"\ndescription = ""\ninherits = "b.toml"\n', "a.toml")
    write(tmp_path, 'name = "b"\ndescription = ""\ninherits = "a.toml"\n', "b.toml")
    assert "inherits itself (a.toml inherits b.toml inherits a.toml)" in problem(a)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("weight_bits = 99", ":4: weight_bits.value: Input should be less than or equal to 16 (got 99)"),
        ("chips = -1", ":4: chips.value: Input should be greater than or equal to 1 (got -1)"),
        ("neurons_per_core = 1e30", ":4: neurons_per_core.value: Input should be a valid integer (got 1e+30)"),
        ("cores_per_chip = true", ":4: cores_per_chip.value: Input should be a valid integer (got True)"),
        ('state_bits = "24"', ":4: state_bits.value: Input should be a valid integer (got '24')"),
        ("energy_synapse = nan", ":4: energy_synapse.value.0: Input should be a finite number (got nan)"),
        ("energy_synapse = -2.0", ":4: energy_synapse.value.0: Input should be greater than or equal to 0 (got -2.0)"),
        ("energy_synapse = [30, 20]", ":4: energy_synapse: the low figure 30 is above the high one 20"),
        ('rounding = "up"', ":4: rounding.value: expected 'toward_zero', 'floor', 'nearest' or 'ceiling' (got 'up')"),
        ("neurons_per_cor = 5", ":4: neurons_per_cor: unknown key, did you mean neurons_per_core?"),
        ("[chips]\nvalue = 2\nsauce = 'x'", ":6: chips.sauce: unknown key, did you mean source?"),
        ("[chips]\nvalue = 2\nsource = 'x'", ":4: chips.evidence: missing"),
        ("[chips]\nvalue = 2\nunit = 'core'", ":6: chips: unit is 'core', expected 'chip'"),
        ("threshold_bits = 30", ":4: threshold_bits: 30 is more than state_bits (24): the state could never reach it"),
        ("mesh_width = 2", "cores_per_chip: a mesh of 2 x 4 tiles of 4 cores has no room for 128 cores"),
        ('mesh_width = "unlimited"', "mesh_width: missing: a mesh needs mesh_width, mesh_height and cores_per_tile"),
        ("threshold_step = 2", ":4: threshold_step: a threshold of 16,777,214 is beyond the state, 8,388,607"),
        ("bias_exponent = 1", ":4: bias_exponent: a bias of 16,777,214 is beyond the state, 8,388,607"),
        ('comparator = "<"', ":4: comparator.value: expected '>=' or '>' (got '<')"),
        ("synaptic_memory = 9_000_000", ":4: synaptic_memory: 9,000,000 is more than core_memory (1,572,864)"),
        ("neuron_kinds = []", ":4: neuron_kinds: an empty list: no network could run"),
        ('inherits = "loihi3"', "known: "),
        ("weight_bits = ", "not a TOML file (Invalid value (at line 4"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_line_and_key(tmp_path, line, expected):
    inherits = "" if "inherits" in line else 'inherits = "loihi2"\n'
    head = f'name = "mychip"\ndescription = "x"\n{inherits}' if inherits else 'name = "mychip"\ndescription = "x"\n\n'
    path = write(tmp_path, head + line + "\n")
    message = problem(path)
    assert expected in message
    assert str(path) in message or "cores_per_chip" in expected or "mesh_width: missing" in expected


def test_all_mistakes_are_told_at_once(tmp_path):
    message = problem(
        write(tmp_path, 'name = "x"\ndescription = ""\ninherits = "loihi2"\nchips = 0\nweight_bits = 1\n')
    )
    assert ":4: chips.value" in message
    assert ":5: weight_bits.value" in message


def test_a_target_that_states_too_little_is_told_what_is_missing(tmp_path):
    message = problem(write(tmp_path, 'name = "x"\ndescription = ""\n'))
    assert "weight_bits: missing: every target states or inherits it" in message
    assert "and 7 more" in message


@pytest.mark.parametrize("name", ["loihi3", "Loihi2 ", "nonsense"])
def test_an_unknown_name_gets_the_nearest(name):
    with pytest.raises(
        TclifError, match=r"target '.*' is not known; .*known: ecp5-25f, ecp5-45f, ecp5-85f, ideal, loihi1, loihi2"
    ):
        load_target(name)


def test_other_files_are_refused(tmp_path):
    assert "file not found" in problem(tmp_path / "absent.toml")
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "not a TOML file" in problem(path)
    path.write_bytes(b"#" * (2 << 20))
    assert "at most 1,048,576 are read" in problem(path)


def test_override_is_checked_too():
    changed = load_target("loihi2").override(state_bits=20, chips=2)
    assert (changed.state_bits.value, changed.threshold_bits.value, changed.chips.value) == (20, 20, 2)
    assert changed.chips.unit == "chip"
    with pytest.raises(TclifError, match="target loihi2 with weight_bits=99"):
        load_target("loihi2").override(weight_bits=99)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_target_survives_json(name):
    target = load_target(name)
    assert build(json.loads(json.dumps(target.model_dump(mode="json"))), "manifest") == target


@pytest.mark.slow
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=8), x, max_size=3)),
       st.sampled_from(sorted(UNITS)))  # fmt: skip
def test_any_value_in_any_place_is_a_target_or_a_one_line_error(value, key):
    data = load_target("loihi2").model_dump(exclude_none=True)
    data[key] = value
    message = ""
    try:
        assert isinstance(build(data, "x.toml"), Target)
    except TclifError as error:
        message = str(error)
    assert "\n" not in message


def test_the_command_lists_and_shows_targets(capsys):
    assert run(["targets"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in SHIPPED)
    assert run(["targets", "loihi1", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["energy_synapse"]["evidence"] == "paper"
    assert run(["targets", "loihi9"]) == 2


def test_target_files_hold_no_surprises():
    for path in targets_folder().glob("*.toml"):
        assert path.stem == load_target(path).name


def test_narrower_weights_keep_the_width_at_which_a_chip_stores_them():
    ideal, loihi2, circuit = (load_target(name) for name in ("ideal", "loihi2", "ecp5-25f"))
    narrow = ideal.override(weight_bits=2)
    assert narrow.stored_weight_bits == ideal.weight_bits
    assert narrow.override(weight_bits=3).stored_weight_bits == ideal.weight_bits
    assert narrow.override(weight_bits=8).stored_weight_bits is None
    assert ideal.override(weight_bits=12).stored_weight_bits is None
    assert ideal.override(weight_bits=2, mixed_weight_bits=True).stored_weight_bits is None
    for target in (loihi2, circuit):
        assert target.override(weight_bits=2).stored_weight_bits is None
    with pytest.raises(TclifError, match="weight_bits"):
        ideal.override(stored_weight_bits=4)


def test_weights_narrower_than_they_are_stored_take_as_much_memory():
    target = load_target("loihi2").override(mixed_weight_bits=False)
    wide, narrow = (SynapseFormat.of(t, 1, 2) for t in (target, target.override(weight_bits=2)))
    assert wide == narrow
    assert wide.weight_bits == 8


@pytest.mark.parametrize(
    ("inherits", "line", "key"),
    [
        ("loihi1", "shift_decays = true", "leaky_u"),
        ("loihi1", "state_bits = 16", "threshold_bits"),
        ("loihi1", "reset_bits = 32", "reset_bits"),
        ("loihi1", "threshold_bits = 24", "threshold_step"),
        ("loihi1", "bias_bits = 23", "bias_exponent"),
        ("loihi1", "mesh_width = 1", "cores_per_chip"),
        ("loihi1", 'cores_per_chip = "unlimited"', "chips"),
        ("loihi1", "most_spikes = 3", "most_spikes"),
        ("xylo2", 'reset_kinds = ["hard"]', "most_spikes"),
        ("xylo2", 'neuron_kinds = ["lif"]', "input_first"),
        ("xylo2", "growing_factors = true", "growing_factors"),
        ("loihi2", "synaptic_memory = 7", "weight_bits"),
        ("loihi2", "core_memory = 999", "synaptic_memory"),
    ],
)
def test_a_contradiction_stands_at_the_line_of_the_file_that_made_it(tmp_path, inherits, line, key):
    """Not at that of the shipped file, of which nobody changed a word; through files between, too."""
    path = write(tmp_path, f'description = ""\ninherits = "{inherits}"\n\n{line}\n')
    lines = [part for part in problem(path).split("; ") if f": {key}: " in part]
    assert lines
    assert all(part.startswith(f"{path}:4: {key}: ") for part in lines)
