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
from tclif_deploy.fixed import Int
from tclif_deploy.network import Float

MAX_LOG_LSB_RATIO = 0.35
"""|ln rho| is kept below this, so that u and v use their widths about equally; where no such pair
fits, this far from where the two couplings are equal"""

LEARNED_SHARE = 2.0**-8
"""how far, of itself, a learned coupling may lie from the number that was learned"""
LEARNED_STEPS = np.arange(-16, 17)
"""the integers around it that are tried"""


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

    The least relative error of the product wins, ties to the least |ln rho|. Where a coupling is so large that no rho
    near 1 brings both into 2^k, rho is searched around sqrt(|b_v/b_u|), with which both integers are equally large:
    that is where some pair fits if any does. Raises `TclifError` where none fits in 2^k.

    Examples
    --------
    >>> pair = coupling_pair(-0.5, 0.5, 12)
    >>> pair.b_u, pair.b_v, pair.lsb_ratio
    (-2048, 2048, 1.0)
    >>> large = coupling_pair(1.8, -0.1, 12)  # SE-adLIF, whose adaptation takes a large share of the soma
    >>> large.b_u, large.b_v, round(large.lsb_ratio, 4)
    (2020, -1495, 0.274)
    """
    one = 1 << k
    if b_u == 0.0 or b_v == 0.0:
        alone = b_v if b_u == 0.0 else b_u
        if alone == 0.0:
            return CouplingPair(0, 0, 1.0, 0.0)
        sign = int(math.copysign(one, alone))
        return CouplingPair(0, sign, abs(alone), 0.0) if b_u == 0.0 else CouplingPair(sign, 0, 1.0 / abs(alone), 0.0)

    for center in (1.0, math.sqrt(abs(b_v / b_u))):
        pair = _best_pair(b_u, b_v, one, center)
        if pair is not None:
            return pair
    raise TclifError(
        f"couplings {b_u:.6g} and {b_v:.6g} do not fit in {k} fractional bits",
        "their product must lie between 4^-bits and 1: "
        + (
            f"at least {math.ceil(-(math.log2(abs(b_u)) + math.log2(abs(b_v))) / 2)} bits are needed"
            if abs(b_u * b_v) < 1
            else f"it is {abs(b_u * b_v):.6g}"
        ),
    )


def with_share(pair: CouplingPair, b_v: float, q: float, k: int) -> CouplingPair:
    """``pair``, or one that holds the share ``q`` of the dendrite too, which a reset takes from the soma.

    Where the soma does not feed the dendrite, rho is free: the largest B_v is taken at which Q = q/rho fits in 2^k, and
    b_v stays exact. Other pairs come back as they are.

    Examples
    --------
    >>> pair = with_share(coupling_pair(0.0, -0.1, 12), -0.1, 1.9, 12)
    >>> pair.b_v, round(pair.lsb_ratio, 4)
    (-215, 1.9051)
    """
    if pair.b_u or abs(q) <= pair.lsb_ratio:
        return pair
    one = 1 << k
    if b_v == 0.0:
        return CouplingPair(0, 0, abs(q), 0.0)
    big_v = max(1, math.floor(abs(b_v) / abs(q) * one))
    return CouplingPair(0, int(math.copysign(big_v, b_v)), abs(b_v) * one / big_v, 0.0)


def nearest_pairs(b_u: Float, b_v: Float, one: int) -> tuple[Int, Int]:
    """Integers up to ``one`` for couplings (neurons,) that were learned, as multiples of 2^-k: the best product again.

    Unlike `coupling_pair`'s, they count in LSBs that stay: each B_v lies within `LEARNED_SHARE` of its number, or next
    to it, and B_u makes the product. That product is the frequency, whose error grows with every step; the rest is a
    dendrite in units that differ by 2^-8 at most, less than weights of 8 bits differ. Couplings below 1 are rounded.

    Examples
    --------
    >>> b_u, b_v = nearest_pairs(np.array([-812.3]), np.array([2048.4]), 4096)
    >>> b_u, b_v, f"{b_u[0] * b_v[0] / (-812.3 * 2048.4) - 1:.1e}, of {-812 * 2048 / (-812.3 * 2048.4) - 1:.1e}"
    (array([-814]), array([2044]), '-6.0e-05, of -5.6e-04')
    """
    near_u, near_v = (np.clip(np.rint(b), -one, one).astype(np.int64) for b in (b_u, b_v))
    product, of_v = np.abs(b_u * b_v)[:, None], np.abs(b_v)[:, None]
    tried = np.abs(near_v)[:, None] + LEARNED_STEPS
    away = np.abs(tried - of_v)
    allowed = (tried >= 1) & (tried <= one) & ((away <= LEARNED_SHARE * of_v) | (LEARNED_STEPS == 0))
    partners = np.clip(np.rint(product / np.maximum(tried, 1)), 1, one)
    error = np.where(allowed, np.abs(tried * partners - product), np.inf)
    best = np.lexsort((away, error), axis=1)[:, :1]
    searched = (np.abs(near_u) >= 1) & (np.abs(near_v) >= 1)
    found_u, found_v = (np.take_along_axis(values, best, axis=1)[:, 0] for values in (partners, tried))
    return (
        np.where(searched, np.copysign(found_u, b_u), near_u).astype(np.int64),
        np.where(searched, np.copysign(found_v, b_v), near_v).astype(np.int64),
    )


def _best_pair(b_u: float, b_v: float, one: int, center: float) -> CouplingPair | None:
    """The best pair whose rho is within exp(`MAX_LOG_LSB_RATIO`) of ``center``; None where none fits."""
    product, of_center = b_u * b_v * float(one) ** 2, abs(b_v) * one / center
    low = max(1, math.ceil(of_center * math.exp(-MAX_LOG_LSB_RATIO)))
    high = min(one, math.floor(of_center * math.exp(MAX_LOG_LSB_RATIO)))
    candidates = np.arange(min(low, high + 1), high + 1, dtype=np.int64)  # none, where b_v is beyond the bits
    partners = np.minimum(np.rint(abs(product) / candidates), 2.0 * one).astype(np.int64)  # beyond one, none fits
    with np.errstate(divide="ignore"):
        log_lsb_ratio = 0.5 * np.log(partners * abs(b_v) / (abs(b_u) * candidates)) - math.log(center)
    fits = (partners >= 1) & (partners <= one) & (np.abs(log_lsb_ratio) <= MAX_LOG_LSB_RATIO)
    if not fits.any():
        return None
    candidates, partners, log_lsb_ratio = candidates[fits], partners[fits], np.abs(log_lsb_ratio[fits])
    errors = np.abs(candidates * partners / abs(product) - 1.0)
    best = int(np.lexsort((log_lsb_ratio, errors))[0])
    big_v = int(math.copysign(int(candidates[best]), b_v))
    big_u = int(math.copysign(int(partners[best]), b_u))
    return CouplingPair(big_u, big_v, math.sqrt(big_u * b_v / (b_u * big_v)), float(errors[best]))
