"""One step of 16 neurons in float32, exact as long as no state overflows; and the sign that one did.

Integers of up to 24 bits, their sums, and a product rounded *towards where the machine rounds* all fit float32:
with the CPU told to round down, ``floor(b*v)`` is exact although ``b*v`` has more bits than a float32 holds,
because rounding down never passes the integer below; likewise ``trunc`` when it rounds to zero. So a product
costs two instructions, where 16-bit multipliers need six and 32-bit ones five.

Nothing in the loop looks whether a state left its range. A state is kept as a multiple of an LSB so large that the
first number out of range is 2^128, float32's first infinity: the CPU itself then notes an overflow, in a flag that
stays set (`simd.end_rounding`). A layer in which that happened runs once more, with an LSB for which the first number
out of range is 2.0: then bit 30 says so, the states of a sample are OR-ed together (`Flag.OVERFLOW_CHECKED`), and
samples in which the bit was ever set run again in the general kernel, which saturates, wraps and counts. (Sums on the
way, and two's complement's lowest value, may set the flag or the bit too: such samples merely run twice.)
"""

from __future__ import annotations

from llvmlite import ir

from tclif_deploy.simulation.engine.simd import F32, I16, I32, I64, Kernel, Vec, vector
from tclif_deploy.simulation.engine.spec import Flag, KernelSpec

LANES = 16
"""Neurons of one vector."""

OVERFLOWED = 0x40000000
"""Bit of a float32 that is set from 2.0 on."""

B_U, A_U, B_V, A_V, THRESHOLD, R_U, R_V, Q, V_RESET, BIAS_U, ROW_BIAS_V, CONSTANTS = range(12)
"""Rows of a tile's constants, each of one float32 a neuron."""

LSB_U, LSB_V, SCALE_I, LSB_I, PRODUCT_OFFSET, ACCUMULATOR_OFFSET, SCALARS = range(7)
"""A layer's float32 numbers: the states' units, what the accumulator is multiplied with, the unit of the state that it
enters (used after shifting right), and what is added before rounding down (products, accumulator)."""


class Tile:
    """Neurons that are updated together: their constants, and the update."""

    def __init__(self, kernel: Kernel, spec: KernelSpec, constants: ir.Value, scalars: ir.Value) -> None:
        self.k = kernel
        self.spec = spec
        self.constants = constants
        numbers = [kernel.load(kernel.at(scalars, n, 4), F32, 4).value for n in range(SCALARS)]
        self.scalars = [kernel.splat(number, LANES) for number in numbers]

    def row(self, row: int, group: int) -> Vec:
        """A constant of the 16 neurons of ``group``."""
        return self.k.load(self.k.at(self.constants, row * self.spec.width + group * LANES, 4), vector(F32, LANES), 64)

    def rounded(self, product: Vec, offset: int) -> Vec:
        """The machine's rounding of a product."""
        if self.spec.has(Flag.TO_ZERO):
            return product.rounded("trunc")
        return (product + self.scalars[offset]).rounded("floor")

    def step(self, group: int, u: Vec, v: Vec, sums: Vec) -> tuple[Vec, Vec, Vec | None, list[Vec]]:
        """(u, v, spikes, states met that may be out of range) after one step with row sums of 16 or 32 bits."""
        acc = (sums if sums.value.type.element == I32 else sums.widen(I32)).to_float()
        unit_u, unit_v = self.scalars[LSB_U], self.scalars[LSB_V]
        if self.spec.has(Flag.RIGHT_SHIFT):
            current = self.rounded(acc * self.scalars[SCALE_I], ACCUMULATOR_OFFSET) * self.scalars[LSB_I]
        else:
            current = acc * self.scalars[SCALE_I]
        if self.spec.has(Flag.STATELESS_U):
            new_u = self.row(BIAS_U, group)
        else:
            if self.spec.has(Flag.MULTIPLY_U):
                u = self.rounded(u * self.row(A_U, group), PRODUCT_OFFSET) * unit_u
            new_u = u + self.row(BIAS_U, group)
            new_u = self.rounded(v * self.row(B_U, group), PRODUCT_OFFSET) * unit_u + new_u
        if not self.spec.has(Flag.INPUT_TO_SOMA):
            new_u = current + new_u
        if self.spec.has(Flag.MULTIPLY_V):
            v = self.rounded(v * self.row(A_V, group), PRODUCT_OFFSET) * unit_v
        if self.spec.has(Flag.BIAS_V):
            v = v + self.row(ROW_BIAS_V, group)
        new_v = self.rounded(new_u * self.row(B_V, group), PRODUCT_OFFSET) * unit_v + v
        if self.spec.has(Flag.INPUT_TO_SOMA):
            new_v = current + new_v
        if self.spec.has(Flag.NO_SPIKES):
            return new_u, new_v, None, [new_u, new_v]
        spikes = new_v >= self.row(THRESHOLD, group)
        if self.spec.has(Flag.HARD_RESET_U):
            after_u = spikes.where(new_u - self.row(R_U, group), new_u)
            return after_u, spikes.where(self.row(V_RESET, group), new_v), spikes, [new_u, new_v, after_u]
        if self.spec.has(Flag.HARD_RESET):
            return new_u, spikes.where(self.row(V_RESET, group), new_v), spikes, [new_u, new_v]
        taken = self.row(R_V, group)
        if self.spec.has(Flag.HAS_Q):
            taken = self.rounded(new_u * self.row(Q, group), PRODUCT_OFFSET) * unit_v + taken
        after_u = spikes.where(new_u - self.row(R_U, group), new_u)
        after_v = spikes.where(new_v - taken, new_v)
        return after_u, after_v, spikes, [new_u, new_v, after_u, after_v]

    def join(self, words: list[Vec], group: int, spikes: Vec) -> None:
        """Add the spikes of ``group`` to ``words`` of 64 neurons, each word's first neuron its lowest bit."""
        b, at = self.k.b, group * LANES % 64
        bits = Vec(b, b.shl(b.zext(b.bitcast(spikes.value, I16), I64), I64(at)))
        if at == 0:
            words.append(bits)
        else:
            words[-1] = words[-1] | bits


class States:
    """u and v of one tile of one sample, in registers while a kernel runs."""

    def __init__(self, kernel: Kernel, width: int, address: ir.Value) -> None:
        self.k, self.width, self.address = kernel, width, address
        self.u = [kernel.variable(self._load(0, g)) for g in range(width // LANES)]
        self.v = [kernel.variable(self._load(1, g)) for g in range(width // LANES)]

    def _place(self, row: int, group: int) -> ir.Value:
        return self.k.at(self.address, row * self.width + group * LANES, 4)

    def _load(self, row: int, group: int) -> Vec:
        return self.k.load(self._place(row, group), vector(F32, LANES), 64)

    def save(self) -> None:
        """Write them back."""
        for row, values in enumerate((self.u, self.v)):
            for group, value in enumerate(values):
                self.k.store(value.get(), self._place(row, group), 64)
