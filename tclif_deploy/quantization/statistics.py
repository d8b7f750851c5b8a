"""What calibration data say about one layer: its sources' activity, and what the soma makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.jit import kernel, made_once
from tclif_deploy.network import INPUT, Connection, Float, Layer
from tclif_deploy.quantization.layer_plan import QuantizationContext
from tclif_deploy.quantization.rounding import CompensatedRounding, damped
from tclif_deploy.simulation.floating import batches

BATCH = 16
"""samples (of a convolution: positions of samples) whose activity is held as real numbers at a time"""
POSITIONS = 16
"""of a convolution's output map that are looked at, the same in every sample"""
MEMORY = 200.0
"""steps over which a response fades (in the network a spike's reset, not a decay, ends it): what the neuron would
forget is not paid for, and what it keeps is"""
FADE = np.float32(np.exp(-1.0 / MEMORY))
"""what is left of a response after a step"""


Drive = Callable[[], Mapping[str, NDArray[Any]]]
"""gives what a layer's sources, `INPUT` among them, send it: name -> (samples, time, neurons or features), integers"""


class CalibrationStatistics:
    """Statistics of a layer that `covers` says has any, as the quantized layers before it drive it.

    It is about rows of weights: those of neurons, or of a convolution's channels, whose sources are what a position
    sees. Some positions stand for all.
    """

    def __init__(self, layer: Layer, drive: Drive, context: QuantizationContext) -> None:
        self.layer, self.drive, self.context = layer, drive, context
        self.neurons_per_row = layer.connections[0].neurons_per_row
        """neurons of a row"""
        self.sampled_output_positions = np.sort(np.random.default_rng(0).permutation(self.neurons_per_row)[:POSITIONS])

    @staticmethod
    def covers(layer: Layer) -> bool:
        """Whether all neurons of a row see their sources by the same weights: groups see others."""
        alike = len({c.neurons_per_row for c in layer.connections}) == 1
        return alike and all(c.conv is None or c.conv.groups == 1 for c in layer.connections)

    @cached_property
    def weights(self) -> Float:
        """The layer's real weights, all connections side by side: (rows, sources)."""
        return np.concatenate([c.shared_rows for c in self.layer.connections], axis=1)

    @cached_property
    def _products(self) -> Float:
        """Mean products of the responses to all sources and, last, to a constant current of 1."""
        total, count = np.zeros((self.weights.shape[1] + 1,) * 2), 0
        with np.errstate(over="ignore", invalid="ignore"):  # what it leads to is refused below
            for joint in self._responses():
                total += (joint.T @ joint).astype(np.float64)
                count += len(joint)
        if not np.isfinite(total).all():
            raise TclifError(
                f"layer {self.layer.name}: its response to the calibration data is beyond what floats hold",
                "scale the data down, or quantize without passes",
            )
        return total / count

    @cached_property
    def covariance(self) -> Float:
        """Covariance of the soma's responses to the sources, `damped`; about 0, or, if biases are corrected, about
        the response to a constant, which the bias then takes out; (sources, sources)."""
        covariance = self._products[:-1, :-1]
        if "bias" in self.context.settings.passes:
            with_one, one = self._products[:-1, -1], self._products[-1, -1]
            if one > 0:  # else nothing reaches the soma, whatever the bias
                covariance = covariance - np.outer(with_one, with_one) / one
        return damped(covariance)

    @cached_property
    def rounding(self) -> CompensatedRounding:
        """Rounding by `covariance`."""
        return CompensatedRounding(self.covariance)

    def bias_for(self, missing: Float) -> Float:
        """The constant current that best stands in for weights that are ``missing`` (rows, sources); (rows,)."""
        one = self._products[-1, -1]
        return np.asarray(missing @ self._products[:-1, -1] / (one if one > 0 else 1.0))

    def _responses(self) -> Iterator[Float]:
        """What the soma makes of each source and of a constant, by the layer's mean coefficients: parts of
        (time * samples * positions, sources + 1), float32."""
        n = self.layer.neuron
        a_u, b_u, a_v, b_v = (np.float32(getattr(n, name).mean()) for name in ("a_u", "b_u", "a_v", "b_v"))
        for sources in self._activity():
            time, samples, width = sources.shape
            out = sources.reshape(time, samples * width)
            _response_kernel()(out, FADE, a_u, b_u, FADE * a_v, b_v, n.input_to == "dendrite")
            yield out.reshape(time * samples, width)

    def _activity(self) -> Iterator[Float]:
        """Real values of the connections, and a constant 1: float32 (time, samples * positions, sources + 1)."""
        encoding, connections = self.context.encoding, self.layer.connections
        arriving = self.drive()
        for batch in batches(len(arriving[INPUT]), max(1, BATCH // self.sampled_output_positions.size)):
            columns = []
            for c in connections:
                events = arriving[c.source][batch]
                if c.source == INPUT:
                    events = events * encoding.lsb
                delayed = np.zeros((events.shape[1], events.shape[0], events.shape[2]), np.float32)
                delayed[c.delay :] = events.transpose(1, 0, 2)[: max(0, events.shape[1] - c.delay)]
                columns.append(self._seen(c, delayed))
            columns.append(np.ones((*columns[0].shape[:2], 1), np.float32))
            yield np.concatenate(columns, axis=2)

    def _seen(self, connection: Connection, events: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the positions see of ``carried`` (time, samples, sources): (time, samples * positions, weights)."""
        conv = connection.conv
        if conv is None:
            return events
        index = conv.patches(np.arange(1, connection.sources + 1)[None], connection.weight.shape)[0, 0]
        with_outside = np.pad(events, ((0, 0), (0, 0), (1, 0)))
        return with_outside[:, :, index[:, self.sampled_output_positions].T].reshape(len(events), -1, len(index))


@made_once
def _response_kernel() -> Any:
    @kernel
    def respond(
        currents: NDArray[np.float32], fade: np.float32, a_u: np.float32, b_u: np.float32, a_v: np.float32,
        b_v: np.float32, dendrite: bool,
    ) -> None:  # fmt: skip
        """Write over ``currents`` (time, any) what a soma that never fires makes of them; ``a_v`` fades already."""
        zero = np.float32(0.0)
        u, v = np.zeros((2, currents.shape[1]), np.float32)
        for t in range(currents.shape[0]):
            for n in range(currents.shape[1]):
                current = currents[t, n]
                u[n] = fade * (a_u * u[n] + b_u * v[n]) + (current if dendrite else zero)
                v[n] = a_v * v[n] + b_v * u[n] + (zero if dendrite else current)
                currents[t, n] = v[n]

    return respond
