"""Vectors for kernels: a thin layer over LLVM's IR builder, for use inside numba intrinsics.

LLVM splits a vector that is wider than the CPU's registers, so the same kernels run with AVX-512, AVX2 or
neither. numba alone can't be used here: it can't prove that kernels' arrays don't overlap, and then
vectorises nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()

CONTRACT = ("contract",)
"""Lets LLVM fuse a product with a sum. Allowed only where both ways give the same number, as float32 here always does;
float64 is computed as written."""


def vector(element: ir.Type, lanes: int) -> ir.VectorType:
    """The type of ``lanes`` elements."""
    return ir.VectorType(element, lanes)


class Vec:
    """A value of a kernel, vector or scalar, with Python's operators."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.b = builder
        self.value = value

    @property
    def lanes(self) -> int:
        """Elements of the vector."""
        return int(self.value.type.count)

    @property
    def _element(self) -> ir.Type:
        return self.value.type.element if isinstance(self.value.type, ir.VectorType) else self.value.type

    def _is_float(self) -> bool:
        return self._element in (F32, F64)

    def _flags(self) -> tuple[str, ...]:
        return CONTRACT if self._element == F32 else ()

    def _constant(self, number: int) -> ir.Constant:
        kind = self.value.type
        return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)

    def _with(self, value: ir.Value) -> Vec:
        return Vec(self.b, value)

    def _other(self, other: Vec | int) -> ir.Value:
        return self._constant(other) if isinstance(other, int) else other.value

    def __add__(self, other: Vec | int) -> Vec:
        if self._is_float():
            return self._with(self.b.fadd(self.value, self._other(other), flags=self._flags()))
        return self._with(self.b.add(self.value, self._other(other)))

    def __sub__(self, other: Vec | int) -> Vec:
        if self._is_float():
            return self._with(self.b.fsub(self.value, self._other(other), flags=self._flags()))
        return self._with(self.b.sub(self.value, self._other(other)))

    def __mul__(self, other: Vec | int) -> Vec:
        if self._is_float():
            return self._with(self.b.fmul(self.value, self._other(other), flags=self._flags()))
        return self._with(self.b.mul(self.value, self._other(other)))

    def __lshift__(self, other: Vec | int) -> Vec:
        return self._with(self.b.shl(self.value, self._other(other)))

    def __rshift__(self, other: Vec | int) -> Vec:
        return self._with(self.b.ashr(self.value, self._other(other)))

    def __or__(self, other: Vec | int) -> Vec:
        return self._with(self.b.or_(self.value, self._other(other)))

    def __ge__(self, other: Vec) -> Vec:
        if self._is_float():
            return self._with(self.b.fcmp_ordered(">=", self.value, other.value))
        return self._with(self.b.icmp_signed(">=", self.value, other.value))

    def nonzero(self) -> Vec:
        """Where elements are not 0; a vector of bits."""
        return self._with(self.b.icmp_signed("!=", self.value, self._constant(0)))

    def where(self, true: Vec, false: Vec) -> Vec:
        """``true`` where this vector of bits is set, else ``false``."""
        return self._with(self.b.select(self.value, true.value, false.value))

    def max(self, other: Vec, unsigned: bool = False) -> Vec:
        """The larger of two integers."""
        compare = self.b.icmp_unsigned if unsigned else self.b.icmp_signed
        return self._with(compare(">=", self.value, other.value)).where(self, other)

    def min(self, other: Vec) -> Vec:
        """The smaller of two integers."""
        return (self >= other).where(other, self)

    def cast(self, kind: ir.Type) -> Vec:
        """The same bits as another type."""
        return self._with(self.b.bitcast(self.value, kind))

    def widen(self, element: ir.Type) -> Vec:
        """Each element sign-extended."""
        return self._with(self.b.sext(self.value, vector(element, self.lanes)))

    def to_float(self) -> Vec:
        """Each integer as float32."""
        return self._with(self.b.sitofp(self.value, vector(F32, self.lanes)))

    def part(self, start: int, lanes: int) -> Vec:
        """Elements ``start`` to ``start + lanes``."""
        index = ir.Constant(vector(I32, lanes), list(range(start, start + lanes)))
        return self._with(self.b.shuffle_vector(self.value, ir.Constant(self.value.type, ir.Undefined), index))

    def join(self, other: Vec) -> Vec:
        """These elements, then those of ``other``."""
        index = ir.Constant(vector(I32, 2 * self.lanes), list(range(2 * self.lanes)))
        return self._with(self.b.shuffle_vector(self.value, other.value, index))

    def rounded(self, operation: str) -> Vec:
        """Each float as a whole number: ``operation`` is ``trunc`` or ``floor``."""
        return self._mapped(operation)

    def magnitude(self) -> Vec:
        """Each float without its sign."""
        return self._mapped("fabs")

    def above(self, other: Vec) -> Vec:
        """The greater of two floats; ``other`` where this is not a number."""
        return self._with(self.b.fcmp_ordered(">", self.value, other.value)).where(self, other)

    def _mapped(self, operation: str) -> Vec:
        kind = self.value.type
        name = f"llvm.{operation}.v{kind.count}f{64 if self._element == F64 else 32}"
        function = cgutils.get_or_insert_function(self.b.module, ir.FunctionType(kind, [kind]), name)
        return self._with(self.b.call(function, [self.value]))


