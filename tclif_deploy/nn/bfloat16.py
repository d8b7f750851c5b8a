"""bfloat16 in kernels, as the uint16 that numpy sees: half-size tensors that are computed with as float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from tclif_deploy.jit import helper


@intrinsic
def _float_of_bits(context, bits):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), generate


@intrinsic
def _bits_of_float(context, x):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), generate


@helper
def _widen(x):  # type: ignore[no-untyped-def]
    return _float_of_bits(np.uint32(np.uint32(x) << np.uint32(16)))


@helper
def _put(out, b, n, value):  # type: ignore[no-untyped-def]
    bits = _bits_of_float(value)
    # round to nearest, ties to even
    out[b, n] = np.uint32(bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)


def widen(x: Any) -> Any:
    """A float, or bfloat16's bits as the float that they mean."""


@overload(widen, inline="always")
def _widen_any(x):  # type: ignore[no-untyped-def]
    if isinstance(x, types.Integer):
        return lambda x: _widen(x)
    return lambda x: x


def put(out: Any, b: int, n: int, value: Any) -> None:
    """out[b, n] = value, as bfloat16's bits where ``out`` holds those."""


@overload(put, inline="always")
def _put_any(out, b, n, value):  # type: ignore[no-untyped-def]
    if isinstance(out.dtype, types.Integer):
        return lambda out, b, n, value: _put(out, b, n, value)

    def put_float(out, b, n, value):  # type: ignore[no-untyped-def]
        out[b, n] = value

    return put_float
