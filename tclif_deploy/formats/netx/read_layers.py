"""What one layer of a netx file holds: its weights, its kernel, its delays, its neurons, each checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tclif_deploy import neurons
from tclif_deploy.convolution import Conv, Kernel
from tclif_deploy.errors import TclifError
from tclif_deploy.graph.operators import LinearOperator
from tclif_deploy.hdf5 import FileReader
from tclif_deploy.network import MOST, Float, Neuron

UNITY = 4096
"""a decay of 1: lava-dl's ``w_scale`` of 12 bits"""
READ_AS_VOLTAGE = (1 << 17) - 1
"""a threshold that Loihi's voltage cannot pass: lava-dl writes it for a last layer whose voltage is what counts"""
LONGEST_DELAY = 62
"""steps; lava-dl's netx clamps longer ones"""
EXPECTED = "expected a netx file of dense and conv layers with CUBA neurons, as lava-dl's export_hdf5 writes it"
INPUT_WEIGHT = 64.0
"""of an input layer whose file says none"""
_NOT_READ = {
    "SDNN": "they send the changes of a value, graded, and spikes of this machine are 0 or 1",
    "RF": "lava-dl's resonators count phases, which no two-compartment neuron does",
}
"""how a neuron's type begins -> why it is not read"""
_ONE_FORM = "one number, one for each neuron or source, or (neurons, sources)"


def dense_weights(reader: FileReader, layer: Any, names: Sequence[str], where: str) -> tuple[Float, ...]:
    """The matrices of a dense layer, as Loihi's synapses hold them together; of one dimension, they are cut in rows."""
    matrices = []
    for name in names:
        weight = reader.array(layer, name, where)
        if weight.ndim == 1:
            size = int(np.prod(shape_of(reader, layer, where)))
            if weight.size % size:
                raise TclifError(f"{where}: {name} has {weight.size} values, which are no rows of {size} neurons")
            weight = weight.reshape(size, -1)
        if weight.ndim != 2 or 0 in weight.shape:
            raise TclifError(f"{where}: {name} has shape {weight.shape}", "expected (neurons, sources)")
        if (weight % 1).any() or np.abs(weight).max() > 256:
            raise TclifError(f"{where}: {name} reaches {np.abs(weight).max():g}", "expected whole numbers up to 256")
        matrices.append(weight)
    if len({len(matrix) for matrix in matrices}) > 1:
        shapes = " and ".join(str(matrix.shape) for matrix in matrices)
        raise TclifError(f"{where}: weights of shapes {shapes} lead into the same neurons", "is it damaged?")
    held = effective_weights(np.hstack(matrices))
    return tuple(np.split(held, np.cumsum([matrix.shape[1] for matrix in matrices])[:-1], axis=1))


def delays_of(
    reader: FileReader, layer: Any, shape: tuple[int, int], where: str, notices: list[str]
) -> NDArray[np.int64] | None:
    """Steps for each weight (neurons, sources), or None where nothing waits.

    As lava-dl's netx reads them: one number for each neuron delays what enters it (which is where an axonal delay of
    its own spikes shows), one for each source what comes from there.
    """
    if "delay" not in layer:
        return None
    values = reader.array(layer, "delay", where)
    if (values < 0).any() or (values % 1).any():
        raise TclifError(f"{where}: delay reaches {values.reshape(-1)[np.abs(values).argmax()]:g}", "whole steps wait")
    if values.max() > LONGEST_DELAY:
        notices.append(
            f"{short(where)}: delays of up to {values.max():g} steps are cut to {LONGEST_DELAY}, as lava-dl's netx does"
        )
        values = np.minimum(values, LONGEST_DELAY)
    if values.size == 1:
        steps = np.full(shape, values.reshape(()))
    elif values.ndim == 1 and values.size in shape:
        by_neuron = values.size == shape[0]
        steps = np.broadcast_to(values[:, None] if by_neuron else values, shape)
    elif values.shape == shape:
        steps = values
    else:
        raise TclifError(f"{where}: delay has shape {values.shape}, the weights {shape}", f"expected {_ONE_FORM}")
    return steps.astype(np.int64) if steps.any() else None


def shape_of(reader: FileReader, layer: Any, where: str) -> tuple[int, ...]:
    """A layer's (channels, height, width), or (neurons,)."""
    values = reader.array(layer, "shape", where).reshape(-1)
    if not 1 <= values.size <= 3 or (values < 1).any() or (values % 1).any():
        raise TclifError(f"{where}: shape is {values.tolist()}", "expected (channels, height, width)")
    return tuple(int(v) for v in values)


