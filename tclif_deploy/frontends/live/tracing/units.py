"""The modules that a recording knows: weights, batch norms, and the neurons of several libraries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.model_file.description import NeuronEntry, settings_of
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.formats.torch_modules import Leak, Spiking, neuron_of, neuron_parameter, readout_of
from tclif_deploy.frontends.live.modules import neuron_entry
from tclif_deploy.frontends.live.registry import REGISTERED, NeuronReader
from tclif_deploy.frontends.live.tracing.maps import (
    CONVOLUTIONS,
    NORMS,
    POOLINGS,
    per_element,
    read_convolution,
    read_pooling,
)
from tclif_deploy.graph.nodes import Affine, BatchNorm, Population
from tclif_deploy.network import Float, Neuron
from tclif_deploy.nn.neuron import LeakyReadout


@dataclass(frozen=True, eq=False)
class Recurrent:
    """A population whose own module brings its spikes back through these weights."""

    population: Population
    weights: Affine


def is_unit(module: torch.nn.Module) -> bool:
    """Whether a recording takes ``module`` as one thing."""
    return isinstance(module, (torch.nn.Linear, *CONVOLUTIONS, *POOLINGS, *NORMS)) or is_neuron(module)


def is_neuron(module: torch.nn.Module) -> bool:
    """Whether ``module`` is a population of neurons that is known."""
    return _reader(module) is not None


def refusal(module: torch.nn.Module) -> str | None:
    """Why a neuron of this class cannot be read; None where there is nothing against it."""
    if _of(module, "spikingjelly", "NonSpikingBaseNode"):
        return "it decodes whole sequences by itself: end in a Linear, and let a readout rule decode"
    return next((neurons.REFUSED[k.__name__] for k in type(module).__mro__ if k.__name__ in neurons.REFUSED), None)


def read_unit(
    path: str, module: torch.nn.Module, shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> Affine | BatchNorm | Population | Recurrent:
    """What a unit does with one sample's input of ``shape`` in one step."""
    size = math.prod(output_shape)
    if isinstance(module, CONVOLUTIONS):
        return read_convolution(path, module, shape)
    if isinstance(module, POOLINGS):
        return read_pooling(path, module, shape)
    if isinstance(module, torch.nn.Linear):
        if len(shape) != 1:
            raise TclifError(f"{path} is fed {shape} a sample, row by row", "flatten what enters a Linear")
        return Affine(_array(module.weight), None if module.bias is None else _array(module.bias))
    if isinstance(module, NORMS):
        if module.running_mean is None or module.running_var is None:
            raise TclifError(f"{path} keeps no running statistics", "train it with track_running_stats=True")
        mean, var = (per_element(_array(value), shape) for value in (module.running_mean, module.running_var))
        weight, bias = (None if p is None else per_element(_array(p), shape) for p in (module.weight, module.bias))
        return BatchNorm(path, mean, var, weight, bias, module.eps)
    reader = _reader(module)
    assert reader is not None
    population = Population(reader(module, size))
    recurrent = getattr(module, "recurrent", None)
    if _of(module, "snntorch", "RLeaky"):
        if isinstance(recurrent, torch.nn.Linear):
            inner = read_unit(f"{path}.recurrent", recurrent, output_shape, output_shape)
            assert isinstance(inner, Affine)
            return Recurrent(population, inner)
        return Recurrent(population, Affine(np.broadcast_to(_array(module.recurrent.V), size).astype(np.float64)))  # type: ignore[union-attr]
    return population


def _reader(module: torch.nn.Module) -> NeuronReader | None:
    for kind in type(module).__mro__:
        if kind in REGISTERED:
            return REGISTERED[kind]
    if type(module) is LeakyReadout:
        return _leaky_readout
    for library, names, reader in _LIBRARIES:
        if _of(module, library, *names):
            return reader
    if type(module).__name__ in ("TCLIF", "LIF", "PLIF", "TCLIFNode", "LIFNode", "ParametricLIFNode"):
        return _ours_or_the_authors
    return None


def _of(module: Any, library: str, *names: str) -> bool:
    return any(k.__name__ in names and k.__module__.split(".")[0] == library for k in type(module).__mro__)


def _ours_or_the_authors(module: Any, size: int) -> Neuron:
    name = type(module).__name__
    entry = neuron_entry("", module, name)
    if not isinstance(entry, NeuronEntry):
        raise TclifError(f"{name} cannot be read", "register its class: tclif_deploy.register_neuron")
    parameter = None
    if entry.parameter is not None:
        parameter = neuron_parameter(entry.neuron, _array(getattr(module, entry.parameter)), name)
    part = Spiking(name, entry.neuron, parameter, settings=settings_of(entry, ReadOptions(), name))
    return neuron_of(part, size, 0.0, "model")


def _leaky_readout(module: Any, size: int) -> Neuron:
    return readout_of(Leak("LeakyReadout", _array(module.leak)), size, "model")