class Kernel:
    """Memory, loops and variables of one intrinsic's body; addresses are 64-bit integers."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b = builder

    def pointer(self, address: ir.Value, kind: ir.Type) -> ir.Value:
        """``address`` as a pointer."""
        return self.b.inttoptr(address, kind.as_pointer())

    def load(self, address: ir.Value, kind: ir.Type, align: int) -> Vec:
        """What lies at ``address``."""
        return Vec(self.b, self.b.load(self.pointer(address, kind), align=align))

    def store(self, value: Vec, address: ir.Value, align: int) -> None:
        """Write ``value`` to ``address``."""
        self.b.store(value.value, self.pointer(address, value.value.type), align=align)

    def at(self, address: ir.Value, index: ir.Value | int, size: int) -> ir.Value:
        """Address of element ``index`` of ``size`` bytes."""
        if isinstance(index, int):
            return self.b.add(address, I64(index * size))
        return self.b.add(address, self.b.mul(index, I64(size)))

    def splat(self, scalar: ir.Value, lanes: int) -> Vec:
        """A vector with ``scalar`` in every lane."""
        kind = vector(scalar.type, lanes)
        undefined = ir.Constant(kind, ir.Undefined)
        one = self.b.insert_element(undefined, scalar, I32(0))
        zeros = ir.Constant(vector(I32, lanes), [0] * lanes)
        return Vec(self.b, self.b.shuffle_vector(one, undefined, zeros))

    def zero(self, kind: ir.Type) -> Vec:
        """Zero of a type."""
        return Vec(self.b, ir.Constant(kind, None))

    def variable(self, start: Vec) -> Variable:
        """A variable that loops may change; LLVM keeps it in registers."""
        return Variable(self.b, start)

    @contextmanager
    def strided_loop(self, start: ir.Value, end: ir.Value, stride: ir.Value) -> Iterator[ir.Value]:
        """Run the body for addresses from ``start``, ``stride`` bytes apart, up to ``end``.

        LLVM unrolls a loop whose passes it can count in advance. Loops over events mostly have few passes, and each
        pass of an unrolled one is another branch that goes wrong: so ``stride`` comes from memory, and can't be known.
        """
        position = self.variable(Vec(self.b, start))
        head, body, done = (
            self.b.append_basic_block(name) for name in ("strided_loop", "strided_loop.body", "strided_loop.end")
        )
        self.b.branch(head)
        self.b.position_at_end(head)
        now = position.get().value
        self.b.cbranch(self.b.icmp_unsigned("<", now, end), body, done)
        self.b.position_at_end(body)
        yield now
        position.set(Vec(self.b, self.b.add(now, stride)))
        self.b.branch(head)
        self.b.position_at_end(done)

    @contextmanager
    def loop(self, count: ir.Value, start: ir.Value | None = None) -> Iterator[ir.Value]:
        """Run the body for an index from ``start`` (0) up to ``count``."""
        with cgutils.for_range(self.b, count, start=start or I64(0), intp=I64) as passes:
            yield passes.index


class Variable:
    """A value that changes as the kernel goes on."""

    def __init__(self, builder: ir.IRBuilder, start: Vec) -> None:
        self.b = builder
        self.slot = cgutils.alloca_once(builder, start.value.type)
        self.set(start)

    def get(self) -> Vec:
        """Its value now."""
        return Vec(self.b, self.b.load(self.slot))

    def set(self, value: Vec) -> None:
        """Change it."""
        self.b.store(value.value, self.slot)


def literal_value(literal: Any) -> int:
    """The number of a literal argument's type."""
    return int(literal.literal_value)


