"""What `compare_integers.py` draws: networks, data, targets and settings, and the models of other tools.

All by numpy and from the caller's generator, so that two checkouts get the same.
"""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import import_module
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray

PLACES = {
    **dict.fromkeys(("Network", "Layer", "Connection"), ("network",)),
    "Conv": ("convolution",),
    "get": ("backends",),
    **dict.fromkeys(("TCLIF", "LIF", "PLIF", "Recurrent"), ("nn",)),
    **dict.fromkeys(("read_nir", "write_nir", "export_nir"), ("formats.nir", "interchange")),
    **dict.fromkeys(("read_netx", "write_netx", "write_netx_fixed"), ("formats.netx", "interchange")),
    "simulate_float": ("simulation.floating", "simulate.floating"),
}
"""Where a name stands in one checkout or another, newest first; all other names are the package's own."""

TARGETS: dict[str, tuple[str, dict[str, int]]] = {
    "loihi2": ("loihi2", {}), "loihi2_4bit": ("loihi2", {"weight_bits": 4}), "loihi1": ("loihi1", {}),
    "ideal": ("ideal", {}), "spinnaker2": ("spinnaker2", {}), "speck2": ("speck2", {}), "xylo2": ("xylo2", {}),
}  # fmt: skip
"""Shipped targets, with what is changed about them."""
DT = 1e-4
"""Time step of NIR files."""
LONGEST = 3
"""steps that connections of random networks are late"""

RANGES = {
    "c1": (-1.5, 1.5), "c2": (-1.5, 1.5), "gamma": (0.1, 0.8), "threshold": (0.6, 1.6), "v_reset": (-0.3, 0.3),
    "decay": (0.5, 1.0), "gain": (0.5, 1.5), "rest": (-0.1, 0.1), "v0": (-0.3, 0.3), "bias": (-0.1, 0.15), "w": (-3, 0),
    "current_decay": (0.2, 1.0), "voltage_decay": (0.02, 0.5), "alpha1": (0.6, 1.0), "beta1": (-0.6, -0.1),
    "alpha2": (0.6, 1.0), "beta2": (0.2, 0.7), "alpha": (0.6, 1.0), "rho": (0.6, 1.0), "kappa": (0.1, 0.5),
    "beta": (0.1, 0.5), "jump": (0.1, 0.5), "leak": (-0.05, 0.05), "k": (0.5, 2.0), "a_u": (0.0, 1.0),
    "a_v": (0.5, 1.0), "b_u": (-0.6, 0.0), "b_v": (0.2, 0.8), "r_u": (-0.2, 0.5), "r_v": (0.5, 1.2), "q": (-0.2, 0.2),
    "bias_u": (-0.05, 0.1), "bias_v": (-0.05, 0.1),
}  # fmt: skip
CHOICES = {
    "strict": (False, True), "reset": ("soft", "hard"), "decay_input": (False, True), "hard_gate": (0.0, 1.0),
    "input_to": ("dendrite", "soma"),
}  # fmt: skip
KINDS = {
    "tclif": "c1 c2 gamma threshold / strict reset v_reset bias",
    "lif": "decay threshold / strict reset v_reset gain rest v0 bias",
    "plif": "w threshold / strict reset v_reset decay_input bias",
    "cuba_lif": "current_decay voltage_decay threshold / strict reset v_reset gain rest bias bias_v",
    "integrate_and_fire": "threshold / strict reset v_reset gain v0 bias",
    "two_compartment": "alpha1 beta1 alpha2 beta2 threshold / strict bias",
    "alif_bellec": "alpha rho kappa threshold / strict bias",
    "alif_yin": "alpha rho beta threshold / strict bias",
    "ahp": "alpha rho jump threshold / strict bias",
    "glif": "decay threshold / leak hard_gate gain strict bias",
    "ltmd": "k decay / strict bias",
    "canonical": "a_u b_u a_v b_v threshold r_u r_v / input_to strict reset v_reset q bias_u bias_v v0",
    "readout": "/ decay bias gain rest current_decay v0",
}
"""Constructors of neurons: parameters that they need / that they may be given."""


class MissingError(Exception):
    """A name is nowhere in a checkout: nothing can be compared before its place is known."""


def find(name: str) -> Any:
    """What goes by ``name`` in the checkout that this process imports."""
    for place in PLACES.get(name, ("",)):
        try:
            return getattr(import_module(f"tclif_deploy.{place}".rstrip(".")), name)
        except (ModuleNotFoundError, AttributeError):
            continue
    raise MissingError(f"{name} is not in {PLACES.get(name, 'tclif_deploy')}: add its new place to PLACES")


