"""A compiled network in plain onnxruntime: nothing but numpy and onnxruntime >= 1.19 is needed.

    python run_onnx.py build/my-network/onnx data.npz        data: x (samples, time, features), and scale, y, lengths

sequence.onnx takes whole samples; trace.onnx does too, and gives every spike; step.onnx is for streams: what it gives,
it takes back.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort


def encode(model, x, scale):
    """Real input as the integers that the network was compiled for; integers of the right unit stay as they are."""
    encoding = json.loads(model.get_modelmeta().custom_metadata_map["input"])
    if not (np.issubdtype(x.dtype, np.integer) and scale == encoding["lsb"]):
        x = np.rint(x.astype(np.float64) * (scale / encoding["lsb"]))
    limit = 2 ** (encoding["bits"] - 1) - 1
    return np.clip(x, -limit, limit).astype(np.int32)


def whole(folder, x, lengths):
    """Classes by the sequence model, and by the trace model every layer's spikes, uint8 (samples, time, neurons)."""
    feeds = {"x": x, "lengths": lengths}
    classes = ort.InferenceSession(str(folder / "sequence.onnx")).run(["classes"], feeds)[0]
    trace = ort.InferenceSession(str(folder / "trace.onnx"))
    names = [output.name for output in trace.get_outputs() if output.name.startswith("spikes_")]
    return classes, dict(zip(names, trace.run(names, feeds), strict=True))


def streamed(folder, x, lengths):
    """Classes by the step model, one step at a time."""
    model = ort.InferenceSession(str(folder / "step.onnx"))
    start = json.loads(model.get_modelmeta().custom_metadata_map["initial_states"])
    kinds = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
    states = {
        value.name: np.zeros((len(x), *value.shape[1:]), kinds[value.type])
        + np.array(start[value.name], kinds[value.type])
        for value in model.get_inputs()
        if value.name != "x"
    }
    names = [output.name for output in model.get_outputs()]
    classes = np.zeros(len(x), np.int64)
    for t in range(x.shape[1]):
        outputs = dict(zip(names, model.run(names, {"x": x[:, t], **states}), strict=True))
        states = {name: outputs[f"{name}_next"] for name in states}
        classes[lengths == t + 1] = outputs["classes"][lengths == t + 1]
    return classes


if __name__ == "__main__":
    folder, data = Path(sys.argv[1]), np.load(sys.argv[2])
    model = ort.InferenceSession(str(folder / "sequence.onnx"))
    x = encode(model, data["x"], float(data["scale"]) if "scale" in data else 1.0)
    lengths = data["lengths"].astype(np.int64) if "lengths" in data else np.full(len(x), x.shape[1])
    classes, spikes = whole(folder, x, lengths)
    assert (classes == streamed(folder, x, lengths)).all(), "the two models disagree"
    print("classes:", *classes)
    for name, fired in spikes.items():
        print(f"{name}: {fired.mean():.4f} spikes a neuron a step")
    if "y" in data:
        print(f"accuracy: {(classes == data['y']).mean():.4f}")
