"""A network that computes with a target's integers on the way forward, and learns floats on the way back.

Every learned number has a float *master*; the integer that runs is the master on the integer's grid. Forward is the
fixed-point network's own arithmetic (`tclif_deploy.nn.fixed_scan`), bit for bit; backward is the float network's, at
what the integers mean, and its gradients go to the masters as if rounding were not there (straight through).

What is learned: weights, on the grid of each neuron's scale; biases, which every layer has; TC-LIF's couplings, as the
pair of integers nearest in their product, the compartments' ratio of LSBs kept; and for each neuron one *gain* that
its threshold and resets share. (Scaling those is scaling the neuron's weights and bias the other way, so a gain is a
finer weight scale, and a float checkpoint can hold it.) Where asked, also the *scales*: the step of each neuron's
weights (`tclif_deploy.nn.learned.on_grid`), and with it the LSBs of its states; the *decays* of PLIF's somas and of a
readout; and *gamma*, one factor a layer. Shifts stay as the quantizer chose them. What is one number a layer on the
target is learned as one.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import COEFFICIENTS, FixedLayer, FixedNetwork, Int
from tclif_deploy.fixed.mismatch import mismatch as mismatched
from tclif_deploy.network import Float
from tclif_deploy.nn.config import Learned
from tclif_deploy.nn.fused import array_of
from tclif_deploy.nn.learned import layer_keys, on_grid, take_gamma_into_couplings
from tclif_deploy.nn.neuron import PLIF, TCLIF, Recurrent, SpikingNeuron
from tclif_deploy.nn.quantized_layer import LayerScan, LearnedNumbers, layer_scan, quantized_layer, straight_through
from tclif_deploy.nn.sequence import SequenceNetwork, at_last, running, summed
from tclif_deploy.nn.tunable import accumulator, check_tunable
from tclif_deploy.quantization.couplings import nearest_pairs
from tclif_deploy.quantization.layer_plan import READOUT_BITS
from tclif_deploy.target import WIDTHS, Target, largest_held, nearest_factor, nearest_held

RESIDUAL = 0.5
"""share of a weight's rounding error that its master keeps at the start: 0 puts it on the integer, 1 on the float"""
COARSE_GRID_LIMIT = 7
"""weights of less than this (4 bits' largest) learn faster by what is missing"""