def kernel_of(reader: FileReader, layer: Any, shape: tuple[int, ...], where: str) -> Kernel:
    """A convolution of maps of ``shape``; Lava's Conv takes its weights as they are."""
    weight = reader.array(layer, "weight", where)
    weight = weight[..., 0] if weight.ndim == 5 and weight.shape[4] == 1 else weight
    if weight.ndim != 4 or 0 in weight.shape or (weight % 1).any() or np.abs(weight).max() > 256:
        raise TclifError(
            f"{where}: weight has shape {weight.shape} and reaches {np.abs(weight).max(initial=0):g}",
            "expected whole numbers up to 256, (channels out, channels in / groups, height, width)",
        )
    if len(shape) != 3:
        raise TclifError(f"{where}: its input's shape is not known", "put an input layer with a shape before it")

    def pair(name: str, least: int) -> tuple[int, int]:
        values = reader.array(layer, name, where).reshape(-1)
        if values.size not in (1, 2) or (values % 1).any() or (values < least).any():
            raise TclifError(f"{where}: {name} is {values.tolist()}", f"expected whole numbers of at least {least}")
        return int(values[0]), int(values[-1])

    stride, padding, dilation = pair("stride", 1), pair("padding", 0), pair("dilation", 1)
    try:
        conv = Conv((shape[0], shape[1], shape[2]), stride, (*padding, *padding), dilation, pair("groups", 1)[0])
        kernel = Kernel(weight, conv)
    except TclifError as error:
        raise TclifError(f"{where}: {error.what}", error.hint) from error
    if shape_of(reader, layer, where) != kernel.output_shape:
        declared = shape_of(reader, layer, where)
        raise TclifError(f"{where}: shape is {declared}, its convolution gives {kernel.output_shape}", "is it damaged?")
    return kernel


def effective_weights(weight: Float) -> Float:
    """What Loihi's synapses hold of a layer's weights: -256 to 254 where signs are mixed, else up to 255 of either.

    As lava-dl's ``optimize_weight_bits`` and Lava's Dense clip them. Beyond 127 of mixed signs the first asks for a
    ninth bit where one is odd, so that the second truncates none away.

    Examples
    --------
    >>> effective_weights(np.array([[129.0, -3.0]])), effective_weights(np.array([[256.0, -3.0]]))
    (array([[129.,  -3.]]), array([[254.,  -3.]]))
    """
    mixed = weight.max() >= 0 > weight.min()
    return np.clip(weight, -256 if mixed else -255, 254 if mixed else 255)


def check_kind(reader: FileReader, layer: Any, where: str) -> bool:
    """Whether a layer has neurons of its own. Raises `TclifError` for those of a type that is not read, by its name."""
    if "neuron" not in layer:
        return False
    group = reader.child(layer, "neuron", h5py.Group, where)
    kind = text_of(reader, group, "type", where)
    if kind == "TCLIF":
        raise TclifError(f"{where}: holds a compiled network's integers", "read the model that it was compiled from")
    for begins, reason in _NOT_READ.items():
        if kind.startswith(begins):
            raise TclifError(f"{where}: {kind[:40]!r} neurons are not read: {reason}", "read are CUBA")
    if kind not in ("CUBA", "LOIHI"):
        raise TclifError(f"{where}: {kind[:40]!r} neurons are not read", "read are CUBA")
    return True


def neuron_of(
    reader: FileReader, layer: Any, weight: LinearOperator, size: int, where: str, notices: list[str]
) -> Neuron:
    """CUBA neurons of a layer, in units of its weights."""
    group = reader.child(layer, "neuron", h5py.Group, where)
    current, voltage, threshold = _dynamics(reader, group, weight, size, where)
    return neurons.cuba_lif(
        size, current_decay=current / UNITY, voltage_decay=voltage / UNITY, threshold=threshold,
        bias_v=_bias(reader, layer, weight, size, where, notices),
    )  # fmt: skip


def readout_of(
    reader: FileReader, layer: Any, weight: LinearOperator, size: int, where: str, notices: list[str]
) -> Neuron | None:
    """A last layer whose voltage is read: without neurons, or of a threshold that is never passed; None: it fires.

    Without neurons it is what lava-dl's netx puts there: a current that forgets nothing, and a voltage that is it.
    """
    if "neuron" not in layer:
        notices.append(f"{short(where)}: has no neurons, so its sum over time is read, as in lava-dl's netx")
        current, voltage = np.zeros(()), np.asarray(float(UNITY))
    else:
        group = reader.child(layer, "neuron", h5py.Group, where)
        current, voltage, threshold = _dynamics(reader, group, weight, size, where)
        if (threshold < READ_AS_VOLTAGE).any():
            return None
        notices.append(f"{short(where)}: its threshold of {threshold.max():g} is never passed, so its voltage is read")
    return neurons.canonical(
        size, "readout", a_u=1.0 - current / UNITY, a_v=1.0 - voltage / UNITY, b_v=1.0, spiking=False,
        bias_v=_bias(reader, layer, weight, size, where, notices),
    )  # fmt: skip


