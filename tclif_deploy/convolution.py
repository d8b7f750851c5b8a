"""Convolutions: a small kernel that moves over a map, in the place of a matrix.

Sources and neurons stand in C order (channel, y, x); one dimension is a height of 1. As torch's and NIR's, it is a
cross-correlation, over an input that is 0 outside its map::

    out[o, y, x] = sum over c, ky, kx of weight[o, c, ky, kx] * in[g + c, y*sy + ky*dy - top, x*sx + kx*dx - left]

where ``g`` is the first channel of o's group. A pooling is the convolution of each channel by itself with equal
weights, so it needs no kind of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.aliases import OldName, old_names
from tclif_deploy.arguments import checked, checked_fields
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError

Pair = tuple[int, int]
Shape = tuple[int, int, int]

MOST_UNITS = 1 << 23
"""Elements of one map; larger ones are mistakes, refused before memory is taken for them."""
MOST_WEIGHTS = 1 << 28
"""Elements of one matrix (2 GiB as float64)."""


@dataclass(frozen=True)
@checked_fields
class Conv:
    """How a kernel (channels out, channels in / groups, height, width) moves over its input.

    Raises `TclifError` for numbers that are no convolution, and for maps of more than 2^23 elements.

    Examples
    --------
    >>> from tclif_deploy.convolution import Conv
    >>> Conv((2, 5, 5), padding=(1, 1, 1, 1), stride=(2, 2)).output_shape((4, 2, 3, 3))
    (4, 3, 3)
    """

    input_shape: Shape
    """(channels, height, width)"""
    stride: Pair = (1, 1)
    """along height and width, as all pairs here"""
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """zeros at the top, left, bottom and right"""
    dilation: Pair = (1, 1)
    """steps between the kernel's neighbours on the map"""
    groups: int = 1
    """parts of the channels that do not see each other; divides the channels in and out"""

    def __post_init__(self) -> None:
        for name, length, least in (("input_shape", 3, 1), ("stride", 2, 1), ("padding", 4, 0), ("dilation", 2, 1)):
            values = getattr(self, name)
            if len(values) != length or any(type(v) is not int or v < least for v in values):
                raise TclifError(f"{name} is {values}", f"expected {length} whole numbers of at least {least}")
        channels, height, width = self.input_shape
        top, left, bottom, right = self.padding
        if type(self.groups) is not int or self.groups < 1 or channels % self.groups:
            raise TclifError(f"{self.groups} groups of {channels} channels", "the groups must divide the channels")
        _check_map((channels, height + top + bottom, width + left + right), "its padded input")

    def output_shape(self, kernel: tuple[int, ...]) -> Shape:
        """(channels, height, width) of what a kernel of this shape gives; raises `TclifError` where it does not fit."""
        channels, height, width = self.input_shape
        expected = f"expected (channels out, {channels // self.groups}, height, width)"
        if len(kernel) != 4 or min(kernel) < 1 or kernel[1] * self.groups != channels:
            raise TclifError(f"a kernel of shape {kernel} meets {channels} channels in {self.groups} groups", expected)
        if kernel[0] % self.groups:
            raise TclifError(f"{kernel[0]} channels out of {self.groups} groups", "the groups must divide the channels")
        top, left, bottom, right = self.padding
        reach_y, reach_x = self.reach(kernel)
        rows = (height + top + bottom - reach_y) // self.stride[0] + 1
        columns = (width + left + right - reach_x) // self.stride[1] + 1
        if min(rows, columns) < 1:
            raise TclifError(
                f"a kernel of shape {kernel}, dilation {self.dilation}, on a map of {height} x {width}, padding "
                f"{self.padding}: nothing is left",
                "the kernel is larger than the map",
            )
        _check_map((kernel[0], rows, columns), "its output")
        return kernel[0], rows, columns

    def reach(self, kernel: tuple[int, ...]) -> Pair:
        """Height and width of the field that one neuron sees."""
        return self.dilation[0] * (kernel[2] - 1) + 1, self.dilation[1] * (kernel[3] - 1) + 1

    def patches(self, x: NDArray[Any], kernel: tuple[int, ...]) -> NDArray[Any]:
        """What each position sees of ``x`` (samples, sources): (samples, groups, sources of a position, positions)."""
        channels, height, width = self.input_shape
        top, left, bottom, right = self.padding
        maps = np.pad(x.reshape(-1, channels, height, width), ((0, 0), (0, 0), (top, bottom), (left, right)))
        windows = np.lib.stride_tricks.sliding_window_view(maps, self.reach(kernel), axis=(2, 3))
        seen = windows[:, :, :: self.stride[0], :: self.stride[1], :: self.dilation[0], :: self.dilation[1]]
        seen = seen.transpose(0, 1, 4, 5, 2, 3)
        return np.asarray(seen.reshape(len(maps), self.groups, math.prod(kernel[1:]), -1))


