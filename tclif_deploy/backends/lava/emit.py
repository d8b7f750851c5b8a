"""Write a network as a folder that runs on Lava by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.backends import check_arithmetic, check_readout
from tclif_deploy.backends.lava.kernels import symmetric
from tclif_deploy.backends.lava.schedule import digits, schedule
from tclif_deploy.backends.lava.template.tclif_lava import structure
from tclif_deploy.backends.lava.template.tclif_lava.compat import INSTALL_COMMANDS
from tclif_deploy.bounds import layer_bounds, max_input
from tclif_deploy.convolution import Kernel, LinearMap
from tclif_deploy.errors import TclifError
from tclif_deploy.files import narrowest_int
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import Network
from tclif_deploy.outputs import write_files, write_npz
from tclif_deploy.readout import MEANINGS, SUMS
from tclif_deploy.simulation.reference import start_spikes, start_states
from tclif_deploy.simulation.result import most_readout_steps
from tclif_deploy.target import Target

TEMPLATE = Path(__file__).parent / "template"
EXAMPLE_SHAPE = (2, 50)
"""samples and steps of the random example input"""

STATE_LIMIT = 2**63 - 1
"""the neuron's process computes in int64"""

LINE_LENGTH = 100
"""of ``network.py``"""

Arrays = dict[str, NDArray[Any]]


def emit(fixed: FixedNetwork, target: Target, folder: Path | str) -> None:
    """Write ``fixed``, compiled for ``target``, as a runnable Lava package into ``folder`` (made where missing).

    Lava is not needed for this. Raises `TclifError` where Lava cannot compute the network exactly, and for a readout
    that waits for a threshold: what a layer says of its step is its soma after the reset.
    """
    check_readout("lava", fixed)
    check_arithmetic("lava", fixed)
    timing = schedule(fixed.layers, bool(start_spikes(fixed)))
    arrays: Arrays = {}
    layers = []
    for layer in fixed.layers:
        bound = layer_bounds(fixed, layer).largest
        if bound > STATE_LIMIT:
            raise TclifError(
                f"lava: layer {layer.name}: a sum or product can reach {bound}, its process holds up to {STATE_LIMIT}",
                "use a smaller shift, or fewer weight or input bits",
            )
        connections = []
        for m, c in enumerate(layer.connections):
            where = f"lava: layer {layer.name}: connection from {c.source}"
            largest = max_input(fixed, c.source)
            weights, moves = _moves(c, where)
            synapses = []
            rows = weights.reshape(len(weights), -1)
            for n, (weight, exponent) in enumerate(digits(rows, c.exponent, largest, where, moves is not None)):
                name = f"{layer.name}.weight.{m}.{n}"
                arrays[name] = weight.astype(np.int8).reshape(weights.shape)
                synapses.append(structure.Synapses(name, exponent))
            wait = timing.wait(layer.name, c.source, c.delay)
            connections.append(structure.Connection(c.source, c.delay, wait, largest, tuple(synapses), moves))
        number, start = _numbers(layer.name, arrays), start_states(layer, fixed.arithmetic)
        multiplier = number("multiplier", layer.multiplier) if layer is fixed.output else 1
        layers.append(
            structure.Layer(
                name=layer.name, size=layer.size, connections=tuple(connections), shift=layer.shift,
                offset=timing.offsets[layer.name], reset=layer.reset, input_to=layer.input_to, spiking=layer.spiking,
                strict=False, multiplier=multiplier,
                **{key: number(key, values) for key, values in _coefficients(layer, start).items()},
            )
        )  # fmt: skip
    arithmetic = structure.Arithmetic(**fixed.arithmetic.plain())
    entry = structure.Input(fixed.input.size, fixed.input.lsb, fixed.input.bits)
    rule = None
    if not fixed.usual_readout:
        most = most_readout_steps(fixed) if fixed.readout.rule in SUMS else None
        rule = structure.Readout(fixed.readout.rule, fixed.readout.votes, most)  # type: ignore[arg-type]
    network = structure.Network("fixed_pt", entry, arithmetic, tuple(layers), timing.phases, timing.idle, rule)
    shape = (*EXAMPLE_SHAPE, fixed.input.size)
    example = np.random.default_rng(0).integers(0, fixed.input.limit, shape, endpoint=True)
    promise = f"bit for bit the integers compiled for {target.name}"
    _write(network, arrays, example.astype(narrowest_int(example)), promise, Path(folder))


def emit_float(network: Network, folder: Path | str) -> None:
    """Write the float ``network`` as a runnable Lava package (``floating_pt`` models) into ``folder``.

    Raises `TclifError` for another readout than the usual one.
    """
    if not network.usual_readout:
        raise TclifError(
            f"lava: the floating-point package does not compute the readout {network.readout}",
            "quantize the network, or run it with simulate",
        )
    timing = schedule(network.layers, any(layer.neuron.s0.any() for layer in network.layers))
    arrays: Arrays = {}
    layers = []
    for layer in network.layers:
        connections = []
        for m, c in enumerate(layer.connections):
            name = f"{layer.name}.weight.{m}"
            arrays[name], moves = _moves(c, f"lava: layer {layer.name}: connection from {c.source}")
            wait = timing.wait(layer.name, c.source, c.delay)
            connections.append(structure.Connection(c.source, c.delay, wait, 1, (structure.Synapses(name, 0),), moves))
        number, neuron = _numbers(layer.name, arrays), layer.neuron
        layers.append(
            structure.Layer(
                name=layer.name, size=layer.size, connections=tuple(connections), shift=0,
                offset=timing.offsets[layer.name], reset=neuron.reset, input_to=neuron.input_to, spiking=neuron.spiking,
                strict=neuron.strict, multiplier=1,
                **{key: number(key, values) for key, values in _coefficients(neuron, neuron.start).items()},
            )
        )  # fmt: skip
    # Real numbers enter as they are; the bits only tell Lava's Dense that messages are graded.
    entry = structure.Input(network.input_size, 1.0, 32)
    built = structure.Network("floating_pt", entry, None, tuple(layers), timing.phases, timing.idle)
    example = np.random.default_rng(0).random((*EXAMPLE_SHAPE, network.input_size))
    _write(built, arrays, example, "the trained network, in floating point", Path(folder))


