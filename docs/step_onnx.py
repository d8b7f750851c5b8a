"""A compiled network step by step in plain onnxruntime, in the shape of `tclif_deploy.Simulator`.

    session = OnnxSession("build/my-network/onnx/step.onnx")
    spikes, readout = session.step(x)           x: (features,) or (batch, features), the network's integers

Nothing but numpy and onnxruntime >= 1.19 is needed. What the model gives as ``NAME_next``, it takes back as ``NAME``.
"""

import json

import numpy as np
import onnxruntime as ort

KINDS = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}


class OnnxSession:
    """``batch`` samples that take their input step by step; ``state`` may be kept, and put back."""

    def __init__(self, path, batch=1):
        self.model, self.batch = ort.InferenceSession(str(path)), batch
        self.names = [output.name for output in self.model.get_outputs()]
        self.start = json.loads(self.model.get_modelmeta().custom_metadata_map["initial_states"])
        self.reset()

    def reset(self):
        """Back to before the first step."""
        inputs = [value for value in self.model.get_inputs() if value.name != "x"]
        self.state = {
            value.name: np.zeros((self.batch, *value.shape[1:]), KINDS[value.type])
            + np.array(self.start[value.name], KINDS[value.type])
            for value in inputs
        }

    def step(self, x):
        """Every layer's spikes, uint8 (batch, neurons) by the layer's name in the model, and the readout."""
        feeds = {"x": np.reshape(x, (self.batch, -1)).astype(np.int32), **self.state}
        outputs = dict(zip(self.names, self.model.run(self.names, feeds), strict=True))
        self.state = {name: outputs[f"{name}_next"] for name in self.state}
        fired = {name.removeprefix("spikes_"): s for name, s in outputs.items() if name.startswith("spikes_")}
        return fired, outputs["readout"]