def draw_neuron(rng: np.random.Generator, kind: str, size: int, plain: bool) -> Any:
    """A population whose parameters are one number, or one for each neuron; ``plain`` is what netx can hold."""
    needed, may_be = (part.split() for part in KINDS[kind].split("/"))
    given: dict[str, Any] = {}
    for name in [*needed, *(name for name in may_be if rng.random() < 0.5 and not plain)]:
        if name in CHOICES:
            given[name] = CHOICES[name][rng.integers(2)]
            continue
        given[name] = rng.uniform(*RANGES[name], 1 if plain or rng.random() < 0.5 else size)
        if "bias" in name and rng.random() < 0.2:
            given[name] = given[name] * -0.0
    if plain:
        given |= {"strict": bool(rng.integers(2)), "reset": "hard"}
    make = getattr(import_module("tclif_deploy.neurons"), kind)
    return make(size, "drawn", **given) if kind == "canonical" else make(size, **given)


def draw_weight(rng: np.random.Generator, *shape: int, gain: float = 1.0) -> NDArray[np.float64]:
    """Weights that make neurons fire, with what quantizers and readers may stumble over."""
    fan_in, rows = math.prod(shape[1:]), (shape[0], *[1] * (len(shape) - 1))
    weight = rng.normal(2.0 * gain / fan_in, 1.4 * gain / fan_in**0.5, shape)
    weight[rng.random(shape) < 0.1] *= -0.0
    if rng.random() < 0.3:
        weight[rng.integers(shape[0])] *= rng.choice([0.0, 1e-4])
    if rng.random() < 0.4:  # as a folded batch norm leaves them
        weight = weight * (rng.uniform(-0.3, 1.8, rows) / np.sqrt(rng.uniform(0.2, 3.0, rows) + 1e-5))
    return weight.astype(np.float32).astype(np.float64) if rng.random() < 0.5 else weight