def _moves(connection: LinearMap, where: str) -> tuple[NDArray[Any], structure.Convolution | None]:
    """(the weights, how they move if they are a kernel) as Lava's processes take them."""
    if connection.conv is None:
        return connection.weight, None
    kernel = symmetric(Kernel(connection.weight, connection.conv), where)
    conv = kernel.conv
    channels, height, width = conv.output_shape(kernel.weight.shape)
    return kernel.weight, structure.Convolution(
        conv.input_shape, (channels, height, width), conv.stride, conv.padding[:2], conv.dilation, conv.groups
    )


def _coefficients(numbers: Any, start: tuple[NDArray[Any], NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """By name, those of a layer or of its neurons; the states start behind the reset of s0."""
    values = {key: getattr(numbers, key) for key in structure.COEFFICIENTS}
    return values | {"u0": start[0], "v0": start[1]}


def _numbers(layer: str, arrays: Arrays) -> Callable[[str, NDArray[Any]], Any]:
    """A function (name, values): one literal where all neurons share it, else an array's name (and the array)."""

    def number(name: str, values: NDArray[Any]) -> Any:
        if (values == values[0]).all():
            return values[0].item()
        arrays[f"{layer}.{name}"] = values.astype(narrowest_int(values)) if values.dtype == np.int64 else values
        return f"{layer}.{name}"

    return number


def _write(network: structure.Network, arrays: Arrays, example: NDArray[Any], promise: str, folder: Path) -> None:
    """The template, ``network.py``, the arrays and the README."""
    title = "TC-LIF network: " + ", ".join(layer.name for layer in network.layers)
    source = _literal(network)
    names = [
        name
        for name in ("Arithmetic", "Connection", "Convolution", "Input", "Layer", "Network", "Readout", "Synapses")
        if f"{name}(" in source
    ]
    readme = Template((TEMPLATE / "README.md").read_text(encoding="utf-8")).substitute(
        title=title,
        promise=promise,
        install="\n    ".join(INSTALL_COMMANDS),
        idle=network.idle,
        features=network.input.size,
        layers="\n".join(_describe(layer) for layer in network.layers) + _describe_readout(network.readout),
    )
    plain = [path for path in TEMPLATE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files = {path.relative_to(TEMPLATE).as_posix(): path.read_bytes() for path in plain}
    files["README.md"] = readme.encode()
    files["network.py"] = (
        '"""The network: layers and their constants. Strings instead of numbers name arrays of weights.npz."""\n\n'
        f"from tclif_lava.structure import {', '.join(names)}\n\nNETWORK = {source}\n"
    ).encode()
    write_files(folder, files)
    write_npz(folder / "weights.npz", arrays)
    write_npz(folder / "example.npz", {"x": example, "scale": np.array(network.input.lsb, np.float64)})


def _literal(value: Any, indent: str = "") -> str:
    """``value`` as Python source, one field a line where it would pass the line's length."""
    if isinstance(value, str):
        return json.dumps(value) if value.isascii() else repr(value)
    if not isinstance(value, tuple) and not hasattr(value, "__dataclass_fields__"):
        return repr(value)
    inner = indent + "    "
    if isinstance(value, tuple):
        opening, fields = "(", [_literal(item, inner) for item in value]
    else:
        opening = f"{type(value).__name__}("
        # Networks with the usual readout and start say nothing of it, as before there were others.
        unsaid = {"readout": None, "u0": 0, "s0": 0}
        keys = [key for key in value.__dataclass_fields__ if key not in unsaid or getattr(value, key) != unsaid[key]]
        fields = [f"{key}={_literal(getattr(value, key), inner)}" for key in keys]
    line = f"{opening}{', '.join(fields)}{',' if opening == '(' else ''})"
    if "\n" not in line and len(indent + line) <= LINE_LENGTH:
        return line
    return f"{opening}\n{inner}" + f",\n{inner}".join(fields) + f",\n{indent})"


def _describe(layer: structure.Layer) -> str:
    """One line of the README."""
    kind = "neurons" if layer.spiking else "readout neurons"
    sources = ", ".join(f"{c.source}{f' (delay {c.delay})' if c.delay else ''}" for c in layer.connections)
    return f"- `{layer.name}`: {layer.size} {kind}, fed by {sources}"


def _describe_readout(readout: structure.Readout | None) -> str:
    """A paragraph of the README; nothing for the usual readout."""
    if readout is None:
        return ""
    votes = f", added over {readout.votes} neighbouring neurons" if readout.votes > 1 else ""
    divided = "; not divided by the steps" if readout.rule in ("mean", "rate") else ""
    return f"\n\nThe readout is `{readout.rule}`, {MEANINGS[readout.rule]}{votes}{divided}."
