"""A neuron that is known by the name of its class, stepped on random input against what that name promises."""

from __future__ import annotations

import copy

import numpy as np
import torch

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.model_file.description import Description, LinearEntry, NeuronEntry, join
from tclif_deploy.formats.model_file.file import described_network
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.nn.neuron import LIF, PLIF, TCLIF
from tclif_deploy.simulation.floating import simulate_float

STEPS, SAMPLES, SIZE = 40, 4, 6
"""of the random input; the size is that of a neuron whose parameters are one for all"""
FEED = "stepped input"
"""path of the weights, ones on the diagonal, that feed the neuron"""
OURS = (TCLIF, LIF, PLIF)
"""classes that are themselves what they promise"""


def check_stepped(entry: NeuronEntry, module: torch.nn.Module, where: str) -> str | None:
    """Step ``module`` and the neuron that ``entry`` says it is on the same input; what could not be checked, or None.

    Raises `TclifError` at the first spike that differs. Module and state are left as they were: a copy is stepped.
    """
    if type(module) in OURS:
        return None
    state = {join(entry.path, name): value for name, value in module.state_dict().items()}
    weights = [state[f"{entry.recurrent}.weight"]] if entry.recurrent is not None else []
    parameter = None if entry.parameter is None else state.get(entry.parameter)
    size = next(
        (len(value) for value in (*weights, parameter) if value is not None and value.ndim and len(value) > 1), SIZE
    )
    parts = Description(modules=[LinearEntry(path=FEED), entry])
    network = described_network(parts, {**state, f"{FEED}.weight": torch.eye(size)}, ReadOptions(), where)
    x = np.random.default_rng(0).uniform(-0.6, 1.8, (SAMPLES, STEPS, size)) * entry.threshold
    name = network.layers[-1].name
    promised = simulate_float(network, x, spikes=True).spikes[name]
    try:
        with torch.no_grad():
            stepped = _run(module, torch.tensor(x))
    except Exception as error:  # user code
        reason = f"{type(error).__name__}: {error!s:.100}"
        return f"{where}: is taken for what its class is called; stepping it failed ({reason}), so nothing was checked"
    if stepped.shape != promised.shape:
        return (
            f"{where}: is taken for what its class is called; it answers no spike for each input: nothing was checked"
        )
    wrong = np.argwhere((stepped != 0) != promised)
    if len(wrong):
        first = int(wrong[:, 1].min())
        raise TclifError(
            f"{where} does not step as the neuron that its class name promises ({entry.neuron}): on random input "
            f"{len(wrong)} of {promised.size} spikes differ, first at step {first}",
            "say what it is: tclif_deploy.register_neuron(cls, reader), and give an example: "
            "load(module, example_input=x)",
        )
    return None


def _run(module: torch.nn.Module, x: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """What a fresh copy answers to ``x`` (samples, time, neurons), step by step."""
    copied = copy.deepcopy(module).to("cpu").double().eval()
    for part in copied.modules():
        for name in ("reset_state", "reset"):
            if callable(getattr(part, name, None)):
                getattr(part, name)()
                break
    return np.stack([np.asarray(copied(x[:, t]).numpy()) for t in range(x.shape[1])], axis=1)