def draw_convolution(rng: np.random.Generator, shape: tuple[int, ...], **where: Any) -> Any:
    """A connection that moves a kernel over a map of ``shape``."""
    groups = int(rng.choice([g for g in (1, 2, 3) if shape[0] % g == 0]))
    size = [int(rng.integers(1, min(3, side) + 1)) for side in shape[1:]]
    dilation = tuple(
        1 + int(side > 2 * (k - 1) and rng.random() < 0.3) for side, k in zip(shape[1:], size, strict=True)
    )
    stride, padding = (tuple(int(v) for v in rng.integers(*ends)) for ends in ((1, 3, 2), (0, 2, 4)))
    conv = find("Conv")(shape, stride=stride, padding=padding, dilation=dilation, groups=groups)
    weight = draw_weight(rng, groups * int(rng.integers(1, 3)), shape[0] // groups, *size)
    return find("Connection")(weight=weight, conv=conv, **where)


def draw_network(rng: np.random.Generator, plain: bool) -> Any:
    """Layers of any neurons, with convolutions, recurrence, delays, skips and feedback; ``plain`` ones for netx."""
    connection, layer = find("Connection"), find("Layer")
    shape: tuple[int, ...] = tuple(int(v) for v in rng.integers([1, 3, 3], [4, 7, 7]))
    if rng.random() < 0.6:
        shape = (int(rng.integers(1, 13)),)
    inputs, layers = math.prod(shape), []
    sizes, count, spiking = {"input": inputs}, int(rng.integers(1, 4)), plain or rng.random() < 0.3
    kinds = ["lif", "cuba_lif"] if plain else [kind for kind in KINDS if kind != "readout"]
    for n in range(count + 1):
        name, source, silent = f"features.{n}", f"features.{n - 1}" if n else "input", n == count and not spiking
        late = 0 if plain else int(rng.choice([0, 0, 0, 1, LONGEST]))
        if len(shape) == 3 and n < count and rng.random() < 0.7:
            links = [draw_convolution(rng, shape, source=source, delay=late)]
            shape = links[0].output_shape
        else:
            size = int(rng.integers(2, 14))
            links, shape = [connection(source, draw_weight(rng, size, math.prod(shape)), late)], (size,)
        size = math.prod(shape)
        if not silent and rng.random() < 0.4 and not (plain and len(shape) == 3):
            delay = 1 if plain else int(rng.integers(1, 3))
            links.append(connection(name, draw_weight(rng, size, size, gain=0.3), delay))
        if n and not plain and rng.random() < 0.3:
            past = str(rng.choice(list(sizes)))
            links.append(connection(past, draw_weight(rng, size, sizes[past], gain=0.5), int(rng.integers(0, 2))))
        kind = "readout" if silent else str(rng.choice(kinds))
        layers.append(layer(name, draw_neuron(rng, kind, size, plain), tuple(links)))
        sizes[name] = size
    if not plain and count > 1 and rng.random() < 0.3:
        back = connection(layers[-2].name, draw_weight(rng, layers[0].size, layers[-2].size, gain=0.3), 1)
        layers[0] = replace(layers[0], connections=(*layers[0].connections, back))
    return find("Network")(inputs, tuple(layers))


def draw_data(rng: np.random.Generator, features: int) -> Any:
    """Samples of one of the types that data come in; padding, where there are lengths, is not empty."""
    samples, steps = int(rng.choice([1, 3, 17, 40, 150])), int(rng.integers(8, 33))
    shape = (samples, steps, features)
    x, scale = (
        ((rng.random(shape) < rng.uniform(0.1, 0.6)).astype(np.bool_), 1.0),
        (rng.integers(0, 256, shape, np.uint8), 1 / 255),
        (rng.integers(-20, 100, shape, np.int8), 1 / 32),
        (rng.normal(0.3, 1.0, shape).astype(np.float32), 1.0),
        (rng.poisson(0.6, shape).astype(np.float64), 0.8),
    )[rng.integers(5)]
    lengths = rng.integers(1, steps + 1, samples) if rng.random() < 0.5 else None
    return find("Dataset")(x, y=rng.integers(0, 2, samples), scale=scale, lengths=lengths)


def draw_target(rng: np.random.Generator, settings: dict[str, Any]) -> Any:
    """A shipped target that can hold what is drawn here, at times with other widths."""
    name, changes = list(TARGETS.values())[rng.integers(len(TARGETS))]
    widths = {"weight_bits": (3, 9), "coefficient_bits": (8, 17), "state_bits": (16, 33), "input_bits": (4, 13)}
    drawn = {key: int(rng.integers(*ends)) for key, ends in widths.items() if rng.random() < 0.15}
    needed = {"max_delay": LONGEST, **({"weight_bits": 8} if "weight_bits" in settings else {})}
    return find("load_target")(name).override(**{**changes, **drawn, **needed})


def draw_settings(rng: np.random.Generator, layers: int) -> dict[str, Any]:
    """Keyword arguments of QuantizeSettings, few of them."""
    values: dict[str, Any] = {
        "headroom": float(rng.choice([1.0, 1.25, 4.0])), "scale_floor": float(rng.choice([0.0, 0.02, 0.1, 0.5])),
        "real_input_bits": int(rng.integers(4, 14)), "bound_steps": int(rng.integers(5, 200)),
        "passes": tuple(name for name in ("scales", "compensate", "bias") if rng.random() < 0.5),
        "weight_bits": tuple(int(v) for v in rng.integers(2, 9, layers)),
    }  # fmt: skip
    return {key: value for key, value in values.items() if rng.random() < 0.3}


class Graph:
    """A NIR graph as other tools write it, of NIR's own nodes: a chain, with loops within layers."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.shape, self.last = rng, (int(rng.integers(2, 7)),), ""
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        if rng.random() < 0.5:
            self.convolution()
        else:
            self.add("in", nir.Input(np.array(self.shape)))
        for n in range(int(rng.integers(1, 4))):
            self.layer(str(n))
        if rng.random() < 0.7:
            self.add("readout", nir.Linear(draw_weight(rng, 3, *self.shape)), (3,))
        self.add("out", nir.Output(np.array(self.shape)))

    def graph(self) -> Any:
        """As the nir package has it."""
        return nir.NIRGraph(self.nodes, self.edges, metadata={}, type_check=False)

    def add(self, name: str, node: Any, shape: tuple[int, ...] | None = None) -> None:
        """Append a node, which gives a value of ``shape`` if not of that which it takes."""
        if self.last:
            self.edges.append((self.last, name))
        self.nodes[name], self.last, self.shape = node, name, shape or self.shape

    def neuron(self) -> Any:
        """Neurons of the shape that comes."""
        ends = ((5e-4, 3e-3), (3e-4, 1e-3), (5, 12), (1, 3), (-0.05, 0.1), (0.7, 1.2), (-0.2, 0.2))
        tau, tau_syn, r, w_in, leak, theta, reset = (self.rng.uniform(*pair, self.shape) for pair in ends)
        return (
            nir.LIF(tau=tau, r=r, v_leak=leak, v_threshold=theta, v_reset=reset),
            nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, r=r, v_leak=leak, v_threshold=theta, w_in=w_in),
            nir.IF(r=r / DT / 10, v_threshold=theta),
        )[self.rng.integers(3)]

    def convolution(self) -> None:
        """A map, a convolution of it, neurons, a pooling, and a row."""
        rng, groups = self.rng, int(self.rng.integers(1, 3))
        self.add("in", nir.Input(np.array([2, 6, 7])), (2, 6, 7))
        weight, padding = draw_weight(rng, 4, 2 // groups, 3, 3), ("same", 1, (1, 1))[rng.integers(3)]
        self.add("conv", nir.Conv2d((6, 7), weight, 1, padding, 1, groups, rng.uniform(-0.1, 0.1, 4)), (4, 6, 7))
        self.add("conv_spikes", self.neuron())
        pool = (nir.SumPool2d, nir.AvgPool2d)[rng.integers(2)]
        self.add("pool", pool(np.array([2, 3]), np.array([2, 2]), np.array([0, 0])), (4, 3, 3))
        self.add("flat", nir.Flatten({"input": np.array([4, 3, 3])}, 0, -1), (36,))

    def layer(self, n: str) -> None:
        """Weights and neurons, often with a loop, delays or scales."""
        rng, size = self.rng, int(self.rng.integers(3, 9))
        weight, bias = draw_weight(rng, size, *self.shape), rng.uniform(-0.1, 0.1, size)
        self.add(f"w{n}", nir.Affine(weight, bias) if rng.random() < 0.5 else nir.Linear(weight), (size,))
        self.add(f"spikes{n}", self.neuron())
        if rng.random() < 0.5:
            self.nodes[f"loop{n}"] = nir.Linear(draw_weight(rng, size, size, gain=0.3))
            self.edges += [(f"spikes{n}", f"loop{n}"), (f"loop{n}", f"spikes{n}")]
        if rng.random() < 0.3:
            self.add(f"late{n}", nir.Delay(rng.integers(0, 3, size) * DT))
        if rng.random() < 0.3:
            self.add(f"scale{n}", nir.Scale(rng.uniform(0.5, 1.5, size)))


def draw_node(rng: np.random.Generator, kind: str, size: int) -> Any:
    """A neuron as a torch module: ours, or one known by its name and attributes, as the paper's authors write it."""
    if kind == "TCLIFNode":
        node: Any = type(kind, (torch.nn.Module,), {})()
        node.v_threshold, node.gamma, node.hard_reset, node.v_reset = 1.1, 0.4, bool(rng.integers(2)), 0.0
        node.surrogate_function = (torch.sign, torch.ones_like)[rng.integers(2)]
        node.decay_factor = torch.nn.Parameter(torch.zeros(1, 2))
        return node
    given: dict[str, Any] = {"strict": bool(rng.integers(2)), "reset": CHOICES["reset"][rng.integers(2)]}
    if kind == "TCLIF":
        given["decay_factor"] = torch.zeros((1, size)[rng.integers(2)], 2)
    if kind == "PLIF":
        given["decay_input"] = bool(rng.integers(2))
    return find(kind)(float(rng.uniform(0.7, 1.5)), **given)


class OverTime(torch.nn.Module):
    """A module that is run step by step over (samples, time, ...), and the sum of what it gives."""

    def __init__(self, *layers: torch.nn.Module) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the paper's authors write it."""
        return torch.stack([self.features(x[:, t]) for t in range(x.shape[1])]).sum(0)


def draw_module(rng: np.random.Generator) -> tuple[Any, tuple[int, ...]]:
    """A torch module with random numbers, and the shape of its input in one step."""
    kind, shape = str(rng.choice(["TCLIF", "LIF", "PLIF", "TCLIFNode"])), (int(rng.integers(1, 7)),)
    layers: list[Any] = []
    if rng.random() < 0.25:
        shape = (2, 6, 6)
        layers = [torch.nn.Conv2d(2, 4, 3, padding="same"), torch.nn.BatchNorm2d(4), draw_node(rng, kind, 1),
                  torch.nn.AvgPool2d(2), torch.nn.Conv2d(4, 6, (3, 1), padding=(1, 0), groups=2),
                  draw_node(rng, kind, 1), torch.nn.Flatten(), torch.nn.Linear(54, 3)]  # fmt: skip
    else:
        width = shape[0]
        if rng.random() < 0.3:
            layers.append(torch.nn.BatchNorm1d(width))
        for size in rng.integers(3, 12, int(rng.integers(1, 4))).tolist():
            layers.append(torch.nn.Linear(width, size, bias=bool(rng.integers(2))))
            if rng.random() < 0.5:
                layers.append(torch.nn.BatchNorm1d(size, affine=bool(rng.integers(2))))
            node = draw_node(rng, kind, size)
            layers += [torch.nn.Dropout(0.3), find("Recurrent")(node, size) if rng.random() < 0.4 else node]
            width = size
        layers.append(torch.nn.Linear(width, 4))
    module = OverTime(*layers)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            low, high = (0.3, 3.0) if name.endswith("running_var") else (-1.0, 1.4)
            fan_in = math.prod(tensor.shape[1:]) if name.endswith("weight") else 1
            tensor.copy_(torch.as_tensor(rng.uniform(low, high, tuple(tensor.shape)) / fan_in**0.5))
    return module, shape
