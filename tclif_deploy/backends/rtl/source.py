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
    FIELDS,
    OVERFLOWS,
    ROUNDINGS,
    STEP_BITS,
    LayerShape,
    Layout,
    bits_of,
    clog2,
    layout,
    pack,
    parameter_words,
    start_events,
    weight_words,
)
from tclif_deploy.fixed import COEFFICIENTS, Arithmetic, FixedNetwork
from tclif_deploy.outputs import write_files
from tclif_deploy.target import Target

LIBRARY = Path(__file__).parent / "library"
MODULES = tuple(f"tclif_{name}.sv" for name in (
    "delay", "rom", "ram", "round", "product", "overflow", "neuron", "list", "accumulator", "layer", "control",
    "readout", "observer", "report",
))  # fmt: skip
"""the library, in an order in which every module follows those that it contains"""
NETWORK, DESCRIPTION, FILES, BENCH = "tclif_network.sv", "network.json", "files.f", "bench.cpp"
UART, BOARD, PINS = "tclif_uart.sv", "board.f", "ulx3s.lpf"
"""the network on a serial line, all its sources, and the pins of a public board"""
FORMAT = 1
"""of `DESCRIPTION`"""


def emit(fixed: FixedNetwork, target: Target | None, folder: Path, *, lanes: int | None = None) -> None:
    """Write ``fixed`` as a circuit into ``folder`` (made where missing); ``files.f`` lists its sources in order.

    ``lanes`` is how many neurons of a layer are added up at once (default: as many as fit ``target``,
    where it is an FPGA, up to `layout.LANES`). Raises `TclifError`, which
    names what it is, for what the circuit does not compute; then nothing is written.
    """
    check_arithmetic("rtl", fixed)
    check_readout("rtl", fixed)
    if lanes is None and target is not None:
        lanes = fitting_lanes(fixed, target)
    plan = layout(fixed, lanes)
    memories = dict(_memories(fixed, plan))
    files = {name: (LIBRARY / name).read_text("ascii") for name in (*MODULES, UART, PINS, BENCH)}
    files[NETWORK] = "\n".join(_network(fixed, plan)) + "\n"
    files[FILES] = "".join(f"{name}\n" for name in (*MODULES, NETWORK))
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
        yield f"layer{n}_weights", shape.groups * shape.rows * shape.lanes * shape.weight_bits
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
        yield f"layer{n}_weights.hex", _hex(weight_words(layer, shape), shape.lanes * shape.weight_bits)
        yield f"layer{n}_parameters.hex", _hex(parameter_words(layer, shape, fixed.arithmetic), shape.word_bits)
        for k, item in enumerate(shape.lists):
            if item.starts:
                yield f"layer{n}_start{k}.hex", _hex(start_events(fixed, item.source), item.position_bits)
    multiplier = fixed.readout_multiplier
    bits = bits_of(multiplier)
    yield "multipliers.hex", _hex(pack(multiplier[:, None], [bits]), bits)


