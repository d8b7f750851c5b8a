"""A network that computes with a target's integers on the way forward, and learns floats on the way back.

Every learned number has a float *master*; the integer that runs is the master on the integer's grid. Forward is the
fixed-point network's own arithmetic (`tclif_deploy.nn.fixed_scan`), bit for bit; backward is the float network's, at
what the integers mean, and its gradients go to the masters as if rounding were not there (straight through).

What is learned: weights, on the grid of each neuron's scale; biases; TC-LIF's couplings, on the coefficients' grid, the
compartments' ratio of LSBs kept; and for each neuron one *gain* that its threshold and resets share. (Scaling those
is scaling the neuron's weights and bias the other way, so a gain is a finer weight scale, and a float checkpoint can
hold it.) The states' scales and shifts stay as the quantizer chose them, and so does what a readout forgets.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tclif_deploy.bounds import layer_bounds
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import LAYER_ARRAYS, FixedLayer, FixedNetwork, Int
from tclif_deploy.fixed.mismatch import mismatch as mismatched
from tclif_deploy.network import Float
from tclif_deploy.nn.fused import array_of
from tclif_deploy.nn.neuron import TCLIF, Recurrent, SpikingNeuron
from tclif_deploy.nn.quantized_layer import LayerScan, quantized_layer, straight_through
from tclif_deploy.nn.sequence import SequenceNetwork, at_last, running, summed
from tclif_deploy.target import WIDTHS, Target, largest_held, nearest_held

RESIDUAL = 0.5
"""share of a weight's rounding error that its master keeps at the start: 0 puts it on the integer, 1 on the float"""
COARSE_GRID_LIMIT = 7
"""weights of less than this (4 bits' largest) learn faster by what is missing"""
EXACT = 2**53
"""float64 holds every integer up to here"""


