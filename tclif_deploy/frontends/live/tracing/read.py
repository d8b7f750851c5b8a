"""A live torch model and an example of its input, read as a `Network` that spikes as the model does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.checkpoint.state_dict import INNER
from tclif_deploy.frontends.live.tracing.answer import with_answer, with_rule
from tclif_deploy.frontends.live.tracing.example import as_example, own_copy
from tclif_deploy.frontends.live.tracing.input_layout import InputLayout, input_layouts
from tclif_deploy.frontends.live.tracing.maps import sample_shape
from tclif_deploy.frontends.live.tracing.trace import INPUT, Call, Origin, Trace, run
from tclif_deploy.frontends.live.tracing.units import Recurrent, is_neuron, is_unit, read_unit, refusal
from tclif_deploy.graph.lower import lower
from tclif_deploy.graph.nodes import Affine, Input, NetworkGraph, Node, Output
from tclif_deploy.network import Float, Network
from tclif_deploy.simulation.float_result import FloatResult
from tclif_deploy.simulation.floating import simulate_float

SOURCE, SINK = "<input>", "<output>"
TOLERANCE = 1e-6
"""relative, for readouts; spikes must be equal"""

PASSES = (torch.nn.Identity, torch.nn.Flatten, torch.nn.Unflatten, torch.nn.modules.dropout._DropoutNd)
"""modules that leave values as they are when they are not trained"""

Feeds = frozenset[tuple[str, int, float]]
"""(source node, delay in steps, factor)"""


DOES_MORE = (
    "a part of the model does something that its classes do not say: take out what is beside them (a reset or a state "
    "of its own, a hook), or load a NIR file of it"
)


def record(model: torch.nn.Module, example: Any, readout: str | None = None) -> Network:
    """Read ``model`` by running it on ``example``, and check the network against that run, spike by spike.

    ``example`` is (samples, time, features), or (time, samples, features) where the model takes that; some 50 steps
    on which the neurons fire. A model that takes one step a call is called once a step, its state handed on where it
    returns one. The model itself is left as it was: a copy in double precision is run. Raises `TclifError` where a
    part cannot be read, with the first spike at which network and model differ, or where no readout rule says what the
    model returns; a ``readout`` that is given wins.
    """
    x = as_example(example)
    model = own_copy(model)
    units = _units(model)
    populations = {path for path, unit in units.items() if is_neuron(unit)}
    if not populations:
        raise TclifError(*_no_neurons(model))
    multi = any(getattr(units[path], "step_mode", "s") == "m" for path in populations)
    trace, by_step = _run(model, units, populations, x, multi)
    return _Recording(units, populations, trace, x, multi, by_step, _unread(model, units)).network(readout)


def _units(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Path -> unit; what is inside a unit is its own affair."""
    units: dict[str, torch.nn.Module] = {}
    for path, module in model.named_modules():
        inside = any(path.startswith(f"{outer}.") or outer == "" for outer in units)
        if not inside and is_unit(module):
            units[path] = module
    return units


def _unread(model: torch.nn.Module, units: Mapping[str, torch.nn.Module]) -> list[str]:
    """The parts that are neither read nor of a kind that changes no value, with their classes."""
    return [
        f"{path} ({type(module).__name__})"
        for path, module in model.named_modules()
        if not list(module.children())
        and not isinstance(module, PASSES)
        and not any(path == unit or path.startswith(f"{unit}.") for unit in units)
    ]


def _no_neurons(model: torch.nn.Module) -> tuple[str, str]:
    for path, module in model.named_modules():
        reason = refusal(module)
        if reason is not None:
            return f"{path or 'model'} ({type(module).__name__}): {reason}", "use another neuron"
    kinds = sorted({type(m).__name__ for m in model.modules() if not list(m.children())})
    return (
        f"model {type(model).__name__}: no neurons that are known in it (it has {', '.join(kinds)[:200]})",
        "say what they are: tclif_deploy.register_neuron(cls, reader)",
    )


