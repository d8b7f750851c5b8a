"""Rounding weights together: their errors cancel where what they multiply goes together."""

from __future__ import annotations

from typing import Any

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Int
from tclif_deploy.jit import kernel, made_once
from tclif_deploy.network import Float

DAMPING = 1e-3
"""share of the mean variance added to every source's: what calibration did not show may still come"""
MORE_DAMPING = (0.0, *(10.0**n for n in range(-6, 7)))
"""shares of the largest variance added to every source's, until what few calibration samples show can be inverted"""


ILL = "weights and calibration data are of sizes too far apart to round weights together"


def damped(covariance: Float) -> Float:
    """``covariance`` (sources, sources) with `DAMPING`, positive definite but for what its own rounding leaves."""
    return np.asarray(covariance + np.eye(len(covariance)) * max(DAMPING * float(np.diag(covariance).mean()), 1e-12))


class CompensatedRounding:
    """Rounding of weights whose sources have one ``covariance`` (sources, sources), `damped`.

    GPTQ (Frantar et al., ICLR 2023): weights are rounded one source after another, those with the most power first,
    and what one rounding adds to the output is taken from the sources still to come.
    """

    def __init__(self, covariance: Float) -> None:
        self.covariance = covariance
        self._shared: Float | None = None
        self._order, self._upper = np.empty(0, np.int64), np.empty((0, 0))

    def round(self, wanted: Float, steps: Float, limit: int) -> Int:
        """Integers near ``wanted`` (neurons, sources) whose summed error is small.

        ``steps`` (neurons, sources) is what one integer means, alike in all sources of a neuron up to a factor that
        all neurons share.
        """
        with np.errstate(all="ignore"):
            shared = steps[0] / steps[0, 0]  # per source; errors are compensated in units of the first source's step
        if self._shared is None or not np.array_equal(shared, self._shared):
            self._prepare(shared)
        rounded = np.ascontiguousarray(wanted[:, self._order], np.float64)
        _compensate(rounded, self._upper, float(limit))
        if not np.isfinite(rounded).all():
            raise TclifError(ILL, "scale weights and data to be near 1, or leave the pass out")
        result = np.empty(rounded.shape, np.int64)
        result[:, self._order] = rounded
        return result

    def _prepare(self, shared: Float) -> None:
        """The order of the sources and how errors move on, which hold as long as the steps differ by these factors."""
        with np.errstate(all="ignore"):
            covariance = self.covariance * np.outer(shared, shared)
        if not np.isfinite(covariance).all():
            raise TclifError(ILL, "scale weights and data to be near 1, or leave the pass out")
        self._order = np.argsort(-np.diag(covariance), kind="stable")
        self._upper = np.ascontiguousarray(_inverse_root(covariance[np.ix_(self._order, self._order)]))
        self._shared = shared


def _compensate(rows: Float, upper: Float, limit: float) -> None:
    """Round ``rows`` (neurons, sources) in place, from the first source to the last."""
    # Made here, because numba takes a while to import and not every use of this package quantizes.
    _kernel()(rows, upper, limit)


@made_once
def _kernel() -> Any:
    @kernel
    def compensate(rows: Float, upper: Float, limit: float) -> None:
        for n in range(rows.shape[0]):
            row = rows[n]
            for j in range(len(row)):
                whole = np.rint(row[j])
                if abs(whole) > limit:  # what is not a number stays
                    whole = np.copysign(limit, whole)
                error = (row[j] - whole) / upper[j, j]
                row[j] = whole
                shares = upper[j]
                for k in range(j + 1, len(row)):
                    row[k] -= error * shares[k]

    return compensate


def _inverse_root(covariance: Float) -> Float:
    """The upper triangle U with U^T U = inverse of ``covariance``, damped as little as it needs to have one."""
    largest = max(float(np.abs(covariance).max()), 1.0e-12)
    for more in MORE_DAMPING:
        try:
            damping = more * largest * np.eye(len(covariance)) if more else 0.0
            root: Float = np.linalg.cholesky(np.linalg.inv(covariance + damping)).T
            return root
        except np.linalg.LinAlgError:
            continue
    raise TclifError("the calibration data are too few to round weights together", "give more, or leave the pass out")


def response_error(missing: Float, covariance: Float) -> Float:
    """Mean square of what weight errors ``missing`` (neurons, sources) add to the response; (neurons,)."""
    return np.asarray(np.einsum("ni,ni->n", missing @ covariance, missing))
