"""A build's circuit in an FPGA: what it takes, its clock, and how long a step is."""

from __future__ import annotations

from tclif_deploy.backends.rtl.synthesis import RESOURCES, Synthesis
from tclif_deploy.report.content import Bar, Bars, Block, Note, Table
from tclif_deploy.text import number, percent


def synthesis_blocks(s: Synthesis) -> tuple[Block, ...]:
    """Resources, clock, clocks of a step, and what they rest on."""
    bars = tuple(
        Bar(
            RESOURCES[name].replace("_", " "),
            used / s.available[name],
            f"{used:,} of {s.available[name]:,} ({percent(used / s.available[name], 1)})",
        )
        for name, used in s.used.items()
    )
    reached = "" if s.reached else f", below the {s.asked_mhz:g} MHz that were asked for"
    clock = Note(f"{s.clock_mhz:.1f} MHz{reached}", "clock", "good" if s.reached else "open")
    tools = ", ".join(f"{name} {version}" for name, version in s.tools.items())
    rests = (
        ("resources and clock", "synthesis", f"{tools}; seed {s.seed}; no board, no power"),
        ("lookup tables", "synthesis", f"nextpnr's TRELLIS_COMB, with carry chains; Yosys' LUT4 are {s.lut4:,}"),
        *([] if s.clocks is None else [("clocks", "simulation", f"Verilator, {s.clocks.samples} samples")]),
    )
    columns = ("figure", "evidence", "from")
    rest = Table("What these figures rest on", columns, rests, left=columns)
    pipelines = f" and {s.pipelines} pipelines" if s.pipelines > 1 else ""
    title = f"The circuit in an FPGA ({s.device}, {s.package}, at most {s.lanes} lanes{pipelines} a layer)"
    return (Bars(title, bars), clock, *_steps(s), rest)


def _steps(s: Synthesis) -> tuple[Block, ...]:
    """How long a step is, all of it and by layer."""
    if s.clocks is None or s.us_per_step is None or s.us_per_inference is None:
        return (Note("No data were given, so no step's clocks were counted (--data FILE)."),)
    mean, longest = s.us_per_step
    rows = [
        ("a step", number(s.clocks.mean), f"{s.clocks.longest:,}", number(mean), number(longest)),
        *((name, number(own), f"{most:,}", number(own / s.clock_mhz), number(most / s.clock_mhz))
          for name, (own, most) in s.clocks.layers.items()),
    ]  # fmt: skip
    columns = ("layer", "clocks, mean", "longest", "µs, mean", "µs, longest")
    inference = Note(
        f"{number(s.us_per_inference)} µs a sample, {number(1e6 / s.us_per_inference)} samples a second", "inference"
    )
    return (Table("Clocks of a step; layers work side by side", columns, tuple(rows), left=("layer",)), inference)
