"""Targets against the simulators that others made of their chips, and each of a target's rules changed."""

from __future__ import annotations

import re

import pytest

from tclif_deploy import TclifError, load_target
from tclif_deploy.oracles import ORACLES
from tclif_deploy.oracles.compare import ROADS, OracleCheck, compare, oracles_of
from tclif_deploy.target import known_targets
from tclif_deploy.workflows.verify_target import verify_target
from tests.helpers.requirements import needs_oracle

PROVEN = [(name, each.oracle) for name in known_targets() for each in (load_target(name).proof.compared or ())]
CHANGED = {
    "xylo2": [
        {"rounding": "floor"}, {"rounding": "toward_zero"}, {"rounding": "nearest"}, {"rounding_u": "floor"},
        {"rounding_v": "floor"}, {"least_step": False}, {"shift_decays": False}, {"input_first": False},
        {"each_addend": False}, {"most_spikes": 1}, {"most_spikes": 30}, {"most_spikes": 32},
        {"overflow_u": "saturate"}, {"overflow_u": "wrap"}, {"overflow_v": "saturate"}, {"overflow_v": "wrap"},
        {"state_bits": 15, "threshold_bits": 15, "reset_bits": 15, "bias_bits": 15}, {"state_bits": 17},
        {"input_bits": 6}, {"weight_bits": 9}, {"reset_kinds": ["hard"], "most_spikes": 1},
        {"state_bits": 17, "threshold_bits": 17, "reset_bits": 17}, {"state_bits": 17, "bias_bits": 17},
    ],
    "loihi1": [
        {"rounding": "floor"}, {"rounding": "nearest"}, {"rounding": "ceiling"}, {"rounding_u": "floor"},
        {"rounding_v": "floor"}, {"input_first": True}, {"each_addend": True}, {"overflow_u": "saturate"},
        {"overflow_u": "saturate_full"}, {"overflow_v": "wrap"}, {"overflow_v": "saturate_full"}, {"comparator": ">="},
        {"threshold_step": 32}, {"bias_exponent": 9}, {"leaky_u": False},
        {"coefficient_bits": 11},
        {"state_bits": 23, "threshold_bits": 17, "reset_bits": 17}, {"state_bits": 25}, {"reset_kinds": ["soft"]},
        {"weight_bits": 9}, {"bias_bits": 14},
    ],
    "loihi2": [
        {"rounding": "floor"}, {"rounding": "nearest"}, {"rounding_u": "ceiling"}, {"rounding_v": "ceiling"},
        {"input_first": True}, {"overflow_v": "wrap"}, {"overflow_v": "saturate_full"},
        {"coefficient_bits": 11}, {"state_bits": 25}, {"reset_kinds": ["soft"]},
    ],
    "speck2": [
        {"most_spikes": 1}, {"most_spikes": 20}, {"overflow_v": "saturate"}, {"overflow_v": "wrap"},
        {"state_bits": 15, "threshold_bits": 15, "reset_bits": 15}, {"state_bits": 17}, {"weight_bits": 9},
        {"bias_bits": 9}, {"state_bits": 17, "threshold_bits": 17, "reset_bits": 17},
        {"reset_kinds": ["hard"], "most_spikes": 1},
    ],
}  # fmt: skip
"""Rules of a target's file that make another machine of it."""


def changed(folder, target: str, rules: dict) -> OracleCheck:
    """The first simulator of a target whose file states other rules, over twenty networks."""
    lines = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in rules.items()
    ]
    path = folder / "changed.toml"
    path.write_text("\n".join([f'inherits = "{target}"', *lines]))
    return compare(load_target(path), oracles_of(load_target(path))[0], 20)


def test_every_simulator_has_a_script_a_way_of_drawing_and_a_target():
    assert set(ROADS) == set(ORACLES) == {oracle for _, oracle in PROVEN}
    for oracle in ORACLES.values():
        assert oracle.script.is_file()
        assert all("==" in requirement for requirement in (*oracle.requirements, *oracle.alone))
    for name in known_targets():
        for each in load_target(name).proof.compared:
            assert each.version == ORACLES[each.oracle].version


@pytest.mark.slow
@pytest.mark.parametrize(("name", "oracle"), PROVEN, ids=str)
def test_a_target_computes_what_the_simulator_computes(name, oracle):
    needs_oracle(oracle)
    cases = 4 if oracle == "brian2-loihi" else 20
    check = compare(load_target(name), ORACLES[oracle], cases, seed=7)
    assert check.first is None, str(check.first)
    assert check.refused is None
    assert check.equal
    assert check.neuron_steps > 5000 * cases
    assert check.spikes > check.neuron_steps // 1000
    assert check.overflows > 0 or oracle == "brian2-loihi"
    assert (check.several > 0) == (name in ("xylo2", "speck2"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "rules"), [(name, rules) for name, each in CHANGED.items() for rules in each], ids=str
)
def test_a_target_with_one_rule_changed_is_found_out(tmp_path, target, rules):
    needs_oracle(oracles_of(load_target(target))[0].name)
    check = changed(tmp_path, target, rules)
    assert not check.equal
    assert check.first is not None or check.refused is not None


@pytest.mark.slow
def test_a_changed_target_differs_at_a_place_that_is_named(tmp_path):
    needs_oracle("xylosim")
    check = changed(tmp_path, "xylo2", {"rounding": "floor"})
    assert check.differing > 0
    where = r"network \d+, layer (hidden|out), step \d+, neuron \d+: (u|v|spikes) is -?\d+ here and -?\d+ there"
    assert re.fullmatch(where, str(check.first))


def test_networks_are_the_same_however_many_follow():
    draw, registers = ROADS["xylosim"]
    target = load_target("xylo2")
    import numpy as np

    cases = [draw(target, np.random.default_rng([3, n])) for n in (0, 1, 0)]
    written = [registers(case, target) for case in cases]
    assert written[0] == written[2] != written[1]


def test_a_target_that_names_no_simulator_says_so():
    with pytest.raises(TclifError, match="target ideal: its file names no simulator of others"):
        oracles_of(load_target("ideal"))


def test_files_that_inherit_each_other_are_refused(tmp_path):
    for name, other in (("one", "two"), ("two", "one"), ("self", "self")):
        (tmp_path / f"{name}.toml").write_text(f'inherits = "{other}.toml"\n')
    for name in ("one", "self"):
        with pytest.raises(TclifError, match="inherits itself"):
            verify_target(tmp_path / f"{name}.toml")
