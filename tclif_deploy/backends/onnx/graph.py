"""A graph under construction: nodes in order, constants once each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper


class OnnxGraphBuilder:
    """Nodes and constants; every tensor is known by its name.

    A graph inside another needs a ``prefix``: no name may occur in both.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Append a node and return its output's name: ``name``, or one made of kind and number."""
        output = name or f"{self.prefix}{kind}_{len(self.nodes)}"
        # onnxruntime 1.18 makes names of its own from nodes' names, and fails where these are empty.
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, values: Any, dtype: Any) -> str:
        """Name of a constant of ``dtype``; equal constants are stored once."""
        array = np.ascontiguousarray(np.asarray(values).astype(dtype))
        array = array.reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, f"{self.prefix}constant_{len(self.constants)}")
        return str(self.constants[key].name)

    def cast(self, tensor: str, dtype: Any) -> str:
        """``tensor`` as ``dtype``."""
        return self.op("Cast", tensor, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def finish(
        self, name: str, inputs: list[ValueInfoProto], outputs: dict[str, tuple[str, ValueInfoProto]]
    ) -> GraphProto:
        """The graph, with its constants inside; ``outputs`` are name -> (tensor, its type and shape).

        The nodes that make the outputs are told to write there, which saves a copy each.
        """
        made = {output for node in self.nodes for output in node.output}
        renamed: dict[str, str] = {}
        for target, (tensor, _) in outputs.items():
            if target == tensor:
                continue
            if tensor in made and tensor not in renamed and tensor not in outputs:
                renamed[tensor] = target
            else:
                self.op("Identity", tensor, name=target)
        for node in self.nodes:
            for place in (node.input, node.output):
                place[:] = [renamed.get(tensor, tensor) for tensor in place]
        infos = [value for _, value in outputs.values()]
        used = {tensor for node in self.nodes for tensor in node.input}
        constants = [tensor for tensor in self.constants.values() if tensor.name in used]
        return helper.make_graph(self.nodes, name, inputs, infos, constants)


@dataclass(frozen=True, eq=False)
class State:
    """One tensor that a step takes and gives back as ``<name>_next``."""

    name: str
    dtype: Any
    shape: tuple[int, ...]
    """without the batch axis, which is the first"""
    start: NDArray[Any]
    """value before the first step, of ``shape``"""

    def info(self, suffix: str = "") -> ValueInfoProto:
        """As a graph's input or output."""
        return info(self.name + suffix, self.dtype, ("batch", *self.shape))


def info(name: str, dtype: Any, shape: tuple[int | str, ...]) -> ValueInfoProto:
    """Name, type and shape of a graph's input or output; strings are dynamic axes."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))


def column(values: NDArray[Any]) -> NDArray[Any]:
    """One number where all are equal (cheaper to broadcast), else the vector."""
    return values.reshape(-1)[0] if values.size and (values == values.reshape(-1)[0]).all() else values