def _check_map(shape: Shape, name: str) -> None:
    if math.prod(shape) > MOST_UNITS:
        raise TclifError(f"{name} has shape {shape}", f"maps of up to {MOST_UNITS} elements are read")


class LinearMap(Shown):
    """What connections have in common: ``weight`` is (neurons, sources), or a kernel that ``conv`` moves.

    Weights are float64 in a `Connection`, int64 in a `FixedConnection`.
    """

    source: str
    """name of a layer, or ``input``"""
    weight: NDArray[Any]
    delay: int
    """steps"""
    conv: Conv | None

    @property
    def kind(self) -> Literal["dense", "conv"]:
        """``conv`` where a kernel moves, else ``dense``."""
        return "dense" if self.conv is None else "conv"

    @property
    def neurons(self) -> int:
        """Neurons that it leads to."""
        return len(self.weight) if self.conv is None else math.prod(self.output_shape)

    @property
    def sources(self) -> int:
        """Neurons, or features, that it comes from."""
        return int(self.weight.shape[1]) if self.conv is None else math.prod(self.conv.input_shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(neurons,), or (channels, height, width)."""
        return (len(self.weight),) if self.conv is None else self.conv.output_shape(self.weight.shape)

    @property
    def shared_rows(self) -> NDArray[Any]:
        """The weights with one row for all neurons that share them: (neurons or channels, weights)."""
        return self.weight.reshape(len(self.weight), -1)

    @property
    def neurons_per_row(self) -> int:
        """Consecutive neurons that share a row of weights; 1 where it is dense."""
        return self.neurons // len(self.weight)

    def per_neuron(self, values: NDArray[Any]) -> NDArray[Any]:
        """``values``, one for each of `shared_rows`, as one for each neuron: (neurons,)."""
        return np.repeat(values, self.neurons_per_row)

    def per_row(self, values: NDArray[Any]) -> NDArray[Any]:
        """``values`` of the neurons (neurons,), alike where they share a row, in a shape that broadcasts with
        ``weight``: the way back from `per_neuron`."""
        return values[:: self.neurons_per_row].reshape(-1, *[1] * (self.weight.ndim - 1))

    rows, sharing, spread = OldName("shared_rows"), OldName("neurons_per_row"), OldName("per_neuron")

    def _brief(self) -> Brief:
        low, high = (f"{value:.4g}" for value in (self.weight.min(), self.weight.max()))
        shape = "x".join(map(str, self.weight.shape))
        return Brief(f"{type(self).__name__} from {self.label}: {shape} weights of {low} to {high}")

    @property
    def label(self) -> str:
        """Its source, and how it differs from a dense connection without delay, in a few words."""
        delay = f" (delay {self.delay})" if self.delay else ""
        return self.source + ("" if self.conv is None else " (conv)") + delay

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        """The current of each neuron for ``x`` (samples, sources): (samples, neurons), of their product's dtype."""
        if self.conv is None:
            return np.asarray(x @ self.weight.T)
        kernel = self.weight.reshape(self.conv.groups, -1, math.prod(self.weight.shape[1:]))
        return np.asarray(kernel @ self.conv.patches(x, self.weight.shape)).reshape(len(x), -1)

    def fan_in(self) -> NDArray[np.int64]:
        """Synapses of each neuron, weights of 0 left out, (neurons,)."""
        if self.conv is None:
            return np.asarray(np.count_nonzero(self.weight, axis=1), np.int64)
        mask = Kernel((self.weight != 0).astype(np.int64), self.conv)
        return np.asarray(mask.apply(np.ones((1, self.sources), np.int64))[0])

    def fan_out(self) -> NDArray[np.int64]:
        """Synapses of each source, weights of 0 left out, (sources,)."""
        if self.conv is None:
            return np.asarray(np.count_nonzero(self.weight, axis=0), np.int64)
        seen = self.conv.patches(np.arange(1, self.sources + 1)[None], self.weight.shape)[0]
        groups, weights, positions = seen.shape
        counts = np.count_nonzero(self.weight.reshape(groups, -1, weights), axis=1)
        reached = np.bincount(seen.reshape(-1), np.repeat(counts.reshape(-1), positions), self.sources + 1)
        return np.rint(reached[1:]).astype(np.int64)  # 0 is outside of the map

    def synapses(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        """Every weight but 0 as compressed rows: neuron n's are ``indptr[n]`` to ``indptr[n + 1]``.

        Returns (indptr (neurons + 1,), the sources of the synapses, ascending in each row, and their weights).
        """
        if self.conv is None:
            nonzero = self.weight != 0
            counts, sources, values = np.count_nonzero(nonzero, axis=1), np.nonzero(nonzero)[1], self.weight[nonzero]
        else:
            index = np.arange(1, self.sources + 1, dtype=np.int32)[None]
            seen = self.conv.patches(index, self.weight.shape)[0].swapaxes(1, 2)  # 0 is outside of the map
            per_group = len(self.weight) // self.conv.groups
            every: list[tuple[NDArray[Any], ...]] = []
            for channel, row in enumerate(self.shared_rows):
                field = seen[channel // per_group]
                nonzero = (field > 0) & (row != 0)
                values = np.broadcast_to(row, field.shape)[nonzero]
                every.append((np.count_nonzero(nonzero, axis=1), field[nonzero] - 1, values))
            counts, sources, values = (np.concatenate(rows) for rows in zip(*every, strict=True))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), sources.astype(np.int32), values

    def matrix(self) -> NDArray[Any]:
        """The weights as (neurons, sources), for small uses. Raises `TclifError` where that is too large.

        Examples
        --------
        >>> import numpy as np
        >>> from tclif_deploy.convolution import Conv, Kernel
        >>> Kernel(np.array([[[[1.0, 2.0]]]]), Conv((1, 1, 3))).matrix().tolist()
        [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0]]
        """
        if self.conv is None:
            return self.weight
        neurons, sources = self.neurons, self.sources
        if neurons * sources > MOST_WEIGHTS:
            raise TclifError(
                f"as a matrix this convolution has {neurons} x {sources} weights", f"{MOST_WEIGHTS} are at most held"
            )
        matrix = np.zeros((neurons, sources), self.weight.dtype)
        indptr, indices, values = self.synapses()
        matrix[np.repeat(np.arange(neurons), np.diff(indptr)), indices] = values
        return matrix


@dataclass(frozen=True, eq=False)
@checked_fields
class Kernel(LinearMap):
    """A convolution by itself, its shapes checked; raises `TclifError` where they do not fit.

    ``weight`` is (channels out, channels in / groups, height, width).

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy.convolution import Conv, Kernel
    >>> edges = Kernel(np.array([[[[-1.0, 1.0]]]]), Conv((1, 1, 5)))
    >>> edges.output_shape, edges.apply(np.array([[0.0, 0.0, 1.0, 1.0, 0.0]])).tolist()
    ((1, 1, 4), [[0.0, 1.0, 0.0, -1.0]])
    """

    weight: NDArray[Any]
    conv: Conv

    def __post_init__(self) -> None:
        self.conv.output_shape(self.weight.shape)


@checked
def pooling(shape: Shape, size: Pair, stride: Pair, padding: Pair, *, average: bool) -> Kernel:
    """Sums, or averages that count the padding's zeros, of a map of ``shape`` (channels, height, width).

    ``size``, ``stride`` and ``padding`` are (height, width), the padding alike on both sides. Raises `TclifError` where
    nothing is left of the map.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy.convolution import pooling
    >>> pool = pooling((1, 1, 4), (1, 2), (1, 2), (0, 0), average=True)
    >>> pool.apply(np.array([[0.0, 1.0, 1.0, 1.0]])).tolist()
    [[0.5, 1.0]]
    """
    share = 1.0 / (size[0] * size[1]) if average else 1.0
    conv = Conv(shape, stride, (*padding, *padding), groups=shape[0])
    conv.output_shape((shape[0], 1, *size))
    return Kernel(np.full((shape[0], 1, *size), share), conv)


def scaling(shape: Shape, factors: NDArray[Any]) -> Kernel:
    """Each channel of a map of ``shape`` times its factor (channels,)."""
    return Kernel(factors.reshape(-1, 1, 1, 1), Conv(shape, groups=shape[0]))


def compose(after: Kernel, before: Kernel) -> Kernel | None:
    """One convolution that does what ``before`` and then ``after`` do, exactly; None where there is none.

    There is none where ``after`` pads what ``before`` would not give as zeros, and where their shapes do not meet.

    Examples
    --------
    >>> pool = pooling((1, 1, 4), (1, 2), (1, 2), (0, 0), average=False)
    >>> joined = compose(Kernel(np.array([[[[1.0, 2.0]]]]), Conv((1, 1, 2))), pool)
    >>> joined.weight.tolist(), joined.conv.stride
    ([[[[1.0, 1.0, 2.0, 2.0]]]], (1, 2))
    """
    a, b = before.conv, after.conv
    if before.output_shape != b.input_shape or not all(_meets(after, before, axis) for axis in (0, 1)):
        return None
    groups = math.gcd(a.groups, b.groups)
    first = regrouped(before, groups)
    dilated = np.zeros((*first.shape[:3], *a.reach(before.weight.shape)), first.dtype)
    dilated[..., :: a.dilation[0], :: a.dilation[1]] = first
    second = regrouped(after, groups)
    steps = tuple(d * s for d, s in zip(b.dilation, a.stride, strict=True))
    size = [dilated.shape[3 + n] + steps[n] * (second.shape[3 + n] - 1) for n in (0, 1)]
    weight = np.zeros((groups, second.shape[1], dilated.shape[2], *size), np.result_type(first, second))
    for y in range(second.shape[3]):
        for x in range(second.shape[4]):
            rows = slice(steps[0] * y, steps[0] * y + dilated.shape[3])
            columns = slice(steps[1] * x, steps[1] * x + dilated.shape[4])
            weight[..., rows, columns] += np.einsum("gom,gmcyx->gocyx", second[..., y, x], dilated)
    padding = tuple(a.padding[n] + b.padding[n] * a.stride[n % 2] for n in range(4))
    stride = (a.stride[0] * b.stride[0], a.stride[1] * b.stride[1])
    conv = Conv(a.input_shape, stride, padding, groups=groups)  # type: ignore[arg-type]
    return Kernel(weight.reshape(-1, *weight.shape[2:]), conv)


def _meets(after: Kernel, before: Kernel, axis: int) -> bool:
    """Whether ``before``, moved on past its map, sees nothing wherever ``after`` reads its own padding's zeros."""
    a, b = before.conv, after.conv
    size, middle = a.input_shape[1 + axis], b.input_shape[1 + axis]
    outputs, taps = np.arange(after.output_shape[1 + axis]), np.arange(after.weight.shape[2 + axis])
    read = (outputs[:, None] * b.stride[axis] + taps * b.dilation[axis] - b.padding[axis]).reshape(-1)
    outside = np.unique(read[(read < 0) | (read >= middle)])
    seen = outside[:, None] * a.stride[axis] + np.arange(before.weight.shape[2 + axis]) * a.dilation[axis]
    seen = seen - a.padding[axis]
    return not bool(((seen >= 0) & (seen < size)).any())


def regrouped(kernel: Kernel, groups: int) -> NDArray[Any]:
    """The weights in fewer groups, with zeros: (groups, channels out, channels in, height, width).

    ``groups`` must divide the kernel's own.
    """
    weight, old = kernel.weight, kernel.conv.groups
    out, within, height, width = weight.shape
    merged = old // groups
    regrouped_weight = np.zeros((groups, merged, out // old, merged, within, height, width), weight.dtype)
    weight_of_group = weight.reshape(groups, merged, out // old, within, height, width)
    for n in range(merged):
        regrouped_weight[:, n, :, n] = weight_of_group[:, n]
    return regrouped_weight.reshape(groups, out // groups, merged * within, height, width)


def evenly_padded(kernel: Kernel) -> Kernel:
    """The same convolution with padding alike on both sides: zeros in the kernel make up for the difference."""
    weight, conv = kernel.weight, kernel.conv
    padding, dilation = list(conv.padding), list(conv.dilation)
    for axis in (0, 1):
        before, after = padding[axis], padding[axis + 2]
        if (after - before) % dilation[axis]:
            weight, dilation[axis] = _undilated(weight, 2 + axis, dilation[axis]), 1
        more = [(0, 0)] * 4
        more[2 + axis] = (max(after - before, 0) // dilation[axis], max(before - after, 0) // dilation[axis])
        weight = np.pad(weight, more) if before != after else weight
        padding[axis] = padding[axis + 2] = max(before, after)
    top, left, bottom, right = padding
    moved = Conv(conv.input_shape, conv.stride, (top, left, bottom, right), (dilation[0], dilation[1]), conv.groups)
    return Kernel(weight, moved)


def _undilated(weight: NDArray[Any], axis: int, dilation: int) -> NDArray[Any]:
    """Zeros between the weights instead of a dilation."""
    shape = list(weight.shape)
    shape[axis] = dilation * (shape[axis] - 1) + 1
    weight_with_zeros = np.zeros(shape, weight.dtype)
    place = [slice(None)] * weight.ndim
    place[axis] = slice(None, None, dilation)
    weight_with_zeros[tuple(place)] = weight
    return weight_with_zeros


__getattr__ = old_names(__name__, {"Weighted": "LinearMap"})


def check_kernel(connection: LinearMap, where: str) -> None:
    """Raise `TclifError` unless the weights of a convolution are a kernel that its ``conv`` can move."""
    if connection.conv is not None:
        try:
            connection.conv.output_shape(connection.weight.shape)
        except TclifError as error:
            raise TclifError(f"{where}: {error.what}", error.hint) from error