class QuantizedNetwork(SequenceNetwork):
    """``start``'s integers over the masters of a float network of the same layers; input is integers as float32.

    At the start the integers are ``start``'s. With a ``mismatch`` above 0, what is trained (`varied`) is devices that
    differ by so much, as `tclif_deploy.fixed.mismatch` has it; what is measured and built are the integers themselves.
    ``learn`` names what is learned beside weights, biases, couplings and gains; ``weight_bits`` are the widths by
    layer that its weights keep to, default: the target's.

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
        learn: Collection[Learned] = (),
        weight_bits: Sequence[int] = (),
    ) -> None:
        check_tunable(start)
        super().__init__(modules)
        self.start = start
        leaks = [self.leak, *(module for module in self.modules() if isinstance(module, PLIF))]
        for module in leaks if "decays" not in learn else ():
            if module is not None:
                module.requires_grad_(False)
        for n, layer in enumerate(start.layers):
            if self._linear(n).bias is None:  # its integers have one, which quantization may have set
                self._linear(n).bias = torch.nn.Parameter(torch.zeros(layer.size))
        self.target = target
        self.mismatch = mismatch
        self._device = threading.local()
        widths = weight_bits or (target.weight_bits.value,) * len(start.layers)
        self.max_weights = [2 ** (bits - 1) - 1 for bits in widths]
        alone = target.per_neuron_parameters.value
        sizes = [layer.size if alone else 1 for layer in start.layers]
        self.gains = torch.nn.ParameterList(torch.nn.Parameter(torch.ones(size)) for size in sizes[:-1])
        self.log_scales = torch.nn.ParameterList(
            torch.nn.Parameter(torch.zeros(size)) for size in sizes if "scales" in learn
        )
        self.gamma_factors = torch.nn.ParameterDict(
            {
                str(n): torch.nn.Parameter(torch.ones(1))
                for n, layer in enumerate(start.layers)
                if "gamma" in learn and isinstance(self._neuron(n), TCLIF) and layer.r_u.any()
            }
        )
        idle = {"decays": all(module is None for module in leaks), "gamma": not self.gamma_factors}
        lacking = {"decays": "a decay that is learned: PLIF's, or that of a readout that leaks",
                   "gamma": "a TC-LIF dendrite that a soft reset lowers"}  # fmt: skip
        for what in sorted(set(learn)):
            if idle.get(what):
                raise TclifError(f"learn {what}: no layer of this network has {lacking[what]}", "leave it out")
        self.steps: list[list[Tensor]] = []
        self.first: list[dict[str, Float]] = []
        with torch.no_grad():
            for n, layer in enumerate(start.layers):
                steps = [start.weight_step(layer, c) for c in layer.connections]
                self.steps.append([torch.from_numpy(step.reshape(-1, 1)).float() for step in steps])
                for weight, c, step in zip(self._weights(n), layer.connections, steps, strict=True):
                    left = np.clip(array_of(weight) / step - c.weight, -0.5, 0.5)
                    weight.copy_(torch.from_numpy((c.weight + residual * left) * step))
                self.first.append(self._smooth(n))
        self.accumulators = [
            accumulator(start, layer, most) for layer, most in zip(start.layers, self.max_weights, strict=True)
        ]
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
        return weights[::-1] if self._recurrent_first(n) else weights

    def _recurrent_first(self, n: int) -> bool:
        layer = self.start.layers[n]
        return layer.connections[0].source == layer.name

    def _smooth_weights(self, n: int) -> list[Tensor]:
        """What the layer's weights are as functions of what is learned, those of other layers before its own; only
        their gradients count."""
        weights = self._weights(n)
        if self.log_scales:
            scale, most = self.log_scales[n], self.max_weights[n]
            weights = [on_grid(w, step, scale, most) for w, step in zip(weights, self.steps[n], strict=True)]
        return weights[::-1] if self._recurrent_first(n) else weights

    def _smooth_numbers(self, n: int) -> LearnedNumbers:
        """The layer's learned factors and gamma, likewise."""
        neuron = self._neuron(n)
        if isinstance(neuron, PLIF) and neuron.w.requires_grad:
            return LearnedNumbers(a_v=1 - torch.sigmoid(neuron.w).reshape(1))
        if not isinstance(neuron, TCLIF):
            return LearnedNumbers()
        beta, r_u = torch.sigmoid(neuron.decay_factor), None
        if str(n) in self.gamma_factors:  # a gain's own gradient has its part of the reset
            r_u = neuron.gamma * self.gamma_factors[str(n)] * self.gains[n].detach()
        return LearnedNumbers(b_u=-beta[:, 0], b_v=beta[:, 1], r_u=r_u)

    def _smooth(self, n: int) -> dict[str, Float]:
        """Float values of what is learned on a grid so fine that its start is remembered instead of rounded."""
        values: dict[str, Float] = {}
        with torch.no_grad():
            values["bias_u"] = array_of(self._linear(n).bias).astype(np.float64)
            neuron = self._neuron(n)
            if isinstance(neuron, TCLIF):
                beta = torch.sigmoid(neuron.decay_factor.double()).numpy()
                values["b_u"], values["b_v"] = -beta[:, 0], beta[:, 1]
            if isinstance(neuron, PLIF):
                values["a_v"] = 1 - torch.sigmoid(neuron.w.double()).reshape(1).numpy()
            if n == self.depth and self.leak is not None:
                values["a_v"] = torch.sigmoid(-self.leak.leak.double()).numpy()
        return values

    def count_overflows(self, overflows: int) -> None:
        """Count values that left their state's range; threads may call it."""
        if overflows:
            with self._lock:
                self._overflows += overflows

    def counts(self) -> dict[str, int]:
        """Values that left their range in training so far."""
        with self._lock:
            return {"overflows": self._overflows}

    def take_up_counts(self, counts: dict[str, int]) -> None:
        """Go on from what an interrupted training counted."""
        with self._lock:
            self._overflows = int(counts.get("overflows", 0))

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
        start, first, now, target = self.start.layers[n], self.first[n], self._smooth(n), self.target
        scale = np.ones(1)
        if self.log_scales:
            scale = np.exp(array_of(self.log_scales[n]).astype(np.float64))
        layer = replace(start, lsb_u=start.lsb_u * scale, lsb_v=start.lsb_v * scale)
        connections = tuple(
            replace(c, weight=_rounded(array_of(w) / self.start.weight_step(layer, c), self.max_weights[n]))
            for w, c in zip(self._weights(n), start.connections, strict=True)
        )
        one = self.start.arithmetic.one
        limits = {"bias_u": largest_held(target, "bias_u"), "a_v": one, "b_u": one, "b_v": one}
        exact = {
            name: getattr(start, name) / (1.0 if name in COEFFICIENTS else scale)
            + self.start.from_real(layer, name, values - first[name])
            for name, values in now.items()
        }
        moved: dict[str, Any] = {name: _rounded(values, limits[name]) for name, values in exact.items()}
        if "b_u" in exact:
            moved["b_u"], moved["b_v"] = nearest_pairs(exact["b_u"], exact["b_v"], one)
        if start.spiking:
            gain = array_of(self.gains[n]).astype(np.float64) / scale
            factor = self._gamma_factor(n)
            for name in ("threshold", "r_u", "r_v", "v_reset"):
                scaled = getattr(start, name) * (gain * factor if name == "r_u" else gain)
                moved[name] = _rounded(scaled, largest_held(target, name))
        elif self.log_scales:
            moved["multiplier"] = np.rint(2.0**READOUT_BITS * (layer.lsb_v / layer.lsb_v.max())).astype(np.int64)
        for name in moved.keys() & WIDTHS.keys():
            moved[name] = nearest_held(target, name, moved[name])
        if "a_v" in moved:
            moved["a_v"] = nearest_factor(target, moved["a_v"].clip(0), "v")
        return replace(layer, connections=connections, **moved)

    def _gamma_factor(self, n: int) -> float:
        """What the layer's gamma is multiplied with."""
        return float(self.gamma_factors[str(n)].item()) if str(n) in self.gamma_factors else 1.0

    def _scan(self, network: FixedNetwork, n: int) -> LayerScan:
        neuron = self._neuron(n)
        surrogate, detached = (neuron.surrogate, neuron.detach_reset) if neuron else ("triangle", False)
        return layer_scan(network, network.layers[n], self.accumulators[n], surrogate, detached)

    def spikes(self, x: Tensor, dtype: torch.dtype | None = None, plain: bool = False) -> list[Tensor]:
        """Each spiking layer's spikes (time, samples, neurons), always bfloat16, for integers ``x`` as `forward`'s."""
        scans = self._integers()[1]
        signal, source, out = x.transpose(0, 1), None, []
        for n, gain in enumerate(self.gains):
            weight, *recurrent = self._smooth_weights(n)
            signal, source = quantized_layer(
                signal, weight, self._linear(n).bias, recurrent[0] if recurrent else None, self._smooth_numbers(n),
                gain, scans[n], self.count_overflows, source,
            )  # fmt: skip
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
        return straight_through(self._smooth_weights(self.depth)[0], self._integers()[1][-1].real_weight)

    def _smooth_steps(self, spikes: Tensor) -> Tensor:
        """The float readout after each step, of what the integers mean."""
        network = self.fixed()
        decay = None
        if self.leak is not None:
            exact = torch.from_numpy(network.to_real(network.output, "a_v")).float()
            decay = straight_through(self.leak.decay, exact)
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
        """Weights on a grid of steps so coarse that they would never leave an integer learn faster, as do the steps."""
        shares = [max(1.0, COARSE_GRID_LIMIT / most) for most in self.max_weights]
        on_grids: dict[float, list[Tensor]] = {share: [] for share in shares}
        for n, share in enumerate(shares):
            on_grids[share] += self._weights(n)
        for share, scale in zip(shares, self.log_scales, strict=False):  # none where they are not learned
            on_grids[share].append(scale)
        chosen = {id(parameter) for group in on_grids.values() for parameter in group}
        others = [parameter for parameter in self.parameters() if id(parameter) not in chosen]
        groups = [{"params": weights, "share": share} for share, weights in on_grids.items()]
        return [*groups, {"params": others, "share": 1.0}]

    def float_state(self) -> dict[str, Tensor]:
        """The masters as a float network's checkpoint: gains go into the weights that they scale, and gamma, which no
        checkpoint holds, into the couplings, unless one would be 1 or more (`gammas`).

        The authors' recurrent Linear has a bias too: zeros, since the layer's one bias holds the sum.
        """
        return self._float_state()[0]

    @property
    def gammas(self) -> list[float]:
        """The gamma that each spiking layer of `float_state` is to be read with, 0 for neurons without."""
        return self._float_state()[1]

    def _float_state(self) -> tuple[dict[str, Tensor], list[float]]:
        own = ("gains.", "log_scales.", "gamma_factors.")
        state = {key: value for key, value in super().float_state().items() if not key.startswith(own)}
        gammas = [getattr(neuron, "gamma", 0.0) for neuron in self.neurons]
        for n, gain in enumerate(self.gains):
            scale = gain.detach().float()
            for key in layer_keys(state, n):
                state[key] /= scale[:, None] if state[key].ndim == 2 else scale
            if isinstance(self.features[2 * n + 1], Recurrent):
                size = self.start.layers[n].size
                state[f"features.{2 * n + 1}.hid_weight.bias"] = torch.zeros(size)
            factor = self._gamma_factor(n)
            if factor != 1.0 and not take_gamma_into_couplings(state, n, factor):
                gammas[n] *= factor
        return state, gammas


def _rounded(values: Float, limit: int) -> Int:
    return np.clip(np.rint(values), -limit, limit).astype(np.int64)
