"""A live torch model: what it is made of, module by module."""

from __future__ import annotations

from typing import Any

import torch

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.checkpoint.state_dict import INNER, OTHER_NETWORK, RECURRENT
from tclif_deploy.formats.model_file.description import (
    BatchNormEntry,
    Description,
    LinearEntry,
    NeuronEntry,
    ReadoutEntry,
    join,
)
from tclif_deploy.formats.read_options import check_finite, check_threshold
from tclif_deploy.frontends.live.stepped import check_stepped
from tclif_deploy.neurons import REFUSED
from tclif_deploy.nn import SequenceNetwork
from tclif_deploy.nn.neuron import LIF, PLIF, TCLIF, LeakyReadout, SpikingNeuron

Entry = LinearEntry | BatchNormEntry | NeuronEntry | ReadoutEntry

INERT_MODULES = (torch.nn.Dropout, torch.nn.Dropout1d, torch.nn.AlphaDropout, torch.nn.Identity)
"""Modules that do nothing when a trained network runs."""


PLAIN = (torch.nn.Sequential, SequenceNetwork)
"""Containers whose forward is known: their modules, one after the other."""
BY_EXAMPLE = "load(module, example_input=x)"
"""how a module is read by running it"""


def describe(model: torch.nn.Module) -> Description:
    """The structure of ``model``: modules in the order of a forward step.

    Known are torch's Linear, BatchNorm1d and Dropout, our neurons, Recurrent and LeakyReadout, and the neurons and
    containers of the paper's authors, by their class names and attributes. Raises `TclifError` for anything else.
    """
    entries: list[Entry] = []
    notices: list[str] = []
    seen: dict[int, str] = {}

    def visit(path: str, module: torch.nn.Module) -> None:
        where = f"{path or 'model'} ({type(module).__name__})"
        if isinstance(module, INERT_MODULES):
            return
        if id(module) in seen:
            raise TclifError(f"{where} is the same module as {seen[id(module)]}", "give each layer its own")
        seen[id(module)] = path
        entry = _entry(path, module, where)
        if entry is not None:
            unchecked = check_stepped(entry, module, where) if isinstance(entry, NeuronEntry) else None
            notices.extend(() if unchecked is None else (unchecked,))
            entries.append(entry)
            return
        children = {name: child for name, child in module._modules.items() if child is not None}
        own = [name for name, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))]
        reason = next((REFUSED[k.__name__] for k in type(module).__mro__ if k.__name__ in REFUSED), None)
        if reason is not None:
            raise TclifError(f"{where} cannot be read: {reason}", OTHER_NETWORK)
        if own or not children:
            raise TclifError(f"{where} cannot be read", f"{OTHER_NETWORK}; others by running them: {BY_EXAMPLE}")
        if not isinstance(module, PLAIN):
            listed = ""
            if len(children) > 1:
                listed = f"its modules are taken in the order in which it lists them: {', '.join(children):.200}; "
            notices.append(
                f"{where}: {listed}its forward was not run, and what it does beyond its modules only an example shows: "
                f"{BY_EXAMPLE}"
            )
        for name, child in children.items():
            visit(join(path, name), child)

    visit("", model)
    return Description(modules=entries, notices=notices)


def _entry(path: str, module: torch.nn.Module, where: str) -> Entry | None:
    """The entry of a module that counts as one; None for one that only holds others."""
    if isinstance(module, torch.nn.Linear):
        return LinearEntry(path=path)
    if isinstance(module, LeakyReadout):
        return ReadoutEntry(path=path)
    if isinstance(module, torch.nn.BatchNorm1d):
        if module.running_mean is None:
            raise TclifError(f"{where} keeps no running statistics", "train it with track_running_stats=True")
        return BatchNormEntry(path=path, eps=module.eps)
    inner = getattr(module, INNER, None)
    for name in RECURRENT:
        if isinstance(inner, torch.nn.Module) and isinstance(getattr(module, name, None), torch.nn.Linear):
            neuron = neuron_entry(join(path, INNER), inner, where)
            if neuron is None:
                raise TclifError(f"{where} holds a {type(inner).__name__}", "a recurrent container holds a neuron")
            return neuron.model_copy(update={"path": path, "recurrent": join(path, name)})
    return neuron_entry(path, module, where)


def neuron_entry(path: str, module: Any, where: str) -> NeuronEntry | None:
    """The entry of a spiking neuron; None for any other module."""
    kind = type(module).__name__
    if isinstance(module, SpikingNeuron):
        fields: dict[str, Any] = {
            "path": path, "threshold": _threshold(module.threshold, where),
            "comparator": ">" if module.strict else ">=",
            "reset": module.reset, "v_reset": _number(module.v_reset, where),
        }  # fmt: skip
        if isinstance(module, TCLIF):
            gamma, name = _number(module.gamma, where), join(path, "decay_factor")
            return NeuronEntry(**fields, neuron="tclif", gamma=gamma, parameter=name)
        if isinstance(module, LIF):
            return NeuronEntry(**fields, neuron="lif", decay=_number(module.decay, where))
        if isinstance(module, PLIF):
            return NeuronEntry(**fields, neuron="plif", decay_input=module.decay_input, parameter=join(path, "w"))
        return None
    if kind not in ("TCLIFNode", "LIFNode", "ParametricLIFNode") or not hasattr(module, "v_threshold"):
        return None
    common: dict[str, Any] = {
        "path": path, "threshold": _threshold(module.v_threshold, where),
        "comparator": _comparator(module.surrogate_function, where),
    }  # fmt: skip
    if kind == "ParametricLIFNode":  # its reset is hard unless v_reset is None, whatever hard_reset was passed
        return NeuronEntry(
            **common, neuron="plif", reset="soft" if module.v_reset is None else "hard", parameter=join(path, "w"),
            v_reset=_number(module.v_reset or 0.0, where), decay_input=bool(module.decay_input),
        )  # fmt: skip
    if not hasattr(module, "hard_reset") or not hasattr(module, "decay_factor"):
        raise TclifError(f"{where} is not the {kind} of the TC-LIF authors", OTHER_NETWORK)
    common["reset"] = "hard" if module.hard_reset else "soft"
    if kind == "LIFNode":
        return NeuronEntry(**common, neuron="lif", decay=_number(module.decay_factor, where))
    return NeuronEntry(
        **common, neuron="tclif", gamma=_number(module.gamma, where), v_reset=_number(module.v_reset or 0.0, where),
        parameter=join(path, "decay_factor"),
    )  # fmt: skip


def _number(value: Any, where: str) -> float:
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = float(value.detach())
    return check_finite(value, where)


def _threshold(value: Any, where: str) -> float:
    return check_threshold(_number(value, f"{where}: threshold"), f"{where}: threshold")


def _comparator(surrogate: Any, where: str) -> str:
    """Asked of the surrogate function itself: does it fire at v - threshold = 0?"""
    try:
        return ">=" if float(surrogate(torch.zeros(1)).item()) == 1.0 else ">"
    except Exception as error:  # user code
        raise TclifError(
            f"{where}: its surrogate function fails at 0 ({error!s:.100})", "it must take v - threshold"
        ) from error
