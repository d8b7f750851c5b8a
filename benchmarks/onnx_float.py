"""The float network as one ONNX graph (a Scan over time), for onnxruntime to run beside the torch loop."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tclif_deploy.network import INPUT, Network

FLOAT = TensorProto.FLOAT
OPSET = 18


class OnnxLoop:
    """The network of `torch_loop.TorchLoop`, in onnxruntime."""

    def __init__(self, network: Network, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # Its warnings are about constants of which the last layer has no need.
        self.sizes = {layer.name: layer.neuron.b_u.size for layer in network.layers}
        self.session = onnxruntime.InferenceSession(_model(network).SerializeToString(), options)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """``x`` (time, samples, features); the summed readout (samples, classes)."""
        zeros = {
            f"{what}_{name}": np.zeros((x.shape[1], size), np.float32)
            for name, size in self.sizes.items()
            for what in "uvs"
        }
        found: NDArray[np.float32] = self.session.run(None, {"x": x, **zeros})[0]
        return found


def _model(network: Network) -> onnx.ModelProto:
    """Inputs: x, and each layer's u, v and last spikes; output: the last layer's v."""
    states = [f"{what}_{layer.name}" for layer in network.layers for what in "uvs"]
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(value: NDArray[np.float64], name: str) -> str:
        constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def node(op: str, *inputs: str, **attributes: int) -> str:
        nodes.append(helper.make_node(op, inputs, [f"n{len(nodes)}"], **attributes))
        return f"n{len(nodes) - 1}"

    now, after = {INPUT: "step"}, {}
    for layer in network.layers:
        n, name = layer.neuron, layer.name
        c = {
            key: constant(getattr(n, key), f"{key}_of_{name}")
            for key in ("b_u", "b_v", "bias_u", "threshold", "r_u", "r_v")
        }
        current = c["bias_u"]
        for at, link in enumerate(layer.connections):
            source = f"s_{link.source}" if link.delay else now[link.source]
            current = node("Gemm", source, constant(link.weight.T, f"weight_{name}_{at}"), current)
        u, v, spikes = f"u_{name}", f"v_{name}", f"s_{name}"
        if n.spiking:
            u = node("Add", node("Add", u, node("Mul", v, c["b_u"])), current)
            v = node("Add", v, node("Mul", u, c["b_v"]))
            spikes = node("Cast", node("GreaterOrEqual", v, c["threshold"]), to=FLOAT)
            u = node("Sub", u, node("Mul", spikes, c["r_u"]))
            v = node("Sub", v, node("Mul", spikes, c["r_v"]))
        else:
            u, v, spikes = node("Identity", u), node("Add", v, current), node("Identity", spikes)
        now[name] = spikes
        after |= {f"u_{name}": u, f"v_{name}": v, f"s_{name}": spikes}

    def of(names: list[str]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, FLOAT, None) for name in names]

    body = helper.make_graph(nodes, "step", of([*states, "step"]), of([after[name] for name in states]), constants)
    ends = [f"end_{name}" for name in states]
    scan = helper.make_node("Scan", [*states, "x"], ends, body=body, num_scan_inputs=1)
    sizes = {f"{what}_{layer.name}": layer.neuron.b_u.size for layer in network.layers for what in "uvs"}
    inputs = [helper.make_tensor_value_info("x", FLOAT, ["time", "samples", network.input_size])]
    inputs += [helper.make_tensor_value_info(name, FLOAT, ["samples", sizes[name]]) for name in states]
    graph = helper.make_graph([scan], "network", inputs, of([f"end_v_{network.layers[-1].name}"]))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
