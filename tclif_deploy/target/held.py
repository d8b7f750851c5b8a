"""Which integers a target's registers hold: a threshold counts in steps, a bias has an exponent of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tclif_deploy.fixed import Int

if TYPE_CHECKING:
    from tclif_deploy.target.schema import Target

WIDTHS = {
    "threshold": "threshold_bits", "r_u": "reset_bits", "r_v": "reset_bits", "v_reset": "reset_bits",
    "bias_u": "bias_bits", "bias_v": "bias_bits", "v0": "bias_bits", "u0": "bias_bits",
}  # fmt: skip
"""Parameter of a layer that counts LSBs of a state -> the target's width of it."""


def largest_held(target: Target, name: str) -> int:
    """The largest magnitude that ``target`` holds of a layer's parameter, one of `WIDTHS`."""
    mantissa: int = (1 << (getattr(target, WIDTHS[name]).value - 1)) - 1
    return mantissa * unit_of(target, name) + (_above(target) if name == "threshold" else 0)


def unit_of(target: Target, name: str) -> int:
    """What the last bit of a parameter's mantissa counts, at most: LSBs of the state."""
    if name == "threshold":
        return 1 if target.threshold_step is None else target.threshold_step.value
    if WIDTHS[name] == "bias_bits" and target.bias_exponent is not None:
        return int(1 << target.bias_exponent.value)
    return 1


def nearest_held(target: Target, name: str, values: Int) -> Int:
    """The integers that ``target``'s register holds nearest to ``values``, where it is as wide as they need.

    A threshold is that of a `FixedLayer`, which fires at it: a machine that fires above its own holds one less. A bias
    takes the least exponent at which its mantissa fits.

    Examples
    --------
    >>> from tclif_deploy.target import load_target
    >>> loihi1 = load_target("loihi1")
    >>> nearest_held(loihi1, "threshold", np.array([1600, 1601, 1650])).tolist()  # 64 * n, and fires above it
    [1601, 1601, 1665]
    >>> nearest_held(loihi1, "bias_v", np.array([-4095, 4097, 262143])).tolist()  # 4095 * 2^n
    [-4095, 4096, 262144]
    """
    unit = unit_of(target, name)
    if unit == 1:
        return values
    if name == "threshold":
        above = _above(target)
        return _multiple(values - above, np.full_like(values, unit)) + above
    mantissa = (1 << (target.bias_bits.value - 1)) - 1
    unit_exponent = np.zeros_like(values)
    for exponent in range(unit.bit_length() - 1):
        unit_exponent += np.abs(values) > mantissa << exponent
    return _multiple(values, np.int64(1) << unit_exponent)


def largest_factor(target: Target) -> int:
    """The largest factor of a state's own, in 2^-k, that ``target`` has: one, or just below two.

    Examples
    --------
    >>> from tclif_deploy.target import load_target
    >>> {name: largest_factor(load_target(name)) / 2**12 for name in ("loihi1", "loihi2")}
    {'loihi1': 1.0, 'loihi2': 1.999755859375}
    """
    one = 1 << target.coefficient_bits.value
    grows = target.growing_factors is not None and target.growing_factors.value
    return 2 * one - 1 if grows else one


def nearest_factor(target: Target, factors: Int, state: str = "u") -> Int:
    """The factors of a ``state``'s own decay, in 2^-k, that ``target`` has nearest to ``factors``: all, all below
    1, or 1 - 2^-d.

    Examples
    --------
    >>> from tclif_deploy.target import load_target
    >>> nearest_factor(load_target("xylo2"), np.array([0, 20000, 29491, 32768])).tolist()  # of 2^15
    [0, 16384, 28672, 32767]
    >>> [nearest_factor(load_target("loihi1"), np.array([4000, 4096]), state).tolist() for state in "uv"]  # of 2^12
    [[4000, 4095], [4000, 4096]]
    """
    if target.shift_decays is None or not target.shift_decays.value:
        leaks = state == "u" and target.leaky_u is not None and target.leaky_u.value
        return np.minimum(factors, (1 << target.coefficient_bits.value) - 1) if leaks else factors
    one = 1 << target.coefficient_bits.value
    held = one - (one >> np.arange(target.coefficient_bits.value + 1))
    return np.asarray(held[np.abs(factors[:, None] - held).argmin(axis=1)])


def _above(target: Target) -> int:
    """What is added to a register's threshold to make one that fires at it."""
    return int(target.comparator is not None and target.comparator.value == ">")


def _multiple(values: Int, of: Int) -> Int:
    """The nearest multiples, half to even."""
    whole, rest = np.divmod(values, of)
    up = (2 * rest > of) | ((2 * rest == of) & (whole % 2 == 1))
    return np.asarray((whole + up) * of)
