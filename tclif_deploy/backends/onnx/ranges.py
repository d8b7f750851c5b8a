"""Integer tensors that carry their proven range: no operation is emitted that could overflow its type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.backends.onnx.graph import OnnxGraphBuilder, column
from tclif_deploy.fixed import Int, Overflow


class DoesNotFit(Exception):
    """A value could leave the integer type in use."""

    def __init__(self, magnitude: int) -> None:
        self.magnitude = magnitude
        super().__init__(f"a value can reach {magnitude}")


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor (batch, neurons) and what each neuron's numbers can be.

    ``offset`` is a constant that is still to be added: several of them cost one addition in the end.
    Ranges and offset are arrays of Python integers, one a neuron.
    """

    tensor: str
    low: NDArray[Any]
    high: NDArray[Any]
    offset: NDArray[Any]


class Integers:
    """Arithmetic of one layer of ``size`` neurons in one integer type (int32 or int64)."""

    def __init__(self, graph: OnnxGraphBuilder, dtype: Any, size: int, rounding: str) -> None:
        self.graph, self.dtype, self.size, self.rounding = graph, np.dtype(dtype), size, rounding
        self.limit = int(np.iinfo(dtype).max)

    def exact(self, values: Int | int) -> NDArray[Any]:
        """``values`` as Python integers, one a neuron."""
        return np.broadcast_to(np.asarray(values).astype(object), (self.size,))

    def value(self, tensor: str, low: Any, high: Any) -> Value:
        """A tensor whose numbers lie in ``low``..``high``. Raises `DoesNotFit` where the type cannot hold them."""
        low, high = self.exact(low), self.exact(high)
        self._need(low, high)
        return Value(tensor, low, high, self.exact(0))

    def constant(self, values: Any) -> str:
        """Name of a constant: a scalar where all neurons share it."""
        exact = self.exact(values)
        self._need(exact, exact)
        return self.graph.constant(column(exact), self.dtype)

    def apply_offset(self, a: Value) -> Value:
        """``a`` with its offset added."""
        if not a.offset.any():
            return a
        tensor = self.graph.op("Add", a.tensor, self.constant(a.offset))
        return self.value(tensor, a.low + a.offset, a.high + a.offset)

    def plus(self, a: Value, constant: Any) -> Value:
        """a + constant, not computed yet."""
        return Value(a.tensor, a.low, a.high, a.offset + self.exact(constant))

    def add(self, terms: list[Value]) -> Value:
        """The sum of at least one term; offsets stay to be added."""
        total = terms[0]
        for term in terms[1:]:
            low, high = total.low + term.low, total.high + term.high
            self._need(low, high)
            tensor = self.graph.op("Add", total.tensor, term.tensor)
            total = Value(tensor, low, high, total.offset + term.offset)
        return total

    def times(self, a: Value, factor: Any) -> Value:
        """a * factor."""
        factor = self.exact(factor)
        if (factor == 1).all():
            return a
        a = self.apply_offset(a)
        ends = np.stack([a.low * factor, a.high * factor])
        self._need(ends.min(axis=0), ends.max(axis=0))
        return self.value(self.graph.op("Mul", a.tensor, self.constant(factor)), ends.min(axis=0), ends.max(axis=0))

    def rounded_shift(self, a: Value, k: int) -> Value:
        """rnd(a, k)."""
        if k == 0:
            return a
        if self.rounding == "toward_zero":
            a = self.apply_offset(a)
            # ONNX's integer Div truncates, which is this rounding.
            tensor = self.graph.op("Div", a.tensor, self.constant(1 << k))
            return self.value(tensor, _truncated(a.low, k), _truncated(a.high, k))
        if self.rounding == "nearest":
            a = self.plus(a, 1 << (k - 1))
        # On numbers that are never negative, truncating is rounding down: move there by whole units of 2^k.
        units = max(0, -((a.low + a.offset).min() >> k))
        a = self.apply_offset(self.plus(a, units << k))
        if self.dtype == np.int32:
            tensor = self.graph.op("Div", a.tensor, self.constant(1 << k))
        else:
            # A division of 64 bits costs four times this; shifts exist for unsigned numbers only.
            shifted = self.graph.op("BitShift", self.graph.cast(a.tensor, np.uint64),
                                    self.graph.constant(k, np.uint64), direction="RIGHT")  # fmt: skip
            tensor = self.graph.cast(shifted, self.dtype)
        return self.plus(self.value(tensor, a.low >> k, a.high >> k), -units)

    def product(self, state: Value, coefficient: Int, k: int) -> Value | None:
        """rnd(coefficient * state, k), or None where it is 0 whatever the state."""
        exact = self.exact(coefficient)
        if not exact.any():
            return None
        if (exact == 1 << k).all():
            return state
        reach = np.maximum(abs(state.low), abs(state.high))
        if 2 * (abs(exact) * reach).max() + (2 << k) <= self.limit or self.dtype == np.int64:
            return self.rounded_shift(self.times(state, exact), k)
        if self.rounding == "toward_zero" and k > 1:
            return self._product_in_two(state, exact, k)
        wide = Integers(self.graph, np.int64, self.size, self.rounding)
        product = wide.rounded_shift(
            wide.times(wide.value(self.graph.cast(state.tensor, np.int64), state.low, state.high), exact), k
        )
        narrow = self.value(self.graph.cast(product.tensor, self.dtype), product.low, product.high)
        return self.plus(narrow, product.offset)

    def _product_in_two(self, state: Value, exact: NDArray[Any], k: int) -> Value:
        """The product, truncated, without a wider type: the coefficient is high * 2^j + low, both of one sign.

        Then trunc(coefficient * state / 2^k) = trunc((high * state + trunc(low * state / 2^j)) / 2^(k-j)).
        """
        j = k // 2
        high = _truncated(exact, j)
        low = exact - high * (1 << j)
        total = self.times(state, high)
        if low.any():
            total = self.add([total, self.rounded_shift(self.times(state, low), j)])
        return self.rounded_shift(total, k - j)

    def overflow(self, a: Value, bits: int, mode: Overflow) -> Value:
        """ovf(a): itself (the same tensor) where it is proven that nothing changes."""
        a = self.apply_offset(a)
        half_range = 1 << (bits - 1)
        lowest = -half_range if mode == "wrap" else 1 - half_range
        if a.low.min() >= lowest and a.high.max() < half_range:
            return a
        if mode == "saturate":
            return self._saturated(a, half_range - 1)
        moved = self.apply_offset(self.plus(a, half_range))
        mask = self.graph.constant(2 * half_range - 1, self.dtype)
        low_bits = self.value(self.graph.op("BitwiseAnd", moved.tensor, mask), 0, 2 * half_range - 1)
        return self.apply_offset(self.plus(low_bits, -half_range))

    def _saturated(self, a: Value, limit: int) -> Value:
        low, high = (self.graph.constant(end, self.dtype) for end in (-limit, limit))
        if self.dtype == np.int32:
            tensor = self.graph.op("Clip", a.tensor, low, high)
        else:
            # onnxruntime's Clip, Min, Max and Sign look at the low half of an int64 (an error in its Eigen, without
            # AVX); its comparisons are right.
            tensor = self.graph.op("Where", self.graph.op("Greater", a.tensor, high), high, a.tensor)
            tensor = self.graph.op("Where", self.graph.op("Less", tensor, low), low, tensor)
        return self.value(tensor, a.low.clip(-limit), a.high.clip(None, limit))

    def _need(self, low: NDArray[Any], high: NDArray[Any]) -> None:
        largest = max(-int(low.min()), int(high.max()))
        if largest > self.limit:
            raise DoesNotFit(largest)


def _truncated(values: NDArray[Any], k: int) -> NDArray[Any]:
    """values / 2^k toward zero."""
    return np.asarray(np.sign(values) * (abs(values) // (1 << k)))
