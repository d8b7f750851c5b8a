"""How far the states go: measured on calibration data, or bounded by an argument where there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tclif_deploy.aliases import old_names
from tclif_deploy.blas import one_blas_thread
from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.network import INPUT, Float, Layer, Network
from tclif_deploy.simulation.floating import simulate_float


@dataclass(frozen=True, eq=False)
class Ranges:
    """Largest |u| and |v| of every neuron: layer -> float64 (2, neurons)."""

    max_abs: dict[str, Float]
    calibrated: bool
    """measured on data; otherwise a bound"""


@one_blas_thread
def measured_ranges(network: Network, data: Dataset, batch_size: int = 32) -> Ranges:
    """Ranges met by the float network on ``data``, before and after resets."""
    max_abs = {layer.name: np.zeros((2, layer.size)) for layer in network.layers}
    for batch_data in data.batches(batch_size):
        result = simulate_float(network, batch_data.values(), spikes=False)  # padding too: states go through it as well
        for name, value in result.peaks.items():
            np.maximum(max_abs[name], value, out=max_abs[name])
    return Ranges(max_abs, calibrated=True)


def worst_case_ranges(network: Network, max_input: float, steps: int) -> Ranges:
    """Worst-case ranges for |x| <= ``max_input`` over ``steps`` steps.

    With M the one-step map of (u, v) and d the largest push of one step (currents of all sources at once, bias,
    and a reset), \\|(u, v)\\| <= sum over t of \\|M^t\\| d, elementwise. Far wider than what data show: it is
    a bound for people without data, not a replacement for calibration.
    """
    return Ranges({layer.name: layer_bound(layer, max_input, steps) for layer in network.layers}, calibrated=False)


def layer_bound(layer: Layer, max_input: float, steps: int) -> Float:
    """`worst_case_ranges` of one layer, (2, neurons); raises `TclifError` where there is no bound."""
    n = layer.neuron
    if n.q.any():
        raise TclifError(
            f"layer {layer.name}: its reset depends on the dendrite, so no bound is known", "give calibration data"
        )
    current = np.zeros(layer.size)
    for c in layer.connections:
        current += c.per_neuron(np.abs(c.shared_rows).sum(axis=1)) * (max_input if c.source == INPUT else 1.0)
    push_u = np.abs(n.bias_u) + np.abs(n.r_u) + (current if n.input_to == "dendrite" else 0.0)
    push_v = np.abs(n.bias_v) + np.abs(n.r_v) + np.abs(n.v_reset) + (current if n.input_to == "soma" else 0.0)
    one_step = np.array([[n.a_u, n.b_u], [n.b_v * n.a_u, n.a_v + n.b_v * n.b_u]]).transpose(2, 0, 1)
    # the dendrite's push reaches the soma within the same step
    push = np.stack([push_u, push_v + np.abs(n.b_v) * push_u], axis=1)[:, :, None]
    start = np.abs(np.stack(n.start, axis=1))[:, :, None]
    power = np.broadcast_to(np.eye(2), one_step.shape).copy()
    total, largest_start = np.zeros((layer.size, 2, 1)), start
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            total = total + np.abs(power) @ push
            largest_start = np.maximum(largest_start, np.abs(power) @ start)
            power = power @ one_step
    bound = (total + largest_start)[:, :, 0].T
    if not np.isfinite(bound).all():
        raise TclifError(f"layer {layer.name}: its states grow without bound", "give calibration data")
    return np.ascontiguousarray(bound)


__getattr__ = old_names(__name__, {"seen_ranges": "measured_ranges", "bounded_ranges": "worst_case_ranges"})
