"""What tests of the family's checkpoints share: files and live models of tensors, and a comparison of networks."""

import numpy as np
import pytest
import torch

from tclif_deploy import TclifError, load, simulate
from tclif_deploy.neurons import spectral_radius


def saved(tmp_path, state, name="model.pt", **more):
    path = tmp_path / name
    torch.save({"state_dict": {key: torch.tensor(value) for key, value in state.items()}, **more}, path)
    return path


def run(step, x):
    """(spikes of each layer, (samples, steps, neurons); what the last one says) of a transcription of one step."""
    said, spikes = [], []
    for sample in x:
        state: dict = {}
        rows = [step(i, state) for i in sample]
        spikes.append([row[0] for row in rows])
        said.append(rows)
    layers = [np.array([[step[n] for step in sample] for sample in spikes]) for n in range(len(spikes[0][0]))]
    return layers, np.array([[row[1] for row in rows] for rows in said])


def compare(network, step, x, readout="last", stable=True):
    """Spikes over the whole sequence, and what the readout's rule makes of the last layer."""
    assert all(spectral_radius(layer.neuron).max() <= 1 + 1e-9 for layer in network.layers) == stable
    wanted, said = run(step, x)
    result = simulate(network, x, spikes=True)
    assert len(result.spikes) == len(wanted)
    for (name, spikes), layer in zip(result.spikes.items(), wanted, strict=True):
        assert 0.01 <= layer.mean() <= 0.6, (name, layer.mean())
        np.testing.assert_array_equal(spikes, layer.astype(bool), err_msg=name)
    assert str(network.readout) == readout
    if readout == "last":
        answer = said[:, -1]
    elif readout == "softmax":
        e = np.exp(said - said.max(axis=2, keepdims=True))
        answer = (e / e.sum(axis=2, keepdims=True)).sum(axis=1)
    else:
        answer = said.sum(axis=1)
    np.testing.assert_allclose(result.readout, answer, rtol=1e-9, atol=1e-9)


def refused(path, **options):
    with pytest.raises(TclifError) as error:
        load(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


class Holder(torch.nn.Module):
    """A module of a class of another name, with tensors as parameters and numbers as attributes."""

    def __init__(self, tensors=(), **others):
        super().__init__()
        for name, value in dict(tensors).items():
            tensor = torch.tensor(value)
            if tensor.is_floating_point():
                setattr(self, name, torch.nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)
        for name, value in others.items():
            setattr(self, name, value)


def live(state, classes, attributes=None):
    """A live model with the parameters of ``state``; ``classes`` names the class of the module at a path."""
    tree: dict = {}
    for name, value in state.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value

    def build(node, path):
        tensors = {name: value for name, value in node.items() if not isinstance(value, dict)}
        children = {name: value for name, value in node.items() if isinstance(value, dict)}
        kind = type(classes.get(path, "Holder"), (Holder,), {})
        module = kind(tensors, **(attributes or {}).get(path, {}))
        for name, child in children.items():
            module.add_module(name, build(child, f"{path}.{name}".strip(".")))
        return module

    return build(tree, "")
