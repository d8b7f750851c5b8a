"""Random networks of target files that are narrower than any chip: drawn, or refused in one line."""

from __future__ import annotations

import numpy as np
import pytest

from tclif_deploy import TclifError, load_target
from tclif_deploy.oracles import compare
from tclif_deploy.oracles.compare import ROADS
from tclif_deploy.oracles.draw import draw_loihi, draw_xylo
from tclif_deploy.oracles.registers import NoRegister, loihi_registers
from tclif_deploy.target import largest_held

NO_STEPS = "threshold_step = 'unlimited'\nbias_exponent = 'unlimited'\n"


def narrow(bits: int) -> str:
    return f"state_bits = {bits}\nthreshold_bits = {bits}\nreset_bits = {bits}\nbias_bits = {bits}\n{NO_STEPS}"


def target_of(folder, name: str, rules: str):
    path = folder / "mine.toml"
    path.write_text(f"inherits = '{name}'\n{rules}")
    return load_target(path)


@pytest.mark.parametrize(("name", "rules"), [
    ("loihi1", narrow(16)), ("loihi1", narrow(4)), ("loihi2", narrow(16)), ("loihi2", narrow(8)),
    ("loihi1", "accumulator_bits = 8\n"), ("loihi2", "accumulator_bits = 8\n"), ("loihi2", "threshold_step = 1\n"),
    ("loihi1", "threshold_bits = 4\n"), ("xylo2", narrow(4)), ("xylo2", narrow(8)),
], ids=str)  # fmt: skip
def test_networks_of_narrow_targets_are_drawn(tmp_path, name, rules):
    target = target_of(tmp_path, name, rules)
    draw = draw_xylo if name == "xylo2" else draw_loihi
    for seed in range(8):
        network = draw(target, np.random.default_rng([9, seed])).network
        for layer in network.layers:
            assert layer.shift >= 0
            assert layer.threshold.min() >= 1
            if target.threshold_step is not None or name == "xylo2":
                assert layer.threshold.max() <= largest_held(target, "threshold")
            if target.accumulator_bits is not None:
                sums = sum(np.abs(c.weight).sum(axis=1) for c in layer.connections) << layer.shift
                assert sums.max() < 1 << (target.accumulator_bits.value - 1)


@pytest.mark.parametrize("bits", [11, 24])
def test_factors_of_other_bits_have_no_register(tmp_path, bits):
    target = target_of(tmp_path, "loihi1", f"coefficient_bits = {bits}\n")
    case = draw_loihi(target, np.random.default_rng([9, 1]))
    with pytest.raises(NoRegister, match=f"factors count 1/{1 << bits}, the chip's 1/4096"):
        loihi_registers(case, target)


def test_networks_that_all_overflow_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "TRIES", 3)
    target = target_of(tmp_path, "loihi1", narrow(4))
    with pytest.raises(TclifError) as caught:
        ROADS["brian2-loihi"][0](target, np.random.default_rng([0, 0]))
    assert str(caught.value) == (
        "target mine: a state overflows in each of 3 random networks, and brian2-loihi's have no ends; "
        "state_bits is 4; compare with another simulator (--oracle)"
    )
