"""Convolutions and poolings of a NIR graph: their parameters, and the shapes that reach them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tclif_deploy.convolution import Conv, Kernel, Shape, pooling
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.nir import form
from tclif_deploy.formats.nir.graph import NEURONS, SAME, NirGraph, Primitive
from tclif_deploy.graph.lower import LONGEST_CHAIN
from tclif_deploy.graph.nodes import Affine
from tclif_deploy.network import Float

SPATIAL = ("Conv1d", "Conv2d", "SumPool2d", "AvgPool2d")
ELEMENTWISE = (*NEURONS, "Scale", "Delay")
"""Nodes that do each element by itself."""


class Shapes:
    """The nodes of a flat graph, asked for what convolutions need."""

    def __init__(
        self, flat: Mapping[str, Primitive], layers: Mapping[str, NirGraph], sources: Mapping[str, list[str]]
    ) -> None:
        self.flat, self.layers, self.sources = flat, layers, sources
        self.walking: list[str] = []

    def weights(self, name: str, node: Primitive, where: str) -> Affine:
        """A convolution or a pooling."""
        kernel = self.kernel(name, node, where)
        bias = node.arrays.get("bias")
        if bias is None or not bias.any():
            return Affine(kernel)
        if bias.size not in (1, len(kernel.weight)):
            raise TclifError(f"{where}: bias has {bias.size} values, weight {len(kernel.weight)} channels")
        return Affine(kernel, kernel.per_neuron(np.broadcast_to(bias.reshape(-1), len(kernel.weight))))

    def kernel(self, name: str, node: Primitive, where: str) -> Kernel:
        """What a convolution or pooling moves over its input."""
        try:
            return self._kernel(name, node, where)
        except TclifError as error:
            if error.what.startswith(where):
                raise
            raise TclifError(f"{where}: {error.what}", error.hint) from error

    def _kernel(self, name: str, node: Primitive, where: str) -> Kernel:
        a, flat = node.arrays, node.kind == "Conv1d"

        def pair(key: str, least: int) -> tuple[int, int]:
            value = a[key].reshape(-1)
            if value.size not in (1, 2) or (value % 1).any() or (value < least).any():
                raise TclifError(f"{where}: {key} is {value.tolist()}", f"expected whole numbers of at least {least}")
            if flat:
                return (0 if key == "padding" else 1), int(value[-1])
            return int(value[0]), int(value[-1])

        conv = node.kind in ("Conv1d", "Conv2d")
        stride, padding = pair("stride", 1), pair("padding", int(SAME) if conv else 0)
        if not conv:
            shape, size = self.before(name, node, where), pair("kernel_size", 1)
            if any(s > have + 2 * p for s, have, p in zip(size, shape[1:], padding, strict=True)):
                raise TclifError(f"{where}: kernel_size is {size}, its input has shape {shape}")
            return pooling(shape, size, stride, padding, average=node.kind == "AvgPool2d")
        weight, groups = a["weight"], a["groups"].reshape(-1)
        if weight.ndim != (3 if flat else 4) or 0 in weight.shape or groups.size != 1 or groups[0] < 1 or groups[0] % 1:
            raise TclifError(
                f"{where}: weight has shape {weight.shape}, groups is {groups.tolist()}",
                "expected (channels out, channels in / groups, kernel), and a whole number of groups",
            )
        weight = weight[:, :, None] if flat else weight
        dilation = pair("dilation", 1)
        sides = [_sides(padding[n], dilation[n], weight.shape[2 + n]) for n in (0, 1)]
        around = (sides[0][0], sides[1][0], sides[0][1], sides[1][1])
        return Kernel(weight, Conv(self.before(name, node, where), stride, around, dilation, int(groups[0])))

    def before(self, name: str, node: Primitive, where: str) -> Shape:
        """(channels, height, width) of what a convolution or pooling gets."""
        declared = node.arrays.get("input_shape", np.zeros(0)).reshape(-1)
        if node.kind in ("Conv1d", "Conv2d") and declared.size in (1, 2) and (declared >= 1).all():
            channels = int(node.arrays["weight"].shape[1] * node.arrays["groups"].reshape(-1)[0])
            height = 1 if declared.size == 1 else int(declared[0])
            return channels, height, int(declared[-1])
        shapes = {self.after(source, where) for source in self.sources.get(name, [])}
        shape = next(iter(shapes)) if len(shapes) == 1 else ()
        if len(shape) == 2:
            return shape[0], 1, shape[1]
        if len(shape) != 3:
            raise TclifError(f"{where}: cannot tell height and width of its input", "write input_shape into the node")
        return shape[0], shape[1], shape[2]

    def after(self, name: str, where: str) -> tuple[int, ...]:
        """The shape that leaves a node, () where nothing says it."""
        if name in self.walking or len(self.walking) > LONGEST_CHAIN:
            raise TclifError(f"{where}: its input's shape depends on itself or is not said", "write input_shape")
        self.walking.append(name)
        try:
            return self._after(name, where)
        finally:
            self.walking.pop()

    def _after(self, name: str, where: str) -> tuple[int, ...]:
        if name in self.layers:
            return (form.layer_size(self.layers[name], where),)
        node = self.flat[name]
        if node.kind in SPATIAL:
            return self.kernel(name, node, where).output_shape
        if node.kind in ("Linear", "Affine"):
            return node.arrays["weight"].shape[:1]
        if node.kind in ("Input", "Output"):
            return tuple(int(v) for v in node.arrays["shape"].reshape(-1))
        arrays = self.spread(name, node)
        own = [v.shape for k, v in arrays.items() if k not in ("start_dim", "end_dim", "input_type")]
        if own and max(own, key=len) not in ((), (1,)):
            return max(own, key=len)
        sources = self.sources.get(name, [])
        return self.after(sources[0], where) if sources else ()

    def spread(self, name: str, node: Primitive) -> Mapping[str, Float]:
        """A node's parameters; of a neuron, Scale or Delay behind a map, those of each channel are spread over it."""
        if node.kind not in ELEMENTWISE:
            return node.arrays
        many = [value for value in node.arrays.values() if value.size > 1]
        thin = any(value.ndim > 1 and 1 in value.shape for value in many)
        flat = any(value.ndim == 1 for value in many)
        behind = any(s in self.flat and self.flat[s].kind in SPATIAL for s in self.sources.get(name, []))
        shape = self.map_before(name) if thin or (flat and behind) else None
        return node.arrays if shape is None else {key: _spread(value, shape) for key, value in node.arrays.items()}

    def map_before(self, name: str) -> tuple[int, ...] | None:
        """The shape of the map that enters a node; None where it is no map, or nothing says it."""
        for source in self.sources.get(name, []):
            try:
                shape = self.after(source, name)
            except TclifError:
                continue
            if len(shape) > 1:
                return shape
        return None