def input_of(
    reader: FileReader, layer: Any, shape: tuple[int, ...], where: str, notices: list[str]
) -> tuple[LinearOperator, Neuron]:
    """An input layer's neurons, and the factor with which the input enters their voltage, beside its bias."""
    if not shape:
        raise TclifError(f"{where}: has neurons and no shape", EXPECTED)
    factor = np.asarray(INPUT_WEIGHT)
    if "weight" in layer:
        factor = reader.array(layer, "weight", where)
    if factor.size != 1:
        raise TclifError(f"{where}: weight has shape {factor.shape}", "an input is multiplied by one number")
    if abs(factor.reshape(-1)[0]) > MOST:
        raise TclifError(f"{where}: weight is {factor.reshape(-1)[0]:g}", f"at most {MOST:g} is supported")
    if (factor % 1).any():
        notices.append(f"{short(where)}: the fraction of its weight is cut off, as lava-dl's netx does")
    size = int(np.prod(shape))
    value = float(np.trunc(factor.reshape(-1)[0]))
    weight: LinearOperator = np.full(size, value)
    if len(shape) == 3:
        conv = Conv((shape[0], shape[1], shape[2]), groups=shape[0])
        weight = Kernel(np.full((shape[0], 1, 1, 1), value), conv)
    group = reader.child(layer, "neuron", h5py.Group, where)
    _, voltage, threshold = _dynamics(reader, group, weight, size, where)
    neuron = neurons.canonical(
        size, "cuba_lif", input_to="soma", a_v=1.0 - voltage / UNITY, threshold=threshold, strict=True, reset="hard",
        bias_v=_bias(reader, layer, weight, size, where, notices),
    )  # fmt: skip
    notices.append(
        f"{short(where)}: the input, times {value:g}, is a bias of its neurons, whole in lava-dl's netx, which cuts "
        "fractions off; here they count"
    )
    return weight, neuron


def short(where: str) -> str:
    """``layer 3``, without the file's name."""
    return f"layer {where.rpartition(' ')[2]}"


def _dynamics(
    reader: FileReader, group: Any, weight: LinearOperator, size: int, where: str
) -> tuple[Float, Float, Float]:
    """(decay of the current, of the voltage, threshold): one number, or one for each neuron."""

    def values(name: str) -> Float:
        """One number for all neurons, or (not ``shared_param``) one for each, or for each channel of a map."""
        value = reader.array(group, name, where).reshape(-1)
        if isinstance(weight, Kernel) and value.size == len(weight.weight):
            value = weight.per_neuron(value)
        if value.size not in (1, size):
            raise TclifError(f"{where}: {name} has {value.size} values, the layer {size} neurons")
        return value if value.size == size else value.reshape(())

    for name, allowed in (("refDelay", (0.0, 1.0)), ("gradedSpike", (0.0,))):
        if name in group and _flag(reader, group, name, where) not in allowed:
            reason = "a refractory period counts steps" if name == "refDelay" else "spikes of this machine are 0 or 1"
            raise TclifError(f"{where}: {name} is {_flag(reader, group, name, where):g}, which is not read: {reason}")
    current, voltage, threshold = values("iDecay"), values("vDecay"), values("vThMant")
    for name, value in (("iDecay", current), ("vDecay", voltage)):
        wrong = value[(value < 0) | (value > UNITY) | (value % 1 != 0)]
        if wrong.size:
            raise TclifError(
                f"{where}: {name} is {wrong.reshape(-1)[0]:g}", f"expected a whole number from 0 to {UNITY}"
            )
    low = threshold[~(threshold > 0)]
    if low.size:
        raise TclifError(f"{where}: vThMant is {low.reshape(-1)[0]:g}", "a threshold must be a positive number")
    return current, voltage, threshold


def _bias(reader: FileReader, layer: Any, weight: LinearOperator, size: int, where: str, notices: list[str]) -> Float:
    """What enters the voltage in every step."""
    if "bias" not in layer:
        return np.zeros(size)
    bias = reader.array(layer, "bias", where).reshape(-1)
    if isinstance(weight, Kernel) and bias.size == len(weight.weight):
        bias = weight.per_neuron(bias)
    if bias.size not in (1, size):
        raise TclifError(f"{where}: bias has {bias.size} values, the layer {size} neurons")
    if (bias % 1).any():
        notices.append(f"{short(where)}: fractions of its biases are cut off, as lava-dl's netx does")
        bias = np.trunc(bias)
    return bias if bias.size == size else bias.reshape(())


def _flag(reader: FileReader, group: Any, name: str, where: str) -> float:
    data = reader.child(group, name, h5py.Dataset, where)
    if data.dtype.kind == "b" and data.shape == ():
        return float(bool(data[()]))
    return float(reader.array(group, name, where).reshape(-1)[0])


def text_of(reader: FileReader, group: Any, name: str, where: str) -> str:
    """A string, alone or as the only element of an array, as netx has both."""
    data = reader.child(group, name, h5py.Dataset, where)
    if data.dtype.kind == "S" and data.shape == (1,) and data.dtype.itemsize <= 100:
        reader.count_bytes(data, name, where)
        return str(data[0].decode("utf8", errors="replace"))
    return reader.text(group, name, where)
