"""Devices that differ: every integer that one holds by itself is off by a share of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator

from tclif_deploy.fixed.layers import FixedLayer, weight_bits
from tclif_deploy.fixed.machine import Int
from tclif_deploy.fixed.network import FixedNetwork


def mismatch(fixed: FixedNetwork, sigma: float, rng: Generator) -> FixedNetwork:
    """Every integer that a device holds by itself is off by a share: ``w * (1 + sigma * xi)``, rounded, xi normal.

    It is drawn for each weight (each of a kernel), threshold and factor (a_u, b_u, a_v, b_v, q); a factor of 1, which
    is no multiplication, stays 1, and no a grows beyond it. Weights and thresholds stay within their widths.
    """
    one = fixed.arithmetic.one

    def drawn(values: Int, low: int, high: int) -> Int:
        return np.clip(np.rint(values * (1 + sigma * rng.standard_normal(values.shape))), low, high).astype(np.int64)

    def disturbed(layer: FixedLayer) -> FixedLayer:
        most = 2 ** (weight_bits(layer) - 1) - 1
        links = tuple(replace(c, weight=drawn(c.weight, -most, most)) for c in layer.connections)
        limit = 2 ** (fixed.arithmetic.bits_v - 1) - 1
        factors: Any = {}
        for name in ("a_u", "a_v"):
            values = getattr(layer, name)
            factors[name] = np.where(values >= one, values, drawn(values, -one, one))
        for name in ("b_u", "b_v", "q"):
            most_factor = max(one, int(np.abs(getattr(layer, name)).max()))
            values = getattr(layer, name)
            factors[name] = np.where(np.abs(values) == one, values, drawn(values, -most_factor, most_factor))
        return replace(layer, connections=links, threshold=drawn(layer.threshold, -limit, limit), **factors)

    return replace(fixed, layers=tuple(map(disturbed, fixed.layers)))