def cpu_has(context: Any, feature: str) -> bool:
    """Whether numba compiles for a CPU with this LLVM feature (its own variables can say so, or forbid it)."""
    _, _, features = context.codegen().magic_tuple()
    return f"+{feature}" in str(features).split(",")


@intrinsic  # type: ignore[untyped-decorator]
def address(typing_context: Any, array: Any) -> Any:
    """Where an array's first element lies, as int64 (``array.ctypes.data`` is unsigned, and turns sums into floats)."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.ptrtoint(view.data, I64)

    return types.int64(array), generate


@intrinsic  # type: ignore[untyped-decorator]
def first_bit(typing_context: Any, word: Any) -> Any:
    """The position of the lowest bit that is set in a word of 64, not 0."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], I1(1))

    return types.int64(types.uint64), generate


Body = Callable[..., None]


def subroutine(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, body: Body) -> Any:
    """Let ``body(kernel, *arguments)`` write an intrinsic that returns nothing."""
    body(Kernel(builder), *arguments)
    return context.get_dummy_value()


ROUND_DOWN, ROUND_TO_ZERO = 0x2000, 0x6000
ROUND_MASK, FLAGS_MASK, OVERFLOW_FLAG = 0x6000, 0x3F, 0x8
"""Fields of MXCSR (Intel SDM vol. 1, 10.2.3): the rounding mode, what has happened, and that a result was too large."""


def _control_slot(builder: ir.IRBuilder) -> tuple[ir.Value, ir.Value]:
    slot = cgutils.alloca_once(builder, I32)
    return slot, builder.bitcast(slot, I8.as_pointer())


def _call_control(builder: ir.IRBuilder, name: str, pointer: ir.Value) -> None:
    kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer()])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}mxcsr"), [pointer])


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def begin_rounding(typing_context: Any, mode: Any) -> Any:
    """Set this thread's rounding of float sums and products (x86 only); returns what `end_rounding` takes."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        slot, pointer = _control_slot(builder)
        _call_control(builder, "st", pointer)
        before = builder.load(slot)
        kept = builder.and_(before, I32(0xFFFFFFFF ^ ROUND_MASK ^ FLAGS_MASK))
        builder.store(builder.or_(kept, I32(literal_value(mode))), slot)
        _call_control(builder, "ld", pointer)
        return before

    return types.uint32(mode), generate


@intrinsic  # type: ignore[untyped-decorator]
def end_rounding(typing_context: Any, before: Any) -> Any:
    """Undo `begin_rounding`; whether any result since then was too large for float32."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        slot, pointer = _control_slot(builder)
        _call_control(builder, "st", pointer)
        flags = builder.load(slot)
        builder.store(arguments[0], slot)
        _call_control(builder, "ld", pointer)
        return builder.icmp_signed("!=", builder.and_(flags, I32(OVERFLOW_FLAG)), I32(0))

    return types.boolean(types.uint32), generate
