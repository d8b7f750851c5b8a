"""What stands between two populations: convolutions, matrices and factors, multiplied and added."""

from __future__ import annotations

import numpy as np

from tclif_deploy.convolution import MOST_WEIGHTS, Conv, Kernel, compose
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Float

LinearOperator = Float | Kernel
"""A convolution, a matrix, or (one dimension) the diagonal of one."""
Operator = LinearOperator | None
"""None is the identity."""


class Algebra:
    """Products and sums that stay convolutions where that is exact; ``notices`` hears where it is not."""

    def __init__(self, where: str, notices: list[str]) -> None:
        self.where, self.notices = where, notices

    def times(self, left: LinearOperator, right: Operator, name: str) -> LinearOperator:
        """The product of two operators, each a convolution, dense, diagonal or (``right`` None) the identity."""
        if right is None:
            return left
        if isinstance(left, Kernel) or isinstance(right, Kernel):
            return self.times_kernel(left, right, name)
        if left.ndim == 1:
            return left * right if right.ndim == 1 else left[:, None] * right
        if right.ndim == 1:
            return left * right
        self.check_size(len(left), right.shape[1], name)
        return np.asarray(left @ right)

    def times_kernel(self, left: LinearOperator, right: LinearOperator, name: str) -> LinearOperator:
        """The same where one is a convolution: one too where that is exact, else a matrix."""
        if not isinstance(left, Kernel):
            assert isinstance(right, Kernel)
            if left.ndim == 2:
                channels, height, width = right.output_shape
                full_map = Kernel(left.reshape(len(left), channels, height, width), Conv((channels, height, width)))
                self.check_size(len(left), right.sources, name)
                product = compose(full_map, right)
                assert product is not None  # nothing is padded
                return product.matrix()
            factors = _by_channel(left, right.output_shape)
            if factors is not None:
                return Kernel(right.weight * factors[:, None, None, None], right.conv)
            return left[:, None] * self.as_matrix(right, name)
        if isinstance(right, Kernel):
            joined = compose(left, right)
            if joined is not None:
                return joined
            right = self.as_matrix(right, name)
        if right.ndim == 1:
            factors = _by_channel(right, left.conv.input_shape)
            if factors is not None:
                seen = factors.reshape(left.conv.groups, -1).repeat(len(left.weight) // left.conv.groups, axis=0)
                return Kernel(left.weight * seen[:, :, None, None], left.conv)
            return self.as_matrix(left, name) * right
        self.check_size(left.neurons, right.shape[1], name)
        return np.ascontiguousarray(left.apply(right.T).T)

    def as_matrix(self, kernel: Kernel, name: str) -> Float:
        """A convolution that cannot be joined with what follows it; the user is told."""
        self.check_size(kernel.neurons, kernel.sources, name)
        self.notices.append(
            f"{name}: no one convolution does what it and its neighbour do: "
            f"a matrix of {kernel.neurons} x {kernel.sources} weights"
        )
        return kernel.matrix()

    def join(self, parts: list[Operator], other: Operator, size: int) -> None:
        """Add ``other`` to the one of ``parts`` (with ``size`` rows) with which it makes one operator, or append it."""
        for n, part in enumerate(parts):
            if isinstance(part, Kernel) and isinstance(other, Kernel):
                if part.conv == other.conv and part.weight.shape == other.weight.shape:
                    parts[n] = Kernel(part.weight + other.weight, part.conv)
                    return
            elif not isinstance(part, Kernel) and not isinstance(other, Kernel):
                parts[n] = self.plus(part, other, size)
                return
        parts.append(other)

    def plus(self, a: Float | None, b: Float | None, size: int) -> Float:
        """The sum of two matrices with ``size`` rows."""
        a, b = (np.ones(size) if m is None else m for m in (a, b))
        if a.ndim == b.ndim:
            return a + b
        return self.dense(a, size) + self.dense(b, size)

    def dense(self, matrix: Float | None, size: int) -> Float:
        if matrix is not None and matrix.ndim == 2:
            return matrix
        self.check_size(size, size, "")
        return np.eye(size) if matrix is None else np.diag(matrix)

    def check_size(self, rows: int, columns: int, name: str) -> None:
        if rows * columns > MOST_WEIGHTS:
            raise TclifError(
                f"{self.where}: {name or 'a connection'} needs a matrix of {rows} x {columns}",
                f"at most {MOST_WEIGHTS} weights are read",
            )


def _by_channel(values: Float, shape: tuple[int, ...]) -> Float | None:
    """The one factor of each channel of a map, or None where they differ within a channel."""
    rows = values.reshape(shape[0], -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else None
