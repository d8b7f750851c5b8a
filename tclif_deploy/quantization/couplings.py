"""Coefficients that keep the neuron's rotation frequency.

The subthreshold map [[1, b1], [b2, 1 + b1*b2]] has determinant 1 and turns by omega with
cos(omega) = 1 + b1*b2/2: only the product b1*b2 matters. The LSBs of u and v need not be equal
(their ratio rho = LSB_v / LSB_u is a free choice that changes no spike), so the pair of integers is
searched for the best product instead of rounding each number alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tclif_deploy.errors import TclifError

MAX_LOG_LSB_RATIO = 0.35
"""|ln rho| is kept below this, so that u and v use their widths about equally"""


@dataclass(frozen=True)
class CouplingPair:
    """Integer couplings of one neuron, and the ratio of LSBs that makes them right."""

    b_u: int
    """B_u ~ b1 * rho * 2^k"""
    b_v: int
    """B_v ~ b2 / rho * 2^k"""
    lsb_ratio: float
    """rho = LSB_v / LSB_u"""
    error: float
    """relative error of the product b1*b2"""


def coupling_pair(b_u: float, b_v: float, k: int) -> CouplingPair:
    """Best integers for the couplings ``b_u`` (soma to dendrite) and ``b_v`` (dendrite to soma), k fractional bits.

    The least relative error of the product wins, ties to the least |ln rho|. Raises `TclifError` where no
    pair fits in 2^k.

    Examples
    --------
    >>> pair = coupling_pair(-0.5, 0.5, 12)
    >>> pair.b_u, pair.b_v, pair.lsb_ratio
    (-2048, 2048, 1.0)
    """
    one = 1 << k
    if b_u == 0.0 or b_v == 0.0:
        alone = b_v if b_u == 0.0 else b_u
        if alone == 0.0:
            return CouplingPair(0, 0, 1.0, 0.0)
        sign = int(math.copysign(one, alone))
        return CouplingPair(0, sign, abs(alone), 0.0) if b_u == 0.0 else CouplingPair(sign, 0, 1.0 / abs(alone), 0.0)

    product = b_u * b_v * float(one) ** 2
    low = max(1, math.ceil(abs(b_v) * one * math.exp(-MAX_LOG_LSB_RATIO)))
    high = min(one, math.floor(abs(b_v) * one * math.exp(MAX_LOG_LSB_RATIO)))
    candidates = np.arange(min(low, high + 1), high + 1, dtype=np.int64)  # none, where b_v is beyond the bits
    partners = np.minimum(np.rint(abs(product) / candidates), 2.0 * one).astype(np.int64)  # beyond one, none fits
    with np.errstate(divide="ignore"):
        log_lsb_ratio = 0.5 * np.log(partners * abs(b_v) / (abs(b_u) * candidates))
    fits = (partners >= 1) & (partners <= one) & (np.abs(log_lsb_ratio) <= MAX_LOG_LSB_RATIO)
    if not fits.any():
        raise TclifError(
            f"couplings {b_u:.6g} and {b_v:.6g} do not fit in {k} fractional bits",
            "their product must lie between 4^-bits and 1: "
            + (
                f"at least {math.ceil(-(math.log2(abs(b_u)) + math.log2(abs(b_v))) / 2)} bits are needed"
                if abs(b_u * b_v) < 1
                else f"it is {abs(b_u * b_v):.6g}"
            ),
        )
    candidates, partners, log_lsb_ratio = candidates[fits], partners[fits], np.abs(log_lsb_ratio[fits])
    errors = np.abs(candidates * partners / abs(product) - 1.0)
    best = int(np.lexsort((log_lsb_ratio, errors))[0])
    big_v = int(math.copysign(int(candidates[best]), b_v))
    big_u = int(math.copysign(int(partners[best]), b_u))
    return CouplingPair(big_u, big_v, math.sqrt(big_u * b_v / (b_u * big_v)), float(errors[best]))