def _hex(words: list[int], bits: int) -> str:
    """A memory file; a memory has at least two words."""
    digits = -(-bits // 4)
    return "".join(f"{word:0{digits}x}\n" for word in [*words, *[0] * (2 - len(words))])


def _network(fixed: FixedNetwork, plan: Layout) -> Iterator[str]:
    """Lines of ``tclif_network.sv``."""
    count = len(plan.layers)
    yield from _head(fixed, plan)
    for n, shape in enumerate(plan.layers):
        yield from _layer(fixed, plan, n, shape)
    multiplier_bits = bits_of(fixed.readout_multiplier)
    last = plan.layers[-1]
    yield f"""
    // what is read of the last layer
    logic signed [31:0] value;
    tclif_readout #(.DEPTH({max(last.neurons, 2)}), .NW({last.number_bits}), .VW({fixed.arithmetic.bits_v}), .RW(32), \
.SPIKES({_bit(last.spiking)})) u_readout (
        .clk, .valid(valid{count - 1}), .n(n{count - 1}), .s(s{count - 1}), .v(v{count - 1}),
        .first(first[{count - 1}]), .counts(counts[{count - 1}]), .reads(reads[{count - 1}]),
        .read, .read_n(read_n[{last.number_bits - 1}:0]), .value);

    // what leaves
    tclif_report #(
        .LAYERS({count}), .OUTPUTS({last.neurons}), .MW({multiplier_bits}), .OBSERVE(OBSERVE),
        .SIZES({{{", ".join(f"16'd{shape.neurons}" for shape in reversed(plan.layers))}}}),
        .SPIKING({count}'b{"".join(str(int(shape.spiking)) for shape in reversed(plan.layers))}),
        .MULTIPLIERS("multipliers.hex")
    ) u_report (
        .clk, .rst, .observe, .start, .tick_go, .tick_done, .sample_go, .sample_done, .works, .read, .read_n,
        .spikes, .spike_index, .clocks, .read_u, .read_v, .overflows, .value,
        .out_valid, .out_ready, .out_kind, .out_layer, .out_index, .out_data);
endmodule"""


def _head(fixed: FixedNetwork, plan: Layout) -> Iterator[str]:
    """The module's ports, its signals, and what decides when."""
    count, index = len(plan.layers), clog2(fixed.input.size)
    value = max([shape.value_bits for shape in plan.layers if any(item.source < 0 for item in shape.lists)])
    yield f"""\
// Generated by tclif_deploy: one network, connected from the library's modules. Its numbers lie in the memory files.
//
// Input words: kind 0, an event (which feature, and its value, which is not 0); 1, a step ends; 2, a sample's last step
// ends. length is after how many steps a sample is read, 0: after its last; it stays as it is while a sample runs.
// Words that leave are described in tclif_report.
module tclif_network #(
    parameter bit OBSERVE = 1'b1    // whether spikes, states and counts can leave
) (
    input  logic clk,
    input  logic rst,
    input  logic [31:0] length,
    input  logic [1:0] observe,     // [0] spikes of every layer and clocks, [1] final states and counts of overflows
    input  logic in_valid,
    output logic in_ready,
    input  logic [1:0] in_kind,
    input  logic [15:0] in_index,
    input  logic signed [31:0] in_value,
    output logic out_valid,
    input  logic out_ready,
    output logic [2:0] out_kind,
    output logic [7:0] out_layer,
    output logic [15:0] out_index,
    output logic [31:0] out_data
);
    wire unused = &{{1'b0, counts, reads{_rest("in_index", 16, index)}{_rest("in_value", 32, value)}}};
    logic input_start, input_first, input_event, start, tick_go, tick_done, sample_go, sample_done, read;
    logic [{count - 1}:0] works, first, counts, reads, done;
    logic [15:0] read_n;
    logic [{count * 16 - 1}:0] spikes, spike_index;
    logic [{count * 32 - 1}:0] clocks, read_u, read_v;
    logic [{count * 128 - 1}:0] overflows;
    tclif_control #(.LAYERS({count}), .PERIOD({plan.period}), .STEP({STEP_BITS})) u_control (
        .clk, .rst, .in_valid, .in_ready, .in_kind, .length, .input_start, .input_first, .input_event,
        .start, .works, .first, .counts, .reads, .done(&done), .tick_go, .tick_done, .sample_go, .sample_done);"""
    for n, shape in enumerate(plan.layers):
        yield f"    // layer {n}, {_comment(shape.name)}: its neurons after their step"
        yield f"    logic start{n}, valid{n}, s{n};"
        yield f"    logic [{shape.number_bits - 1}:0] n{n};"
        yield f"    logic signed [{fixed.arithmetic.bits_v - 1}:0] v{n};"
        if n < count - 1:
            yield f"    wire unused_v{n} = &{{1'b0, v{n}}};"


def _rest(name: str, width: int, used: int) -> str:
    """The bits of a port that the network has no use for."""
    return f", {name}[{width - 1}:{used}]" if used < width else ""


def _layer(fixed: FixedNetwork, plan: Layout, n: int, shape: LayerShape) -> Iterator[str]:
    """One layer: its lists of events, what its words of parameters mean, and the layer itself."""
    m, lists, pw, ew = fixed.arithmetic, len(shape.lists), shape.position_bits, shape.value_bits
    yield ""
    sources = ", ".join(f"{_named(plan, item.source)}{f' {item.delay} steps ago' if item.delay else ''}"
                        for item in shape.lists)  # fmt: skip
    yield f"    // layer {n}, {_comment(shape.name)}: {shape.neurons} neurons from {sources}"
    yield f"    assign start{n} = start && works[{n}];"
    yield f"    logic [{lists * (pw + 1) - 1}:0] counts{n};"
    yield f"    logic [{lists * pw - 1}:0] positions{n}, indices{n};"
    yield f"    logic [{lists * ew - 1}:0] values{n};"
    for k, item in enumerate(shape.lists):
        own, source = item.position_bits, item.source
        name = f"{n}_{k}"
        yield f"    logic [{own}:0] count{name};"
        yield f"    logic [{own - 1}:0] index{name};"
        yield f"    assign counts{n}[{k * (pw + 1)} +: {pw + 1}] = {pw + 1}'(count{name});"
        yield f"    assign indices{n}[{k * pw} +: {pw}] = {pw}'(index{name});"
        if own < pw:
            yield f"    wire unused_position{name} = &{{1'b0, positions{n}[{k * pw + own} +: {pw - own}]}};"
        graded = source < 0
        start = f', .STARTS({item.starts}), .FILE("layer{n}_start{k}.hex")' if item.starts else ""
        yield (
            f"    tclif_list #(.FRAMES({item.frames}), .DELAY({item.delay}), .PW({own}),"
            f" .VW({ew}), .GRADED({_bit(graded)}), .EXPONENT({item.exponent}){start}) u_list{name} ("
        )
        if graded:
            yield "        .clk, .rst, .source_start(input_start), .source_first(input_first),"
            yield (
                f"        .source_valid(input_event), .source_index(in_index[{own - 1}:0]), "
                f".source_value(in_value[{ew - 1}:0]),"
            )
        else:
            yield f"        .clk, .rst, .source_start(start{source}), .source_first(first[{source}]),"
            yield (
                f"        .source_valid(valid{source} && s{source}), .source_index(n{source}), .source_value({ew}'d0),"
            )
        yield (
            f"        .start(start{n}), .first(first[{n}]), .count(count{name}), "
            f".position(positions{n}[{k * pw} +: {own}]),"
        )
        yield f"        .index(index{name}), .value(values{n}[{k * ew} +: {ew}]));"
    yield f"    logic signed [{m.bits_u - 1}:0] read_u{n};"
    yield f"    logic signed [{m.bits_v - 1}:0] read_v{n};"
    yield from _parameters(m, n, shape)
    base = ", ".join(
        f"{shape.row_bits}'d{sum(item.sources for item in shape.lists[:k])}" for k in reversed(range(lists))
    )
    numbers = {
        "NEURONS": shape.neurons, "LANES": shape.lanes, "GROUPS": shape.groups, "NW": shape.number_bits,
        "LISTS": lists, "PW": pw, "ROWS": shape.rows, "RW": shape.row_bits, "BASE": f"{{{base}}}",
        "MULTIPLY": _bit(shape.multiply), "EW": ew, "WW": shape.weight_bits, "AW": shape.sum_bits,
        "SHIFT": shape.shift, "PARAMETER": shape.word_bits, "UW": m.bits_u, "VW": m.bits_v, "K": m.frac_bits,
        "CW": shape.coefficient_bits, "LW": shape.level_bits, "IW": shape.current_bits, "SW": shape.wide_bits,
        "ROUNDING": ROUNDINGS[m.rounding], "ROUNDING_U": ROUNDINGS[m.rounding_u or m.rounding],
        "ROUNDING_V": ROUNDINGS[m.rounding_v or m.rounding], "OVERFLOW_U": OVERFLOWS[m.overflow_u],
        "OVERFLOW_V": OVERFLOWS[m.overflow_v],
        **{name.upper(): kind for name, kind in shape.kinds.items()},
        "TO_SOMA": _bit(shape.to_soma), "HARD": _bit(shape.hard), "SPIKING": _bit(shape.spiking),
        "OBSERVE": "OBSERVE", "WEIGHTS": f'"layer{n}_weights.hex"', "PARAMETERS": f'"layer{n}_parameters.hex"',
    }  # fmt: skip
    ports = [f".{name}({name}_{n})" for name in FIELDS]
    yield "    tclif_layer #("
    yield from _wrapped([f".{name}({value})" for name, value in numbers.items()])
    yield f"    ) u_layer{n} ("
    yield f"        .clk, .rst, .start(start{n}), .first(first[{n}]), .done(done[{n}]), .counts(counts{n}),"
    yield f"        .positions(positions{n}), .indices(indices{n}), .values(values{n}), .parameters(parameters{n}),"
    yield from _wrapped(ports, ",")
    yield f"        .out_valid(valid{n}), .out_s(s{n}), .out_n(n{n}), .out_v(v{n}),"
    yield f"        .read, .read_n(read_n[{shape.number_bits - 1}:0]), .read_u(read_u{n}), .read_v(read_v{n}),"
    yield f"        .overflows(overflows[{n * 128} +: 128]), .clocks(clocks[{n * 32} +: 32]));"
    yield f"    assign read_u[{n * 32} +: 32] = 32'(read_u{n});"
    yield f"    assign read_v[{n * 32} +: 32] = 32'(read_v{n});"
    yield f"    tclif_observer #(.NW({shape.number_bits}), .OBSERVE(OBSERVE)) u_observer{n} ("
    yield f"        .clk, .start(start{n}), .spike(valid{n} && s{n}), .n(n{n}), .position(read_n),"
    yield f"        .count(spikes[{n * 16} +: 16]), .index(spike_index[{n * 16} +: 16]));"


def _parameters(m: Arithmetic, n: int, shape: LayerShape) -> Iterator[str]:
    """The parameters of a neuron out of its word, or as constants."""
    yield f"    logic [{shape.word_bits - 1}:0] parameters{n};"
    if not any(field.bits for field in shape.fields.values()):
        yield f"    wire unused_parameters{n} = &{{1'b0, parameters{n}}};"
    widths = dict.fromkeys(COEFFICIENTS, shape.coefficient_bits) | {"u0": m.bits_u, "v0": m.bits_v}
    for name in FIELDS:
        field, bits = shape.fields[name], widths.get(name, shape.level_bits)
        if field.bits:
            value = f"{bits}'($signed(parameters{n}[{field.at} +: {field.bits}]))"
        else:
            value = f"{'-' if field.constant < 0 else ''}{bits}'sd{abs(field.constant)}"
        if name == "r_v" and shape.reset_relative:
            value = f"threshold_{n} + {value}"
        yield f"    logic signed [{bits - 1}:0] {name}_{n};"
        yield f"    assign {name}_{n} = {value};"


def _wrapped(items: list[str], end: str = "") -> Iterator[str]:
    """Items of a list, as many a line as fit."""
    line = "       "
    for item in items:
        text = f" {item}{',' if item is not items[-1] else end}"
        if len(line) + len(text) > 116:
            yield line
            line = "       "
        line += text
    yield line


def _bit(value: bool) -> str:
    return f"1'b{int(value)}"


def _named(plan: Layout, source: int) -> str:
    return "the input" if source < 0 else _comment(plan.layers[source].name)


def _comment(name: str) -> str:
    """A name as a comment of one line may hold it; a file that is not ASCII is read by few tools."""
    plain = name.encode("ascii", "backslashreplace").decode().replace("\\", "/")
    return "".join(c if c.isprintable() else "_" for c in plain)
