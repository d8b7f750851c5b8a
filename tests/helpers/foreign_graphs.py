"""Graphs as other tools write them, built with nir's own nodes and random numbers."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import nir
import numpy as np
import torch

DT = 1e-4
"""the time step that snnTorch has built in, in seconds"""


def spike_trains(rate, features, steps=200, samples=3, seed=0):
    return (np.random.default_rng(seed).random((samples, steps, features)) < rate).astype(float)


def input_and_output(first: int, last: int) -> dict:
    return {"in": nir.Input(np.array([first])), "out": nir.Output(np.array([last]))}


def cuba_lif(size: int, alpha: float, beta: float) -> nir.CubaLIF:
    """The node that snnTorch makes of a Synaptic with these decays: its r and w_in undo Euler's dt / tau."""
    synapse, membrane = DT / (1 - alpha), DT / (1 - beta)
    every = {"tau_syn": synapse, "tau_mem": membrane, "r": membrane / DT, "v_leak": 0.0, "v_threshold": 1.0,
             "w_in": synapse / DT}  # fmt: skip
    return nir.CubaLIF(**{name: np.full(size, value) for name, value in every.items()})


def recurrent_graph(bias: bool = True, seed: int = 0) -> nir.NIRGraph:
    """Ten inputs, 30 CubaLIF that feed themselves, six more: the nodes and names of snnTorch's exports."""
    rng = np.random.default_rng(seed)

    def dense(neurons, sources, gain, mean=0.0):
        weight = rng.normal(mean, gain / sources**0.5, (neurons, sources)).astype(np.float32)
        return nir.Affine(weight, rng.normal(0, 0.05, neurons).astype(np.float32)) if bias else nir.Linear(weight)

    nodes = {
        "input": nir.Input(np.array([10])), "fc1": dense(30, 10, 0.5, 0.03), "lif1.lif": cuba_lif(30, 0.5, 0.875),
        "lif1.w_rec": dense(30, 30, 0.4), "fc2": dense(6, 30, 0.8, 0.05), "lif2": cuba_lif(6, 0.4375, 0.5625),
        "output": nir.Output(np.array([6])),
    }  # fmt: skip
    edges = [("lif1.w_rec", "lif1.lif"), ("lif2", "output"), ("fc2", "lif2"), ("input", "fc1"),
             ("lif1.lif", "lif1.w_rec"), ("fc1", "lif1.lif"), ("lif1.lif", "fc2")]  # fmt: skip
    return nir.NIRGraph(nodes, edges, metadata={}, type_check=False)


def with_subgraph(graph: nir.NIRGraph) -> nir.NIRGraph:
    """A `recurrent_graph` with its loop in a graph of its own, called lif1."""
    inner = {key.removeprefix("lif1."): node for key, node in graph.nodes.items() if key.startswith("lif1.")}
    size = np.array([inner["lif"].v_threshold.size])
    loop = nir.NIRGraph(
        {"input": nir.Input(size), **inner, "output": nir.Output(size)},
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")], metadata={}, type_check=False,
    )  # fmt: skip
    nodes = {key: node for key, node in graph.nodes.items() if not key.startswith("lif1.")} | {"lif1": loop}
    edges = [("input", "fc1"), ("fc1", "lif1"), ("lif1", "fc2"), ("fc2", "lif2"), ("lif2", "output")]
    return nir.NIRGraph(nodes, edges, metadata={}, type_check=False)


def lif_chain_with_leak() -> nir.NIRGraph:
    """Two LIFs in a chain, in seconds; the first leaks towards a potential above its threshold."""

    def lif(tau, v_leak, v_threshold):
        values = {"tau": tau, "r": 1.0, "v_leak": v_leak, "v_threshold": v_threshold}
        return nir.LIF(**{name: np.array([value]) for name, value in values.items()})

    nodes = {**input_and_output(1, 1), "linear1": nir.Linear(np.ones((1, 1))), "lif1": lif(5e-3, 2.0, 1.0),
             "linear2": nir.Linear(np.full((1, 1), 20.0)), "lif2": lif(8e-3, 0.0, 0.3)}  # fmt: skip
    edges = [("in", "linear1"), ("linear1", "lif1"), ("lif1", "linear2"), ("linear2", "lif2"), ("lif2", "out")]
    return nir.NIRGraph(nodes, edges, metadata={}, type_check=False)


def write_graph(graph: nir.NIRGraph, path: Path) -> Path:
    nir.write(path, graph)
    return path


def rewrite_as_nir_0_2(path: Path) -> Path:
    """The file without what nir had not at that time: metadata, and a v_reset."""

    def strip(group):
        for name in list(group):
            if name in ("v_reset", "metadata"):
                del group[name]
            elif isinstance(group[name], h5py.Group):
                strip(group[name])

    with h5py.File(path, "r+") as file:
        strip(file["node"])
        del file["version"]
        file["version"] = "0.2.0"
    return path


def with_random_weights(
    module: torch.nn.Module, seed: int = 0, gain: float = 1.0, mean: float = 0.3
) -> torch.nn.Module:
    """``module`` with seeded weights, a little more positive than negative, and small biases."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in module.named_parameters():
            noise = torch.randn(values.shape, generator=generator)
            if name.endswith("bias"):
                values.copy_(0.05 * noise)
            elif name.endswith("weight"):
                values.copy_((mean + noise) * gain / values[0].numel() ** 0.5)
    return module


def run_steps(module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """Outputs (samples, time, neurons) of a module that takes one step and its state."""
    state, out = None, []
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for t in range(x.shape[1]):
            step = torch.as_tensor(x[:, t], dtype=torch.float32)
            z, state = module(step) if state is None else module(step, state)
            out.append(z.numpy())
    return np.stack(out, 1)