class QuantizedNetwork(SequenceNetwork):
    """``start``'s integers over the masters of a float network of the same layers; input is integers as float32.

    At the start the integers are ``start``'s. With a ``mismatch`` above 0, what is trained (`varied`) is devices that
    differ by so much, as `tclif_deploy.fixed.mismatch` has it; what is measured and built are the integers themselves.

    Raises `TclifError` for networks that cannot be learned so.

    Examples
    --------
    >>> from tclif_deploy import load, load_data, load_target, quantize
    >>> from tclif_deploy.nn.from_network import to_module
    >>> network, target = load("fixtures/spoken_digits/checkpoint.pth.tar"), load_target("loihi2")
    >>> fixed = quantize(network, target, "fixtures/spoken_digits/calibration.npz")
    >>> tuned = QuantizedNetwork(list(to_module(network).float()), fixed, target)
    >>> bool((tuned.fixed().layers[0].connections[0].weight == fixed.layers[0].connections[0].weight).all())
    True
    """

    def __init__(
        self,
        modules: list[torch.nn.Module],
        start: FixedNetwork,
        target: Target,
        residual: float = RESIDUAL,
        mismatch: float = 0.0,
    ) -> None:
        _check(start)
        super().__init__(modules)
        self.start = start
        if self.leak is not None:
            self.leak.requires_grad_(False)
        self.target = target
        self.mismatch = mismatch
        self._device = threading.local()
        self.max_weight = 2 ** (target.weight_bits.value - 1) - 1
        self.gains = torch.nn.ParameterList(
            torch.nn.Parameter(torch.ones(layer.size)) for layer in start.layers if layer.spiking
        )
        self.first: list[dict[str, Float]] = []
        with torch.no_grad():
            for n, layer in enumerate(start.layers):
                for weight, c in zip(self._weights(n), layer.connections, strict=True):
                    step = start.weight_step(layer, c)
                    left = np.clip(array_of(weight) / step - c.weight, -0.5, 0.5)
                    weight.copy_(torch.from_numpy((c.weight + residual * left) * step))
                self.first.append(self._smooth(n))
        self.wide = [self._accumulator(layer) for layer in start.layers]
        self._lock = threading.Lock()
        self._overflows = 0
        self._cached: tuple[tuple[int, ...], FixedNetwork, list[LayerScan]] | None = None

    def _linear(self, n: int) -> torch.nn.Linear:
        linear = self.features[2 * n]
        assert isinstance(linear, torch.nn.Linear)
        return linear

    def _neuron(self, n: int) -> SpikingNeuron | None:
        if n >= self.depth:
            return None
        module = self.features[2 * n + 1]
        neuron = module.sub_module if isinstance(module, Recurrent) else module
        assert isinstance(neuron, SpikingNeuron)
        return neuron

    @property
    def neurons(self) -> list[SpikingNeuron]:
        """The spiking layers' neurons, without containers."""
        return [neuron for n in range(len(self.gains)) if (neuron := self._neuron(n)) is not None]

    def _weights(self, n: int) -> list[Tensor]:
        """The layer's weights, in the order of its connections."""
        weights: list[Tensor] = [self._linear(n).weight]
        if n < self.depth and isinstance(recurrent := self.features[2 * n + 1], Recurrent):
            weights.append(recurrent.hid_weight.weight)
        layer = self.start.layers[n]
        return weights[::-1] if layer.connections[0].source == layer.name else weights

    def _smooth(self, n: int) -> dict[str, Float]:
        """Float values of what is learned on a grid so fine that its start is remembered instead of rounded."""
        values: dict[str, Float] = {}
        with torch.no_grad():
            if self._linear(n).bias is not None:
                values["bias_u"] = array_of(self._linear(n).bias).astype(np.float64)
            neuron = self._neuron(n)
            if isinstance(neuron, TCLIF):
                beta = torch.sigmoid(neuron.decay_factor.double()).numpy()
                values["b_u"], values["b_v"] = -beta[:, 0], beta[:, 1]
        return values

    def _accumulator(self, layer: FixedLayer) -> type[np.signedinteger[Any]]:
        """int32 where every sum fits, whatever the weights become."""
        max_weight = self.max_weight
        full = replace(
            layer, connections=tuple(replace(c, weight=np.full_like(c.weight, max_weight)) for c in layer.connections)
        )
        bounds = layer_bounds(self.start, full)
        if bounds.largest >= EXACT:
            raise TclifError(
                f"layer {layer.name}: numbers up to {bounds.largest:.2g} cannot be trained exactly",
                "fewer state or coefficient bits are needed: numbers must stay below 2^53",
            )
        return np.int32 if bounds.accumulator < 2**31 else np.int64

    def count_overflows(self, overflows: int) -> None:
        """Count values that left their state's range; threads may call it."""
        if overflows:
            with self._lock:
                self._overflows += overflows

    def take_overflows(self) -> int:
        """Values that left their range since the last call."""
        with self._lock:
            overflows, self._overflows = self._overflows, 0
        return overflows

    @contextmanager
    def varied(self, key: tuple[int, ...]) -> Iterator[None]:
        """While it lasts, this thread's integers are those of a device drawn from ``key``: the same for the same.

        Thresholds stay above 0, and couplings of u into v other than 0, which the way back divides by.
        """
        if not self.mismatch:
            yield
            return
        network = self.fixed()
        drawn = mismatched(network, self.mismatch, np.random.default_rng(key))
        layers = tuple(
            replace(layer, threshold=np.maximum(layer.threshold, 1), b_v=np.where(layer.b_v == 0, was.b_v, layer.b_v))
            if layer.spiking
            else layer
            for layer, was in zip(drawn.layers, network.layers, strict=True)
        )
        drawn = replace(drawn, layers=layers)
        self._device.integers = drawn, [self._scan(drawn, n) for n in range(len(layers))]
        try:
            yield
        finally:
            self._device.integers = None

    def fixed(self) -> FixedNetwork:
        """The integers that run."""
        return self._integers()[0]

    def _integers(self) -> tuple[FixedNetwork, list[LayerScan]]:
        if (device := getattr(self._device, "integers", None)) is not None:
            drawn: tuple[FixedNetwork, list[LayerScan]] = device
            return drawn
        # in-place changes of a parameter raise its version; threads that meet a new one at once all do this work
        versions = tuple(parameter._version for parameter in self.parameters())
        cached = self._cached
        if cached is None or cached[0] != versions:
            layers = tuple(self._fixed_layer(n) for n in range(len(self.start.layers)))
            network = replace(self.start, layers=layers)
            scans = [self._scan(network, n) for n in range(len(layers))]
            cached = self._cached = versions, network, scans
        return cached[1], cached[2]

    def _fixed_layer(self, n: int) -> FixedLayer:
        start, first, now = self.start.layers[n], self.first[n], self._smooth(n)
        connections = tuple(
            replace(c, weight=_rounded(array_of(w) / self.start.weight_step(start, c), self.max_weight))
            for w, c in zip(self._weights(n), start.connections, strict=True)
        )
        one = self.start.arithmetic.one
        bounds = {"bias_u": largest_held(self.target, "bias_u"), "b_u": one, "b_v": one}
        moved: dict[str, Any] = {
            name: _rounded(
                getattr(start, name) + self.start.from_real(start, name, now[name] - first[name]), bounds[name]
            )
            for name in now
        }
        if start.spiking:
            gain = array_of(self.gains[n]).astype(np.float64)
            for name in ("threshold", "r_u", "r_v", "v_reset"):
                moved[name] = _rounded(getattr(start, name) * gain, largest_held(self.target, name))
        for name in moved.keys() & WIDTHS.keys():
            moved[name] = nearest_held(self.target, name, moved[name])
        return replace(start, connections=connections, **moved)

    def _scan(self, network: FixedNetwork, n: int) -> LayerScan:
        layer, m, wide = network.layers[n], network.arithmetic, self.wide[n]
        rounding_offset = {"toward_zero": None, "floor": 0.0, "nearest": 0.5}[m.rounding]
        state_limits = [
            float(2 ** (bits - 1) - 1) if overflow == "saturate" else (float(2 ** (bits - 1)), float(2**bits))
            for bits, overflow in ((m.bits_u, m.overflow_u), (m.bits_v, m.overflow_v))
        ]
        steps = [network.weight_step(layer, c) for c in layer.connections]
        weights = [
            (np.ascontiguousarray((c.weight << c.exponent).T, dtype=wide), torch.from_numpy(c.weight * step).float())
            for c, step in zip(layer.connections, steps, strict=True)
        ]
        if layer.connections[0].source == layer.name:
            weights.reverse()
        none = np.zeros((0, layer.size), wide), torch.zeros(0, layer.size)
        (weight, real_weight), (recurrent, real_recurrent) = weights[0], weights[1] if len(weights) > 1 else none

        def real64(values: Int) -> Float:
            return values.astype(np.float64)

        fire_at = real64(layer.threshold) if layer.spiking else np.full(layer.size, np.inf)
        couplings = tuple(getattr(layer, name) / m.one for name in ("a_u", "b_u", "a_v", "b_v"))
        numbers = (
            float(2.0**layer.shift), real64(layer.bias_u), *couplings, rounding_offset, *state_limits, fire_at,
            real64(layer.r_u), real64(layer.r_v), real64(layer.v_reset),
        )  # fmt: skip
        real_values = {name: network.to_real(layer, name) for name in LAYER_ARRAYS}
        real_values["fire_at"] = network.to_real(layer, "threshold", layer.threshold - 0.5)
        backward = ("a_u", "b_u", "a_v", "b_v", "fire_at", "r_u", "r_v", "v_reset")
        feed = next(c.source for c in layer.connections if c.source != layer.name)
        neuron = self._neuron(n)
        return LayerScan(
            weight, recurrent, numbers, layer.reset == "hard" and layer.spiking, layer.lsb_v,
            network.source_unit(feed), real_weight, real_recurrent,
            tuple(real_values[name].astype(np.float32) for name in backward),
            real_values["threshold"].astype(np.float32),
            neuron.surrogate if neuron else "triangle", neuron.detach_reset if neuron else False,
        )  # fmt: skip

    def spikes(self, x: Tensor, dtype: torch.dtype | None = None, plain: bool = False) -> list[Tensor]:
        """Each spiking layer's spikes (time, samples, neurons), always bfloat16, for integers ``x`` as `forward`'s."""
        scans = self._integers()[1]
        signal, out = x.transpose(0, 1), []
        for n, gain in enumerate(self.gains):
            linear, neuron, module = self._linear(n), self._neuron(n), self.features[2 * n + 1]
            recurrent = module.hid_weight.weight if isinstance(module, Recurrent) else None
            couplings = None
            if isinstance(neuron, TCLIF):
                beta = torch.sigmoid(neuron.decay_factor)
                couplings = -beta[:, 0], beta[:, 1]
            signal = quantized_layer(
                signal, linear.weight, linear.bias, recurrent, couplings, gain, scans[n], self.count_overflows
            )
            out.append(signal)
        return out

    def readout(self, spikes: Tensor, lengths: Tensor | None = None, labels: bool = True) -> Tensor:
        """The readout's soma at each sample's last step, in the float network's units."""
        scores = self._scores(self.readout_integers(spikes, lengths), labels)
        if self.leak is not None:
            return straight_through(at_last(self._smooth_steps(spikes), lengths), scores)
        return straight_through(summed(spikes, self._exact_weight(), self.last.bias, lengths), scores)

    def readouts(self, spikes: Tensor, labels: bool = True) -> Tensor:
        """The readout's soma after each step, in the float network's units, (time, samples, outputs); of ``labels``
        less the greatest, so that float32 tells them apart as the integers do."""
        scores = self._scores(self._soma(spikes), labels)
        return straight_through(self._smooth_steps(spikes), scores - scores.amax(2, keepdim=True) if labels else scores)

    def _scores(self, exact: Int, labels: bool) -> Tensor:
        """What the readout's integers mean to the float network, float64."""
        network = self.fixed()
        if not labels:
            return torch.from_numpy(exact * network.readout_unit)
        # decisions compare soma times multiplier, so scores are exactly that times one number
        unit = float((network.output.lsb_v / network.output.multiplier).mean())
        return torch.from_numpy(exact * network.output.multiplier * unit)

    def _exact_weight(self) -> Tensor:
        """What the readout's weights are, differentiated as its masters."""
        return straight_through(self.last.weight, self._integers()[1][-1].real_weight)

    def _smooth_steps(self, spikes: Tensor) -> Tensor:
        """The float readout after each step, of what the integers mean."""
        network = self.fixed()
        decay = None
        if self.leak is not None:
            decay = torch.from_numpy(network.to_real(network.output, "a_v")).float()
        return running(spikes, self._exact_weight(), self.last.bias, decay)

    def readout_integers(self, spikes: Tensor, lengths: Tensor | None = None) -> Int:
        """The readout's soma at each sample's last step, int64 (samples, classes)."""
        time, samples = spikes.shape[:2]
        last = np.full(samples, time) if lengths is None else lengths.numpy()
        readout: Int = self._soma(spikes)[last - 1, np.arange(samples)]
        return readout

    def _soma(self, spikes: Tensor) -> Int:
        """The readout's soma after each step, int64 (time, samples, outputs)."""
        network, scans = self._integers()
        soma = np.empty((*spikes.shape[:2], network.output.size))
        unused = torch.empty(soma.shape, dtype=spikes.dtype)
        self.count_overflows(scans[-1].run(spikes.detach().contiguous(), soma, np.ones(network.output.size), unused))
        return soma.astype(np.int64)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Weights on a grid of steps so coarse that they would never leave an integer learn faster."""
        weights = [weight for n in range(len(self.start.layers)) for weight in self._weights(n)]
        chosen = {id(weight) for weight in weights}
        others = [parameter for parameter in self.parameters() if id(parameter) not in chosen]
        share = max(1.0, COARSE_GRID_LIMIT / self.max_weight)
        return [{"params": weights, "share": share}, {"params": others, "share": 1.0}]

    def float_state(self) -> dict[str, Tensor]:
        """The masters as a float network's checkpoint: gains go into the weights that they scale.

        The authors' recurrent Linear has a bias too: zeros, since the layer's one bias holds the sum.
        """
        state = {key: value for key, value in super().float_state().items() if not key.startswith("gains.")}
        for n, gain in enumerate(self.gains):
            scale = gain.detach().float()
            names = (f"{2 * n}.weight", f"{2 * n}.bias", f"{2 * n + 1}.hid_weight.weight")
            for key in (f"features.{name}" for name in names):
                if key in state:
                    state[key] /= scale[:, None] if state[key].ndim == 2 else scale
            if isinstance(self.features[2 * n + 1], Recurrent):
                state[f"features.{2 * n + 1}.hid_weight.bias"] = torch.zeros_like(scale)
        return state


def _rounded(values: Float, limit: int) -> Int:
    return np.clip(np.rint(values), -limit, limit).astype(np.int64)


def _check(start: FixedNetwork) -> None:
    """Raise `TclifError` for what cannot be learned through its integers."""
    if not start.usual_readout:
        raise TclifError(f"the readout {start.readout} cannot be fine-tuned", "the soma after the last step can")
    if start.arithmetic.unusual:
        rules = ", ".join(start.arithmetic.unusual)
        raise TclifError(f"the arithmetic's {rules} cannot be fine-tuned", "choose a target without")
    for n, layer in enumerate(start.layers):
        if any(c.kind != "dense" for c in layer.connections):
            raise TclifError(f"layer {layer.name}: is not dense", "only dense layers can be fine-tuned")
        for name in ("q", "bias_v", "v0", "u0", "s0"):
            if getattr(layer, name).any():
                raise TclifError(f"layer {layer.name}: has {name}", "neurons with it cannot be fine-tuned")
        if layer.spiking and layer.reset == "hard" and layer.r_u.any():
            raise TclifError(f"layer {layer.name}: a hard reset with r_u", "neurons with it cannot be fine-tuned")
        if layer.input_to != "dendrite":
            raise TclifError(f"layer {layer.name}: input enters the soma", "such neurons cannot be fine-tuned")
        if layer.spiking and ((layer.threshold <= 0).any() or (layer.b_v == 0).any()):
            raise TclifError(f"layer {layer.name}: a threshold <= 0 or a b_v of 0", "they cannot be fine-tuned")
        if layer.spiking and n == len(start.layers) - 1:
            raise TclifError(f"layer {layer.name}: is the last one and spikes", "a readout must not spike")
