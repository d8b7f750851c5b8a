"""A neuron's step of the C backend as bit-vector formulas: what clang makes of `network.c`, instruction by instruction.

A layer of one neuron with one source is compiled with its numbers left open; every loop unrolls, and what is left are
some blocks without a cycle. Each value becomes a formula of what was loaded before anything was stored.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tclif_deploy import backends
from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, InputEncoding
from tclif_deploy.network import INPUT, InputTo, Reset
from tests.proof.formulas import number

PROOF = """#include "network.c"
void proven(tclif_state *state, const tclif_input_t *x) {
    state->frame[0] = 0;
    update_layer(state, 0, x);
}
"""
FLAGS = ("-std=c99", "-O2", "-fno-vectorize", "-fno-slp-vectorize", "-mllvm", "-inline-threshold=100000",
         "-DTCLIF_COUNT_OVERFLOWS=1", "-S", "-emit-llvm", "-o", "-")  # fmt: skip
STATE = ("sum", "overflows", "u", "v", "count", "frame", "spikes")
"""fields of the emitted ``tclif_state`` of such a layer, in order"""
BINARY = {"add": "bvadd", "sub": "bvsub", "mul": "bvmul", "shl": "bvshl", "ashr": "bvashr", "lshr": "bvlshr",
          "and": "bvand", "or": "bvor", "xor": "bvxor"}  # fmt: skip
COMPARED = {"eq": "=", "ne": "distinct", "slt": "bvslt", "sle": "bvsle", "sgt": "bvsgt", "sge": "bvsge",
            "ult": "bvult", "ule": "bvule", "ugt": "bvugt", "uge": "bvuge"}  # fmt: skip
INTRINSIC = {"smax": "bvsge", "smin": "bvsle", "umax": "bvuge", "umin": "bvule"}


def one_neuron(arithmetic: Arithmetic, reset: Reset, input_to: InputTo, shift: int) -> FixedNetwork:
    """A network whose numbers do not matter: the proof leaves them open."""
    one = np.ones(1, np.int64)
    connection = FixedConnection(INPUT, one[None])
    layer = FixedLayer(
        "a", (connection,), shift, one, one, one, one, one, threshold=one, r_u=one, r_v=one, v_reset=one, bias_u=one,
        bias_v=one, v0=0 * one, lsb_u=1.0 * one, lsb_v=1.0 * one, multiplier=one, reset=reset, input_to=input_to,
    )  # fmt: skip
    return FixedNetwork(InputEncoding(1, 1.0, 9), arithmetic, (layer,))


def compiled(
    rounding: str, overflow: str, *, bits: int, frac_bits: int, hard: bool, to_soma: bool, shift: int,
    mutation: tuple[str, str] | None = None,
) -> str:  # fmt: skip
    """LLVM's text of a step; with ``mutation``: text of ``network.c`` that is replaced by other."""
    network = one_neuron(
        Arithmetic(frac_bits, rounding, bits, bits, overflow, overflow),  # type: ignore[arg-type]
        "hard" if hard else "soft", "soma" if to_soma else "dendrite", shift,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        backends.get("c").emit(network, None, folder)
        tables = (folder / "tables.h").read_text("ascii")
        tables = re.sub(r"static const TCLIF_TABLE (\w+) (\w+)\[\] = \{[^}]*\};", r"extern const \1 \2[1];", tables)
        config = (folder / "config.h").read_text("ascii")
        wide = 32 if bits == 8 else 64
        types = {"int": {"coefficient": 8 if bits == 8 else 16, "level": 8 if bits == 8 else 32, "wide": wide},
                 "uint": {"unsigned": wide}}  # fmt: skip
        for kind, widths in types.items():
            for name, width in widths.items():
                config, changed = re.subn(
                    rf"typedef {kind}\d+_t tclif_{name}_t;", f"typedef {kind}{width}_t tclif_{name}_t;", config
                )
                assert changed == 1, name
        source = (folder / "network.c").read_text("ascii")
        if mutation is not None:
            assert mutation[0] in source, f"{mutation} changes nothing"
            source = source.replace(*mutation)
        for name, text in (("tables.h", tables), ("config.h", config), ("network.c", source), ("proof.c", PROOF)):
            (folder / name).write_text(text, "ascii")
        return subprocess.run(
            ["clang", *FLAGS, "proof.c"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout  # fmt: skip


@dataclass
class Step:
    """What the compiled step does, as SMT-LIB."""

    text: str
    lines: list[str] = field(default_factory=list)
    loaded: dict[str, tuple[str, int]] = field(default_factory=dict)
    """place -> what it held before the step, and its bits"""
    stored: dict[str, str] = field(default_factory=dict)
    """place -> what it holds after the step"""
    limited: list[str] = field(default_factory=list)
    """what `ovf` made of u and v charged, and of v and u reset, in the order of the code: each is compared with what it
    was, to count overflows"""
    products: list[str] = field(default_factory=list)
    """in the order of the code, each before it is rounded"""

    def __post_init__(self) -> None:
        self.values: dict[str, str] = {}
        self.places: dict[str, str] = {"%0": "state", "%1": "x"}
        self.edges: dict[str, dict[str, str]] = {}
        body = re.search(r"^define [^\n]*@proven\([^\n]*\{\n(.*?)^\}", self.text, re.DOTALL | re.MULTILINE)
        assert body is not None
        self.block, self.condition = "2", "true"
        for line in body[1].splitlines():
            label = re.match(r"(\d+):", line)
            if label:
                self.block = label[1]
                # Whatever jumps here stands above: there is no loop.
                self.condition = self._named(f"(or false {' '.join(self.edges[self.block].values())})", "Bool")
            elif line.strip():
                self._instruction(line.strip())

    def cut(self, *names: str) -> str:
        """The text in which values of these ``names`` may be anything."""
        lines = self.lines
        for name in names:
            lines = [
                re.sub(rf"^\(define-fun {name} \(\) (.*?\)) .*", rf"(declare-const {name} \1)", line) for line in lines
            ]
        assert sum(line.startswith(tuple(f"(declare-const {name} " for name in names)) for line in lines) == len(names)
        return "\n".join(lines)

    def _named(self, formula: str, sort: str) -> str:
        name = f"t{len(self.lines)}"
        self.lines.append(f"(define-fun {name} () {sort} {formula})")
        return name

    def _value(self, text: str, bits: int) -> str:
        text = text.strip().removeprefix("noundef ")
        if text.startswith("%"):
            return self.values[text]
        return number({"true": 1, "false": 0}.get(text) if text in ("true", "false") else int(text), bits)

    def _place(self, text: str) -> str:
        """A place of memory by name, where a pointer goes: of a state's fields or of a table."""
        if text in self.places:
            return self.places[text]
        inner = re.fullmatch(r"getelementptr inbounds \(.*, [^,]*\* @(\w+), i64 0, i64 0\)", text)
        found = inner[1] if inner else text.removeprefix("@")
        assert found.isidentifier(), text
        return found

    def _instruction(self, line: str) -> None:
        line = re.sub(r", !tbaa.*$|, align \d+", "", line)
        target, _, rest = line.partition(" = ") if line.startswith("%") else ("", "", line)
        rest = rest.removeprefix("tail ")
        word = rest.split()[0]
        bits = int(found[1]) if (found := re.search(r"\bi(\d+)\b", rest)) else 0
        if word == "ret":
            return
        if word == "br":
            self._branch(rest)
        elif word == "store":
            kept = re.fullmatch(r"store i\d+ (\S+), \S+ (.*)", rest)
            place, value = self._place(kept[2]), self._value(kept[1], bits)
            before = self.stored.get(place) or self.load(place, bits)
            self.stored[place] = self._named(f"(ite {self.condition} {value} {before})", f"(_ BitVec {bits})")
        elif word == "getelementptr":
            self._pointer(target, rest)
        elif word == "load":
            place = self._place(re.fullmatch(r"load i\d+, \S+ (.*)", rest)[1])
            self.values[target] = self.stored.get(place) or self.load(place, bits)
        else:
            formula, width = self._formula(word, rest, bits)
            self.values[target] = self._named(formula, f"(_ BitVec {width})")
            if word == "mul":
                self.products.append(self.values[target])

    def load(self, place: str, bits: int) -> str:
        """What a place held before the step."""
        if place not in self.loaded:
            self.lines.append(f"(declare-const |{place}| (_ BitVec {bits}))")
            self.loaded[place] = (f"|{place}|", bits)
        return self.loaded[place][0]

    def _branch(self, rest: str) -> None:
        labels = re.findall(r"label %(\d+)", rest)
        conditions = [self.condition]
        if len(labels) == 2:
            if_so = f"(= {self._value(re.match(r'br i1 ([^,]+),', rest)[1], 1)} #b1)"
            conditions = [f"(and {self.condition} {if_so})", f"(and {self.condition} (not {if_so}))"]
        for label, condition in zip(labels, conditions, strict=True):
            assert int(label) > int(self.block)
            self.edges.setdefault(label, {})[self.block] = self._named(condition, "Bool")

    def _pointer(self, target: str, rest: str) -> None:
        found = re.fullmatch(
            r"getelementptr inbounds %struct\.tclif_state, \S+ %0, i64 0, i32 (\d+)((?:, i64 \d+)*)", rest
        )
        assert found is not None, rest
        index = re.findall(r"i64 (\d+)", found[2])
        self.places[target] = ".".join([STATE[int(found[1])], *index[1:]])

    def _formula(self, word: str, rest: str, bits: int) -> tuple[str, int]:
        """An instruction's value and its bits."""
        if word in BINARY:
            a, b = re.fullmatch(rf"{word} (?:\w+ )*i\d+ (\S+), (\S+)", rest).groups()
            one, two = self._value(a, bits), self._value(b, bits)
            return f"({BINARY[word]} {one} {two})", bits
        if word == "icmp":
            kind, a, b = re.fullmatch(r"icmp (\w+) i\d+ (\S+), (\S+)", rest).groups()
            one, two = self._value(a, bits), self._value(b, bits)
            if kind == "ne":
                self.limited.append(one)
            return f"(ite ({COMPARED[kind]} {one} {two}) #b1 #b0)", 1
        if word == "select":
            chosen, width, a, b = re.fullmatch(r"select i1 (\S+), i(\d+) (\S+), i\d+ (\S+)", rest).groups()
            bits = int(width)
            return f"(ite (= {self._value(chosen, 1)} #b1) {self._value(a, bits)} {self._value(b, bits)})", bits
        if word in ("sext", "zext"):
            a, width = re.fullmatch(rf"{word} i\d+ (\S+) to i(\d+)", rest).groups()
            kind = "sign_extend" if word == "sext" else "zero_extend"
            return f"((_ {kind} {int(width) - bits}) {self._value(a, bits)})", int(width)
        if word == "trunc":
            a, width = re.fullmatch(r"trunc i\d+ (\S+) to i(\d+)", rest).groups()
            return f"((_ extract {int(width) - 1} 0) {self._value(a, bits)})", int(width)
        if word == "phi":
            formula = number(0, bits)
            for a, source in re.findall(r"\[ (\S+), %(\d+) \]", rest):
                formula = f"(ite {self.edges[self.block][source]} {self._value(a, bits)} {formula})"
            return formula, bits
        found = re.fullmatch(r"call i\d+ @llvm\.(\w+)\.i\d+\(i\d+ ([^,]+), i\d+ (.+)\)(?: #\d+)?", rest)
        assert found is not None, rest
        kind, a, b = found[1], self._value(found[2], bits), self._value(found[3], bits)
        return f"(ite ({INTRINSIC[kind]} {a} {b}) {a} {b})", bits