def _run(
    model: torch.nn.Module,
    units: Mapping[str, torch.nn.Module],
    populations: set[str],
    x: torch.Tensor,
    multi: bool,
) -> tuple[Trace, bool]:
    """(the trace, whether the model takes one step a call)."""
    failure: Exception | None = None
    try:
        trace = run(model, units, x, by_step=False)
        counts = [len(trace.calls[path]) for path in populations if path in trace.calls]
        if multi or any(all(n % time == 0 for n in counts) for time in x.shape[1::-1] if time > 1 and counts):
            return trace, False
    except TclifError:
        raise
    except Exception as error:  # user code: it may want one step a call
        failure = error
    try:
        return run(model, units, x, by_step=True), True
    except TclifError:
        raise
    except Exception as error:
        reason = failure or error
        raise TclifError(
            f"model {type(model).__name__} fails on the example input of shape {tuple(x.shape)} "
            f"({type(reason).__name__}: {reason!s:.150})",
            "give an input as in training, (samples, time, features)",
        ) from reason


class _Recording:
    """What a trace says, put together."""

    def __init__(
        self,
        units: Mapping[str, torch.nn.Module],
        populations: set[str],
        trace: Trace,
        x: torch.Tensor,
        multi: bool,
        by_step: bool,
        unread: list[str],
    ) -> None:
        self.units, self.populations, self.trace, self.multi = units, populations, trace, multi
        self.unread = unread
        self.x = x.numpy()
        self.time = 1 if multi else self.length(by_step)
        self.repeats = {path: self.repeat(path) for path in trace.calls}

    def length(self, by_step: bool) -> int:
        """Steps of the example, as the neurons were called."""
        counts = {path: len(self.trace.calls.get(path, ())) for path in self.populations}
        called = [count for count in counts.values() if count]
        if not called:
            raise TclifError("the model never calls its neurons by themselves", "call the modules, not their forward")
        for most in (1, max(called)):  # a whole number of calls a step may be two layers: `repeat` says so
            for time in (self.x.shape[1],) if by_step else self.x.shape[1::-1]:
                if all(count % time == 0 and count <= most * time for count in called):
                    return int(time)
        path = min(counts, key=lambda p: (counts[p] == 0, counts[p]))
        raise TclifError(
            f"{path} is called {counts[path]} times on an example of {self.x.shape[1]} steps",
            "each neuron must be called once a step",
        )

    def repeat(self, path: str) -> int:
        """Calls a step."""
        count = len(self.trace.calls[path])
        if count % self.time:
            raise TclifError(f"{path} is called {count} times in {self.time} steps", "expected the same every step")
        times = count // self.time
        if path in self.populations and times > 1:
            raise TclifError(
                f"{path} ({type(self.units[path]).__name__}) is called {times} times a step: one population with one "
                f"state stands for {times} layers",
                "give each layer a neuron object of its own",
            )
        return times

    def node(self, path: str, place: int) -> str:
        """The name of a unit's call within a step."""
        name = path.removesuffix(f".{INNER}") or "model"
        return name if self.repeats[path] == 1 else f"{name}#{place}"

    def network(self, readout: str | None) -> Network:
        """The network, checked."""
        feeds = {
            self.node(path, place): self.feeds(path, place)
            for path in self.trace.calls
            for place in range(self.repeats[path])
        }
        output = self.output(feeds)
        layout = self.input_layout()
        x = layout.steps(self.x)
        nodes: dict[str, Node] = {SOURCE: Input(x.shape[2]), SINK: Output(output)}
        edges: list[tuple[str, str, int]] = [(output, SINK, 0)]
        for path, calls in self.trace.calls.items():
            for place in range(self.repeats[path]):
                name = self.node(path, place)
                shapes = [self.shape(path, tensor) for tensor in (calls[place].input, calls[place].output)]
                self.add(name, read_unit(path, self.units[path], *shapes), nodes, edges)
                for number, (source, delay, factor) in enumerate(sorted(feeds[name])):
                    start = source
                    if factor != 1.0:
                        start = f"{name}<{number}"
                        nodes[start] = Affine(np.full(math.prod(shapes[0]), factor))
                        edges.append((source, start, 0))
                    edges.append((start, name, delay))
        window_notice = layout.notice()
        unused = [path for path in self.units if path not in self.trace.calls]
        notices = (window_notice,) if window_notice else ()
        if unused:
            notices = (*notices, f"never called on the example, left out: {', '.join(unused)[:200]}")
        graph = NetworkGraph("model", nodes, tuple(edges), notices)
        network = lower(graph)
        result = simulate_float(network, x, traces=[network.layers[-1].name])
        fired = self.check(network, result, output)
        check_notice = (
            f"checked against the model itself on {x.shape[0]} x {x.shape[1]} steps: {fired} spikes, all equal"
            if fired
            else f"nothing fired on the example ({x.shape[0]} x {x.shape[1]} steps), which so proves nothing: give one "
            "like the data"
        )
        network, answer = self.answer(network, result, output, readout)
        return replace(network, notices=(*network.notices, check_notice, *answer))

    def answer(
        self, network: Network, result: FloatResult, output: str, readout: str | None
    ) -> tuple[Network, tuple[str, ...]]:
        """The network with the rule that says what the model returned, or the one that is given, and a notice."""
        returned, name = self.trace.returned, network.layers[-1].name
        if returned is None:
            return network, ("what the model returns is no tensor, and was not compared",)
        is_sum = not any(self.node(p, 0) == output for p in self.populations & self.trace.calls.keys())
        soma, spikes = result.traces[name][1], result.spikes.get(name)
        if readout is not None:
            return with_rule(network, soma, spikes, returned.cpu().numpy(), is_sum, readout)
        try:
            found, notice = with_answer(network, soma, spikes, returned.cpu().numpy(), is_sum)
        except TclifError as error:
            if self.unread:
                raise TclifError(f"{error.what}; not read: {', '.join(self.unread)[:200]}", error.hint) from None
            raise
        return found, (notice,)

    def shape(self, path: str, tensor: torch.Tensor) -> tuple[int, ...]:
        """Of one sample in one step of what goes into or out of a unit."""
        return sample_shape(self.units[path], tensor, 2 if self.multi else 1)

    def rows(self, calls: list[Call], end: str = "output") -> Float:
        """What went in or out of all steps' calls, (time, samples, elements)."""
        values = np.stack([getattr(call, end).numpy() for call in calls])
        values = values[0] if self.multi else values
        return values.reshape(*values.shape[:2], -1)

    def add(self, name: str, unit: Any, nodes: dict[str, Node], edges: list[tuple[str, str, int]]) -> None:
        """A unit's node or, with recurrence of its own, nodes."""
        if isinstance(unit, Recurrent):
            nodes |= {name: unit.population, f"{name}.recurrent": unit.weights}
            edges += [(name, f"{name}.recurrent", 1), (f"{name}.recurrent", name, 0)]
        else:
            nodes[name] = unit

    def feeds(self, path: str, place: int) -> Feeds:
        """What a unit's call is fed in the steady state; the first steps may lack what comes from before them."""
        calls = self.trace.calls[path][place :: self.repeats[path]]
        steady = self.terms(path, calls[-1], len(calls) - 1)
        if not steady:
            raise TclifError(f"{path}: its input comes from nowhere that can be followed", "is it computed by torch?")
        for t, call in enumerate(calls):
            expected = {term for term in steady if term[1] <= t}
            if self.terms(path, call, t) != expected:
                raise TclifError(f"{path}: what it is fed changes at step {t}", "networks do the same at every step")
        return steady

    def terms(self, path: str, call: Call, t: int) -> Feeds:
        origin = call.origin
        if origin.unreadable or origin.joined:
            operation = origin.unreadable or "several steps or layers put into one tensor"
            if origin.terms and self.before_spikes(origin):
                raise TclifError(
                    f"{path}: its input comes through {operation} before any neuron: that block computes with real "
                    "values, which spiking hardware cannot",
                    "run it on the host, and load the modules behind it, with what it gives as example_input",
                )
            raise TclifError(
                f"{path}: its input comes through {operation}, which cannot be read",
                "between layers only sums, factors and reshapes are; say what a neuron is with register_neuron",
            )
        terms = set()
        for (source, index), factor in origin.terms.items():
            if (source, index) == INPUT:
                terms.add((SOURCE, 0, factor))
                continue
            repeats = self.repeats[source]
            terms.add((self.node(source, index % repeats), t - index // repeats, factor))
        return frozenset(terms)

    def before_spikes(self, origin: Origin) -> bool:
        """Whether no neuron has a part in it: it is made of the input, by weights alone."""
        return all(
            key == INPUT
            or (key[0] not in self.populations and self.before_spikes(self.trace.calls[key[0]][key[1]].origin))
            for key in origin.terms
        )

    def output(self, feeds: Mapping[str, Feeds]) -> str:
        """The node that says the result: what the model returns, else the one that feeds no other."""
        returned = dict.fromkeys(
            self.node(path, index % self.repeats[path])
            for path, index in self.trace.output.terms
            if (path, index) != INPUT
        )
        if len(returned) == 1:
            return next(iter(returned))
        read = {source for terms in feeds.values() for source, delay, _ in terms if delay == 0}
        last = [name for name in feeds if name not in read]
        if len(last) == 1:
            return last[0]
        raise TclifError(f"model: several outputs ({', '.join(returned or last)[:200]})", "networks with one are read")

    def input_layout(self) -> InputLayout:
        """How the input was cut, found by its values."""
        for path in self.trace.calls:
            calls = self.trace.calls[path]
            factor = calls[0].origin.terms.get(INPUT)
            if factor is None or len(calls[0].origin.terms) != 1:
                continue
            seen = self.rows(calls[:: self.repeats[path]], "input")
            for layout in input_layouts(self.x, seen.shape[-1]):
                cut = layout.steps(self.x).swapaxes(0, 1)
                if cut.shape == seen.shape and np.allclose(cut * factor, seen, rtol=1e-12, atol=0):
                    return layout
            raise TclifError(
                f"{path}: the values it is fed ({seen.shape[-1]} features a step) are not steps of the example "
                f"of shape {self.x.shape}",
                "read are one step after the other, and windows that slide by one",
            )
        raise TclifError("model: no layer is fed from the input alone", "is the input used?")

    def check(self, network: Network, result: FloatResult, output: str) -> int:
        """Number of spikes; raises `TclifError` at the first one at which the network and the model differ."""
        differences = []
        fired = 0
        for path in self.populations & self.trace.calls.keys():
            model_spikes = self.rows(self.trace.calls[path])
            name = self.layer_name(network, self.node(path, 0))
            if name not in result.spikes:
                continue
            network_spikes = result.spikes[name].swapaxes(0, 1)
            fired += int(network_spikes.sum())
            wrong = np.argwhere(network_spikes != (model_spikes != 0))
            if len(wrong):
                step, sample, neuron = (int(v) for v in wrong[0])
                differences.append((step, name, sample, neuron, len(wrong), network_spikes.size))
        if differences:
            step, name, sample, neuron, count, size = min(differences)
            raise TclifError(
                f"the network read from the model does not spike as the model does: first at step {step} in layer "
                f"{name}, neuron {neuron} of sample {sample} ({count} of {size} spikes differ there)",
                DOES_MORE,
            )
        self.check_readout(network, result, output)
        return fired

    def check_readout(self, network: Network, result: FloatResult, output: str) -> None:
        """The last layer, where it does not spike: the sum over its calls, or a leaky integrator's own state."""
        if network.layers[-1].neuron.spiking:
            return
        path = next(p for p in self.trace.calls for k in range(self.repeats[p]) if self.node(p, k) == output)
        model_output = self.rows(self.trace.calls[path])
        wanted = model_output[-1] if path in self.populations else model_output.sum(0)
        error = float(np.abs(result.readout - wanted).max())
        if error > TOLERANCE * max(1.0, float(np.abs(wanted).max())):
            raise TclifError(
                f"the readout {network.layers[-1].name} is off by {error:.3g} from the model's",
                DOES_MORE,
            )

    def layer_name(self, network: Network, node: str) -> str:
        """The layer that a node became."""
        names = {layer.name for layer in network.layers}
        return node if node in names else f"layer{node}"
