"""Write a network as SystemVerilog: the library's modules, a generated one that connects them, and memories."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tclif_deploy.backends import check_arithmetic, check_readout
from tclif_deploy.backends.rtl.fit import fitting_lanes
from tclif_deploy.backends.rtl.layout import (
    Layout,
    bits_of,
    layout,
    pack,
    parameter_words,
    start_events,
    weight_words,
)
from tclif_deploy.backends.rtl.network import memory_file, network_lines
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.outputs import write_files
from tclif_deploy.target import Target

LIBRARY = Path(__file__).parent / "library"
MODULES = tuple(f"tclif_{name}.sv" for name in (
    "delay", "rom", "ram", "round", "product", "overflow", "neuron", "list", "accumulator", "layer", "control",
    "readout", "observer", "report",
))  # fmt: skip
"""the library, in an order in which every module follows those that it contains"""
PIPELINES = "tclif_pipelines.sv"
"""of the library too, where a layer has several"""
NETWORK, DESCRIPTION, FILES, BENCH = "tclif_network.sv", "network.json", "files.f", "bench.cpp"
UART, BOARD, PINS = "tclif_uart.sv", "board.f", "ulx3s.lpf"
"""the network on a serial line, all its sources, and the pins of a public board"""
FORMAT = 1
"""of `DESCRIPTION`"""


def emit(
    fixed: FixedNetwork, target: Target | None, folder: Path, *, lanes: int | None = None, pipelines: int | None = None
) -> None:
    """Write ``fixed`` as a circuit into ``folder`` (made where missing); ``files.f`` lists its sources in order.

    ``lanes`` is how many neurons of a layer are added up at once (default: as many as fit ``target``,
    where it is an FPGA, up to `layout.LANES`), ``pipelines`` how many of them are updated in a clock (1, 2, 4 or 8, of
    which lanes are a multiple; default 1). Raises `TclifError`, which
    names what it is, for what the circuit does not compute; then nothing is written.
    """
    check_arithmetic("rtl", fixed)
    check_readout("rtl", fixed)
    pipelines = 1 if pipelines is None else pipelines
    if lanes is None and target is not None:
        lanes = fitting_lanes(fixed, target, pipelines)
    plan = layout(fixed, lanes, pipelines)
    memories = dict(_memories(fixed, plan))
    several = any(shape.pipelines > 1 for shape in plan.layers)
    modules = (*MODULES, PIPELINES) if several else MODULES
    files = {name: (LIBRARY / name).read_text("ascii") for name in (*modules, UART, PINS, BENCH)}
    files[NETWORK] = "\n".join(network_lines(fixed, plan)) + "\n"
    files[FILES] = "".join(f"{name}\n" for name in (*modules, NETWORK))
    files[BOARD] = files[FILES] + f"{UART}\n"
    description = _description(fixed, plan, {name: digest(text.encode()) for name, text in (files | memories).items()})
    files[DESCRIPTION] = json.dumps(description, indent=2) + "\n"
    write_files(folder, {name: text.encode("ascii") for name, text in (files | memories).items()})


def digest(data: bytes) -> str:
    """SHA-256, by which a damaged file is told."""
    return hashlib.sha256(data).hexdigest()


def _description(fixed: FixedNetwork, plan: Layout, digests: dict[str, str]) -> dict[str, Any]:
    """``network.json``: what runs and places the circuit need to know."""
    return {
        "format": FORMAT,
        "input": {"size": fixed.input.size, "lsb": fixed.input.lsb, "bits": fixed.input.bits},
        "layers": [
            {"name": shape.name, "size": shape.neurons, "spiking": shape.spiking, "lanes": shape.lanes}
            | ({"pipelines": shape.pipelines} if shape.pipelines > 1 else {})
            for shape in plan.layers
        ],
        "period": plan.period,
        "weight_bits": max(shape.weight_bits for shape in plan.layers),
        "memory_bits": dict(_memory_bits(fixed, plan)),
        "sha256": digests,
    }


def _memory_bits(fixed: FixedNetwork, plan: Layout) -> Iterator[tuple[str, int]]:
    """Bits of every memory, of states and lists too."""
    m = fixed.arithmetic
    for n, shape in enumerate(plan.layers):
        words = sum(part.groups * part.lanes for part in shape.parts) * shape.rows
        yield f"layer{n}_weights", words * shape.weight_bits
        yield f"layer{n}_parameters", shape.neurons * sum(field.bits for field in shape.fields.values())
        yield f"layer{n}_states", shape.neurons * (m.bits_u + m.bits_v)
        for k, item in enumerate(shape.lists):
            width = item.position_bits + (shape.value_bits if item.source < 0 else 0)
            yield f"layer{n}_list{k}", (item.frames << item.position_bits) * width
            if item.starts:
                yield f"layer{n}_start{k}", item.starts * item.position_bits


def _memories(fixed: FixedNetwork, plan: Layout) -> Iterator[tuple[str, str]]:
    """Every memory file, hexadecimal, a word a line."""
    for n, (layer, shape) in enumerate(zip(fixed.layers, plan.layers, strict=True)):
        for part in shape.parts:
            weights = weight_words(layer, plan, shape, part)
            yield memory_file(n, shape, part, "weights"), _hex(weights, part.lanes * shape.weight_bits)
            parameters = parameter_words(layer, shape, part, fixed.arithmetic)
            yield memory_file(n, shape, part, "parameters"), _hex(parameters, shape.word_bits)
        for k, item in enumerate(shape.lists):
            if item.starts:
                starts = start_events(fixed, item.source, item.pipeline, plan.layers[item.source].pipelines)
                yield f"layer{n}_start{k}.hex", _hex(starts, item.position_bits)
    multiplier = fixed.readout_multiplier
    bits = bits_of(multiplier)
    yield "multipliers.hex", _hex(pack(multiplier[:, None], [bits]), bits)


def _hex(words: list[int], bits: int) -> str:
    """A memory file; a memory has at least two words."""
    digits = -(-bits // 4)
    return "".join(f"{word:0{digits}x}\n" for word in [*words, *[0] * (2 - len(words))])
