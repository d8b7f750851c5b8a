"""The C backend's step of a neuron, as clang compiles it, computes what docs/arithmetic.md says: for every value that
its types hold, whatever the state and the numbers of the network are.

Proven at 8-bit states with 4 fractional bits in each rounding and overflow that the backend has, for soft and hard
resets, input to either compartment and shifts of either sign; and in four modes at the widths of a chip, 24 and 12.
"""

import itertools

import pytest

from tests.helpers.requirements import needs, needs_package
from tests.proof.c_step import Step, compiled
from tests.proof.formulas import Query, number, ovf, rnd

pytestmark = pytest.mark.slow
ROUNDINGS = ("toward_zero", "floor", "nearest")
OVERFLOWS = ("saturate", "wrap")
ACCUMULATOR = 32
"""bits of the sum over a step's events"""
PROVEN = ["unsat"] * 4
SMALL = {"bits": 8, "frac_bits": 4}
CHIP = {"bits": 24, "frac_bits": 12}


def proven(rounding="floor", overflow="saturate", mutation=None, *, bits, frac_bits, hard=0, to_soma=0, shift=-3):
    """Whether each part of a step is the page's: its products; u charged, of whatever the products are; v charged, of
    whatever u is; what is stored, of whatever u and v are. ``unsat`` where nothing else can be."""
    needs("clang")
    needs_package("bitwuzla")
    step = Step(compiled(
        rounding, overflow, bits=bits, frac_bits=frac_bits, hard=bool(hard), to_soma=bool(to_soma), shift=shift,
        mutation=mutation,
    ))  # fmt: skip
    wide = 32 if bits == 8 else 64
    for level in ("threshold0", "r_u0", "r_v0", "v_reset0", "bias_u0", "bias_v0"):
        step.load(level, 8)  # a number that the code does not read, and should

    def held(place):
        """A number before the step, as wide as the formulas."""
        name, width = step.loaded[place]
        return f"((_ sign_extend {wide - width}) {name})"

    def solved(q, *claims):
        """The answer to a question whose assumptions can be met."""
        assert q.solve() == "sat"
        return q.solve(*claims)

    code_u, code_v = step.limited[:2]
    operands = {"w0": ("w0_0", held("x")), "a_u": ("a_u0", held("u")), "b_u": ("b_u0", held("v")),
                "a_v": ("a_v0", held("v")), "b_v": ("b_v0", code_u), "q": ("q0", code_u)}  # fmt: skip
    if hard:
        del operands["q"]
    cut_products = dict(zip(operands, step.products, strict=True))
    products = {**cut_products, "w0": f"((_ sign_extend {wide - ACCUMULATOR}) {cut_products['w0']})"}
    held_bits = step.loaded["u"][1]
    # A product has as many bits as its factors together: it cannot overflow, and is far from the ends of its type.
    widths = {"w0": 8 + 16, **{name: step.loaded[f"{name}0"][1] + held_bits for name in operands if name != "w0"}}
    assert widths["w0"] < ACCUMULATOR
    assert max(widths.values()) < wide - 4
    modest = [
        f"(and (bvslt {value} {number(1 << widths[name], wide)}) (bvsgt {value} {number(-1 << widths[name], wide)}))"
        for name, value in products.items()
    ]

    def product(factor):
        return rnd(products[factor], frac_bits, rounding, wide)

    def added(*terms):
        total = terms[0]
        for term in terms[1:]:
            total = f"(bvadd {total} {term})"
        return total

    def counted(n, changed):
        """Whether an overflow is counted where there is one."""
        place = f"overflows.{n}"
        if place not in step.stored:
            return f"(not {changed})"
        return f"(= {step.stored[place]} (bvadd |{place}| (ite {changed} {number(1, 64)} {number(0, 64)})))"

    def question(*cut):
        """About the step, whose limited values ``cut`` may be anything that fits."""
        q = Query(step.cut(*cut, *cut_products.values()), "", 0, -1)
        for formula in modest:
            q.assume(formula)
        for name in cut:
            q.assume(f"(= {ovf(name, bits, overflow, wide)} {name})")
        for name, (factor, state) in operands.items():  # the code multiplies by no factor of 1
            if name != "w0":
                one = f"(= {held(factor)} {number(1 << frac_bits, wide)})"
                q.assume(f"(=> {one} (= {products[name]} (bvshl {state} {number(frac_bits, wide)})))")
        return q

    nothing = number(0, wide)
    answers = []

    q = Query("\n".join(step.lines), "", 0, -1)
    answers.append(solved(q, *(
        f"(= {products[name]} (bvmul {held(factor)} {state}))" for name, (factor, state) in operands.items()
    )))  # fmt: skip

    q = question()
    # A silent source is passed over; a weight times 0 is 0 all the same.
    q.assume(f"(=> (= {held('x')} {nothing}) (= {products['w0']} {nothing}))")
    events = products["w0"]
    scaled = f"(bvshl {events} {number(shift, wide)})" if shift >= 0 else rnd(events, -shift, rounding, wide)
    to_u, to_v = (nothing, scaled) if to_soma else (scaled, nothing)
    total = q.let("total", added(product("a_u"), product("b_u"), to_u, held("bias_u0")), wide)
    want = q.let("want", ovf(total, bits, overflow, wide), wide)
    answers.append(solved(q, f"(= {code_u} {want})", counted(0, f"(distinct {want} {total})")))

    q = question(code_u)
    if to_soma:
        q.assume(f"(=> (= {held('x')} {nothing}) (= {products['w0']} {nothing}))")
    total = q.let("total", added(product("a_v"), product("b_v"), to_v, held("bias_v0")), wide)
    want = q.let("want", ovf(total, bits, overflow, wide), wide)
    answers.append(solved(q, f"(= {code_v} {want})", counted(1, f"(distinct {want} {total})")))

    q = question(code_u, code_v)
    fires = f"(bvsge {code_v} {held('threshold0')})"
    less_u = q.let("less_u", f"(bvsub {code_u} {held('r_u0')})", wide)
    after_u, lost_v = q.let("after_u", ovf(less_u, bits, overflow, wide), wide), "false"
    after_v = held("v_reset0")
    if not hard:
        less_v = q.let("less_v", f"(bvsub {code_v} (bvadd {held('r_v0')} {product('q')}))", wide)
        after_v = q.let("after_v", ovf(less_v, bits, overflow, wide), wide)
        lost_v = f"(and {fires} (distinct {after_v} {less_v}))"
    left = {"u": f"(ite {fires} {after_u} {code_u})", "v": f"(ite {fires} {after_v} {code_v})"}
    claims = [f"(= {step.stored[name]} ((_ extract {held_bits - 1} 0) {value}))" for name, value in left.items()]
    claims.append(f"(= {step.stored['spikes']} (ite {fires} #x01 #x00))")
    claims += [counted(2, f"(and {fires} (distinct {after_u} {less_u}))"), counted(3, lost_v)]
    answers.append(solved(q, *claims))

    places = {"sum", "frame", "u", "v", "spikes", *(f"overflows.{n}" for n in range(4))}
    assert set(step.stored) <= places
    return answers