def _spikingjelly(module: Any, size: int) -> Neuron:
    hard = module.v_reset is not None
    rest = float(module.v_reset or 0.0)
    name = type(module).__name__
    threshold = float(module.v_threshold)
    strict = float(module.surrogate_function(torch.zeros(1)).item()) != 1.0
    common: dict[str, Any] = {
        "threshold": threshold, "strict": strict, "reset": "hard" if hard else "soft", "v_reset": rest,
    }  # fmt: skip
    if name == "IFNode":
        return neurons.integrate_and_fire(size, **common, v0=rest)
    if name == "ParametricLIFNode":
        return neurons.plif(size, w=_array(module.w), decay_input=bool(module.decay_input), **common)
    share = 1.0 / float(module.tau)
    gain = share if module.decay_input else 1.0
    return neurons.lif(size, decay=1.0 - share, gain=gain, rest=rest, v0=rest, **common)


def _snntorch(module: Any, size: int) -> Neuron:
    name = type(module).__name__
    for flag in ("inhibition", "state_quant"):
        if getattr(module, flag, False):
            raise TclifError(f"{name} with {flag} cannot be read", f"train without {flag}")
    if float(getattr(module, "graded_spikes_factor", torch.ones(1))) != 1.0:
        raise TclifError(f"{name} with a graded_spikes_factor cannot be read", "spikes are 0 or 1")
    threshold, beta = _array(module.threshold), _array(module.beta.clamp(0, 1))
    mechanism = module.reset_mechanism
    strict = float(module.spike_grad(torch.zeros(1)).item()) != 1.0
    if mechanism == "none":
        raise TclifError(f"{name} without a reset cannot be read", "use reset_mechanism subtract or zero")
    delayed = bool(module.reset_delay)
    if mechanism == "zero" and delayed and name != "Leaky":
        raise TclifError(
            f"{name} with reset_mechanism zero and reset_delay: its reset also deletes the next step's input",
            "use reset_mechanism subtract, or reset_delay=False",
        )
    if mechanism == "subtract" and delayed and (beta == 0).any():
        raise TclifError(f"{name} with beta 0 cannot subtract one step late", "use reset_mechanism zero")
    # one step late, the decay does not touch what is taken; a zero that is late is a zero all the same
    common: dict[str, Any] = {
        "threshold": threshold, "strict": strict, "reset": "hard" if mechanism == "zero" else "soft",
        "delayed_reset": mechanism == "subtract" and delayed,
    }  # fmt: skip
    if name == "Synaptic":
        alpha = _array(module.alpha.clamp(0, 1))
        return neurons.cuba_lif(size, current_decay=1.0 - alpha, voltage_decay=1.0 - beta, **common)
    return neurons.lif(size, decay=beta, **common)


def _norse(module: Any, size: int) -> Neuron:
    p, name = module.p, type(module).__name__
    dt = module.dt
    if name in ("LICell", "LIBoxCell"):
        share = _array(dt * p.tau_mem_inv)
        current = 1.0 if name == "LIBoxCell" else _array(dt * p.tau_syn_inv)
        leak = _array(p.v_leak)
        return neurons.readout(
            size, decay=1.0 - share, current_decay=current, gain=share, rest=leak, v0=leak,
        )  # fmt: skip
    fires: dict[str, Any] = {"threshold": _array(p.v_th), "strict": True, "reset": "hard", "v_reset": _array(p.v_reset)}
    if name == "IAFCell":
        return neurons.integrate_and_fire(size, **fires)
    method = getattr(getattr(p, "reset_method", None), "__name__", "reset_value")
    if method != "reset_value":
        fires |= {"reset": "soft", "v_reset": 0.0}
    share, leak = _array(dt * p.tau_mem_inv), _array(p.v_leak)
    if name == "LIFBoxCell":
        return neurons.lif(size, decay=1.0 - share, gain=share, rest=leak, v0=leak, **fires)
    neuron = neurons.cuba_lif(
        size, current_decay=_array(dt * p.tau_syn_inv), voltage_decay=share, gain=share, rest=leak, **fires
    )
    return neurons.canonical(
        size, neuron.type, a_u=neuron.a_u, a_v=neuron.a_v, b_v=neuron.b_v, threshold=neuron.threshold, r_v=neuron.r_v,
        v_reset=neuron.v_reset, bias_v=neuron.bias_v, v0=leak, strict=True, reset=neuron.reset,
    )  # fmt: skip


_LIBRARIES: tuple[tuple[str, tuple[str, ...], NeuronReader], ...] = (
    ("spikingjelly", ("LIFNode", "IFNode", "ParametricLIFNode"), _spikingjelly),
    ("snntorch", ("Leaky", "Synaptic", "RLeaky"), _snntorch),
    ("norse", ("LIFBoxCell", "LIFCell", "IAFCell", "LICell", "LIBoxCell"), _norse),
)


def _array(value: Any) -> Float:
    tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(value)
    return np.asarray(tensor.detach().to("cpu", torch.float64).numpy(), dtype=np.float64)
