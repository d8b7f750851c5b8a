"""Fixed-point network -> the float network that its integers stand for."""

from __future__ import annotations

from typing import Any

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedConnection, FixedLayer, FixedNetwork, check_fixed
from tclif_deploy.grid import InputGrid, LayerGrid
from tclif_deploy.network import NEURON_ARRAYS, Connection, Layer, Network, Neuron

SAME = 1e-12
"""relative difference of LSBs that are the same but for float64's rounding"""


@checked
def dequantize(fixed: FixedNetwork) -> Network:
    """The float network whose every number is what the integer of ``fixed`` means.

    Weights (with exponent, shift and the input's LSB), factors, biases, thresholds, resets and starts are the integers
    times their units, with what rounding and calibration made of them. A threshold of ``fixed`` fires at >=, whatever
    the comparator of the network that was quantized, and so does this one, at just that threshold: an integer state
    reaches it where its meaning does.

    It carries the units of all of them (`tclif_deploy.grid`), so that `quantize` gives the same integers back.

    Not in it is what only a computation on integers has: rounding of products and of a current shifted right, overflow,
    the rounding and clipping of input (feed it ``fixed.input.lsb`` times the integers), and the rounded multipliers of
    a readout, for which the float network compares its soma itself. So it fires like ``fixed`` where nothing of that
    happens and float64 holds the sums exactly, as it does for LSBs that are powers of two; elsewhere it differs by
    what the rounding of states alone costs.

    Raises `TclifError` for what is no `FixedNetwork`, and where neurons that share a convolution's weights have LSBs of
    their own: no kernel means that.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> weights, meant = (n.layers[1].connections[0].weight for n in (digits, tc.dequantize(fixed)))
    >>> f"weights of up to {abs(weights).max():.3f}, wrong by up to {abs(meant - weights).max():.3f}"
    'weights of up to 0.165, wrong by up to 0.001'
    """
    check_fixed(fixed)
    layers = tuple(_layer(layer, fixed) for layer in fixed.layers)
    return Network(
        fixed.input.size, layers, readout=fixed.readout, input_grid=InputGrid(fixed.input.lsb, fixed.input.bits)
    )


def _layer(layer: FixedLayer, fixed: FixedNetwork) -> Layer:
    numbers: dict[str, Any] = {name: fixed.to_real(layer, name) for name in NEURON_ARRAYS}
    if fixed.arithmetic.input_first:
        numbers |= _after_the_decay(layer, numbers)
    neuron = Neuron(**numbers, reset=layer.reset, input_to=layer.input_to, spiking=layer.spiking)
    connections = tuple(_connection(c, layer, fixed) for c in layer.connections)
    steps = tuple(np.ravel(fixed.weight_step(layer, c)) for c in layer.connections)
    bits = max(fixed.arithmetic.bits_u, fixed.arithmetic.bits_v)
    grid = LayerGrid(bits, layer.lsb_u, layer.lsb_v, steps)
    return Layer(layer.name, neuron, connections, grid)


def _after_the_decay(layer: FixedLayer, numbers: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a neuron whose current joins u after its decay, and does as one whose current joins before.

    Where u <- a_u*(u + i), it holds a_u times as much: the way back from what the quantizer does for such a machine.
    """
    a = numbers["a_u"]
    if layer.input_to == "soma" or (a <= 0).any():
        raise TclifError(
            f"layer {layer.name}: its current decays to nothing, or in the soma", "no float network of ours means that"
        )
    return {name: numbers[name] / a for name in ("b_u", "bias_u", "r_u", "u0")} | {
        name: numbers[name] * a for name in ("b_v", "q")
    }


def _connection(c: FixedConnection, layer: FixedLayer, fixed: FixedNetwork) -> Connection:
    shared = layer.accumulator_lsb.reshape(-1, c.neurons_per_row)
    if (np.ptp(shared, axis=1) > SAME * shared[:, 0]).any():
        raise TclifError(
            f"layer {layer.name}: connection from {c.source}: neurons that share its weights have different LSBs",
            "one LSB a channel is needed, as quantize gives",
        )
    return Connection(c.source, c.weight * fixed.weight_step(layer, c), c.delay, c.conv)