@pytest.mark.parametrize(("rounding", "overflow"), itertools.product(ROUNDINGS, OVERFLOWS))
def test_a_step_in_each_rounding_and_overflow(rounding, overflow):
    assert proven(rounding, overflow, **SMALL) == PROVEN


@pytest.mark.parametrize("options", [{"hard": 1}, {"to_soma": 1}, {"shift": 3}, {"hard": 1, "to_soma": 1, "shift": 0}])
def test_a_step_of_each_kind(options):
    assert proven(**SMALL, **options) == PROVEN


@pytest.mark.parametrize("options", [
    {"rounding": "toward_zero"}, {"rounding": "nearest"}, {"overflow": "wrap"}, {"hard": 1, "to_soma": 1},
])  # fmt: skip
def test_a_step_at_the_widths_of_a_chip(options):
    assert proven(**CHIP, **options) == PROVEN


@pytest.mark.parametrize(
    ("rounding", "overflow", "before", "after"),
    [
        ("toward_zero", "saturate", "p < 0 ? -(-p >> k) : p >> k", "p >> k"),
        ("floor", "saturate", "-(-(p + 1) >> k) - 1 : p >> k", "-(-p >> k) : p >> k"),
        ("nearest", "saturate", "p += (tclif_wide_t)1 << (k - 1)", "p += ((tclif_wide_t)1 << (k - 1)) - 1"),
        ("floor", "saturate", "x < -limit ? -limit", "x < -limit - 1 ? -limit - 1"),
        ("floor", "wrap", "2U * half - 1U", "half - 1U"),
        ("floor", "saturate", "&& v >= level(layer->threshold, n)", "&& v > level(layer->threshold, n)"),
        ("floor", "saturate", "product(layer->b_v, n, u)", "product(layer->b_v, n, *u_state)"),
        ("floor", "saturate", "coefficient == (tclif_wide_t)1 << TCLIF_FRAC_BITS", "coefficient == 1"),
        ("floor", "saturate", "sum = u - level(layer->r_u, n);", "sum = u;"),
        ("floor", "saturate", "TCLIF_COUNT(3, v != sum);", "TCLIF_COUNT(3, v > sum);"),
        ("floor", "saturate", "TCLIF_COUNT(0, u != sum);", "TCLIF_COUNT(0, u > sum);"),
        ("floor", "saturate", "to_u + level(layer->bias_u, n)", "to_u + level(layer->bias_v, n)"),
    ],
)
def test_a_step_that_is_another_is_found(rounding, overflow, before, after):
    assert "sat" in proven(rounding, overflow, (before, after), **SMALL)


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        ({"hard": 1}, "v = level(layer->v_reset, n);", "v = 0;"),
        ({"to_soma": 1}, "+ (current - to_u) +", "+"),
        ({"shift": 3}, "(tclif_wide_t)1 << layer->shift", "(tclif_wide_t)1 << (layer->shift - 1)"),
    ],
)
def test_a_step_of_each_kind_that_is_another_is_found(options, before, after):
    assert "sat" in proven(mutation=(before, after), **SMALL, **options)