def _spread(value: Float, shape: tuple[int, ...]) -> Float:
    """One value a channel, (C, 1, 1) or (C,), over a map of ``shape``; all else as it is."""
    if value.size in (1, int(np.prod(shape))):
        return value
    if value.ndim == 1 and value.size == shape[0] != shape[-1]:  # (C,) of a square map may mean its columns
        value = value.reshape(-1, *(1 for _ in shape[1:]))
    fits = value.ndim == len(shape) and all(a in (1, b) for a, b in zip(value.shape, shape, strict=True))
    return np.broadcast_to(value, shape) if fits else value


def without_time(flat: Mapping[str, Primitive], edges: Sequence[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
    """The shapes of those Inputs that have axes of time or of samples before what the nodes behind them take."""
    after: dict[str, list[str]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    found = {}
    for name, node in flat.items():
        if node.kind == "Input":
            declared = tuple(int(v) for v in node.arrays["shape"].reshape(-1))
            shape = _one_step(declared, name, flat, after)
            if shape != declared:
                found[name] = shape
    return found


def _one_step(
    declared: tuple[int, ...], name: str, flat: Mapping[str, Primitive], after: Mapping[str, list[str]]
) -> tuple[int, ...]:
    """The last axes of an Input's ``declared`` shape, as many as the first node behind it takes that says so."""
    waiting, seen = [name], {name}
    for current in waiting:
        for target in after.get(current, []):
            node = flat.get(target)
            if node is None or target in seen:
                continue
            seen.add(target)
            size, axes, channels = _takes(node)
            if size:
                ends = [declared[n:] for n in range(len(declared)) if np.prod(declared[n:], dtype=np.float64) == size]
                return ends[0] if ends else declared
            if axes:
                fits = len(declared) > axes and channels in (None, declared[-axes])
                return declared[-axes:] if fits else declared
            waiting.append(target)
    return declared


def _takes(node: Primitive) -> tuple[int, int, int | None]:
    """(elements, axes, channels) of what a node takes; 0 and None where it does not say."""
    a = node.arrays
    if node.kind in ("Linear", "Affine"):
        return (a["weight"].shape[-1] if a["weight"].ndim == 2 else 0), 0, None
    if node.kind in ("Conv1d", "Conv2d"):
        axes = 2 if node.kind == "Conv1d" else 3
        if a["weight"].ndim != axes + 1 or a["groups"].size != 1:
            return 0, axes, None
        channels = int(a["weight"].shape[1] * a["groups"].reshape(-1)[0])
        sides = a.get("input_shape", np.zeros(0)).reshape(-1)
        known = sides.size == axes - 1 and (sides >= 1).all()
        return (channels * int(np.prod(sides)) if known else 0), axes, channels
    if node.kind in SPATIAL:
        return 0, 3, None
    if node.kind in ELEMENTWISE:
        largest = max(a.values(), key=lambda value: value.size)
        thin = largest.ndim > 1 and 1 in largest.shape
        return (int(largest.size) if largest.size > 1 and not thin else 0), largest.ndim if thin else 0, None
    return 0, 0, None


def _sides(padding: int, dilation: int, taps: int) -> tuple[int, int]:
    """Zeros before and after, along one axis."""
    if padding != SAME:
        return padding, padding
    total = dilation * (taps - 1)
    return total // 2, total - total // 2
