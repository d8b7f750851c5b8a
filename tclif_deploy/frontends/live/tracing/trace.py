"""A live module run on an example, every step followed: which of its parts feeds which, and how many steps later.

Modules with state cannot be traced as functions (torch.fx sees one step of Python, or none). So the module really
runs: each *unit* (a Linear, a batch norm, a known neuron) notes what goes in and out, and between them torch's own
operations are watched, each of which keeps, adds or scales what it was given, or makes it unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

INPUT = ("", 0)
"""the key of what comes from the example itself"""

Key = tuple[str, int]
"""A unit's path in the model, and which of its calls."""

KEEPS = {
    "__getitem__", "view", "view_as", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose",
    "contiguous", "movedim", "swapaxes", "swapdims", "unbind", "split", "chunk", "select", "narrow", "t", "to", "float",
    "double", "type", "type_as", "clone", "detach", "detach_", "requires_grad_", "dropout", "alpha_dropout",
    "feature_dropout", "dropout1d", "dropout2d", "dropout3d",
    "cpu", "expand", "squeeze_", "unsqueeze_", "__get__", "T", "data", "identity", "atleast_2d", "unflatten",
}  # fmt: skip
"""Operations whose result has the values that went in, whatever the shape."""
JOINS = {"stack", "cat", "concat", "concatenate", "vstack", "hstack"}
SUMS = {"sum", "mean", "cumsum", "log_softmax", "softmax", "max", "argmax"}
"""Fit for an output, not for the input of a layer."""
ADDS = {"add", "__add__", "__radd__", "__iadd__", "add_"}
SUBTRACTS = {"sub", "__sub__", "__isub__", "sub_", "subtract"}
MULTIPLIES = {"mul", "__mul__", "__rmul__", "__imul__", "mul_", "multiply"}
DIVIDES = {"div", "__truediv__", "true_divide", "__itruediv__", "div_", "divide"}


@dataclass(frozen=True)
class Origin:
    """Where a tensor's values come from: a weighted sum of units' outputs."""

    terms: Mapping[Key, float]
    unreadable: str = ""
    """the operation that made it something else"""
    joined: bool = False
    """several steps in one tensor, or a sum over them: an output, nothing that a layer could take"""


@dataclass(eq=False)
class Call:
    """One call of a unit."""

    origin: Origin
    input: torch.Tensor
    output: torch.Tensor


@dataclass(eq=False)
class Trace:
    """A run."""

    calls: dict[str, list[Call]] = field(default_factory=dict)
    """unit -> its calls, in order"""
    output: Origin = field(default_factory=lambda: Origin({}))
    """of what the model returned"""
    returned: torch.Tensor | None = None
    """the first tensor of it; (steps, ...) of a model that takes one step a call"""


class Recorder(TorchFunctionMode):
    """Watches torch's functions and the units' calls while it is on."""

    def __init__(self, example: torch.Tensor) -> None:
        super().__init__()
        self.trace = Trace()
        self.origins: dict[int, Origin] = {id(example): Origin({INPUT: 1.0})}
        self.alive: list[Any] = [example]  # ids must not be used again
        self.depth = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What torch calls instead of each of its functions."""
        result = func(*args, **(kwargs or {}))
        if self.depth == 0:
            self.follow(func, args, kwargs or {}, result)
        return result

    def follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Give the result of ``func`` its origin."""
        name = getattr(func, "__name__", str(func))
        # other tensors of these say a shape or a type, nothing of the values
        tensors = _tensors(args[:1] if name in KEEPS else (*args, *kwargs.values()))
        known = [self.origins[id(t)] for t in tensors if id(t) in self.origins]
        results = _tensors((result,))
        if not results:
            return
        if name in ("zeros_like", "ones_like", "full_like", "new_zeros", "empty_like", "rand_like", "numel", "size"):
            return
        if not known:
            return
        origin = _after(name, func, args, tensors, self.origins)
        for tensor in results:
            self.keep(tensor, origin)

    def keep(self, tensor: torch.Tensor, origin: Origin) -> None:
        """Remember where a tensor comes from."""
        self.origins[id(tensor)] = origin
        self.alive.append(tensor)

    def origin_of(self, value: Any) -> Origin | None:
        """The origin of the first tensor in ``value`` that has one."""
        for tensor in _tensors((value,)):
            if id(tensor) in self.origins:
                return self.origins[id(tensor)]
        return None

    def attach(self, model: torch.nn.Module, units: Mapping[str, torch.nn.Module]) -> Callable[[], None]:
        """Hook the units of ``model``; the result takes the hooks away."""
        # Some surrogate functions answer in float32 whatever they are asked in; spikes lose nothing by it.
        handles: list[Any] = [part.register_forward_pre_hook(self._as_doubles) for part in model.modules()]
        for path, unit in units.items():
            handles.append(unit.register_forward_pre_hook(self._enter, with_kwargs=True))
            handles.append(unit.register_forward_hook(self._leave(path), with_kwargs=True, always_call=True))
        return lambda: [handle.remove() for handle in handles].clear()

    def _enter(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.depth += 1

    def _as_doubles(self, module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self.as_double(a) for a in args)

    def as_double(self, value: Any) -> Any:
        """A float tensor in double precision, of the same origin."""
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float64:
            double = value.double()
            if id(value) in self.origins:
                self.keep(double, self.origins[id(value)])
            return double
        return value

    def _leave(self, path: str) -> Callable[..., None]:
        def leave(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            self.depth -= 1
            first = next(iter(_tensors((*args, *kwargs.values()))), None)
            result = next(iter(_tensors((output,))), None)
            if self.depth or first is None or result is None:
                return
            origin = self.origins.get(id(first), Origin({}))
            calls = self.trace.calls.setdefault(path, [])
            self.keep(result, Origin({(path, len(calls)): 1.0}))
            calls.append(Call(origin, first.detach(), result.detach()))
            for state in _tensors((output,))[1:]:
                if id(state) not in self.origins:
                    self.keep(state, Origin({(path, len(calls) - 1): 1.0}, f"a state of {path}"))

        return leave


def _after(
    name: str, func: Any, args: tuple[Any, ...], tensors: list[torch.Tensor], origins: Mapping[int, Origin]
) -> Origin:
    """The origin of what operation ``name`` makes of its arguments."""
    given = [(t, origins.get(id(t))) for t in tensors]
    known = [o for _, o in given if o is not None]
    merged: dict[Key, float] = {}
    for origin in known:
        for key, scale in origin.terms.items():
            merged[key] = merged.get(key, 0.0) + scale
    spoiled = next((o.unreadable for o in known if o.unreadable), "")
    joined = any(o.joined for o in known)
    if spoiled:
        return Origin(merged, spoiled, joined)
    if name in KEEPS:
        return Origin(merged, joined=joined)
    if name in JOINS or name in SUMS:
        return Origin(merged, joined=True)
    if name in ADDS | SUBTRACTS and len(args) >= 2:
        if any(o is None and bool(t.count_nonzero()) for t, o in given):
            return Origin(merged, "a constant is added", joined)
        if not all(isinstance(a, torch.Tensor) or a == 0 for a in args[:2]):
            return Origin(merged, "a constant is added", joined)
        sign = -1.0 if name in SUBTRACTS else 1.0
        merged = {}
        for place, value in enumerate(args[:2]):
            own = origins.get(id(value)) if isinstance(value, torch.Tensor) else None
            for key, scale in own.terms.items() if own else ():
                merged[key] = merged.get(key, 0.0) + (scale if place == 0 else sign * scale)
        return Origin(merged, joined=joined)
    if name in MULTIPLIES | DIVIDES and len(args) >= 2:
        numbers = [_number(a) for a in args[:2] if not (isinstance(a, torch.Tensor) and id(a) in origins)]
        if len(numbers) == 1 and numbers[0] is not None:
            backwards = name in DIVIDES and not (isinstance(args[0], torch.Tensor) and id(args[0]) in origins)
            if not backwards:
                factor = numbers[0] if name in MULTIPLIES else 1.0 / numbers[0]
                return Origin({key: scale * factor for key, scale in merged.items()}, joined=joined)
    return Origin(merged, f"torch's {name}", joined)


def _number(value: Any) -> float | None:
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        return float(value)
    return float(value) if isinstance(value, int | float) else None


def _tensors(values: Any) -> list[torch.Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    tensors: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            tensors.append(value)
        elif isinstance(value, tuple | list):
            tensors += _tensors(value)
        elif isinstance(value, dict):
            tensors += _tensors(value.values())
    return tensors


def _first(output: Any) -> torch.Tensor | None:
    """The first tensor of what a model returned, by itself."""
    tensor = next(iter(_tensors((output,))), None)
    return None if tensor is None else tensor.detach().clone()


def reset(model: torch.nn.Module) -> None:
    """Forget the states of all parts, by whatever name their library calls that."""
    for part in model.modules():
        for name in ("reset_state", "reset_mem", "reset"):
            method = getattr(part, name, None)
            if callable(method) and (part is not model or not list(model.children())):
                with suppress(TypeError):  # a method of that name that wants something is another thing
                    method()
                    break


def run(model: torch.nn.Module, units: Mapping[str, torch.nn.Module], example: torch.Tensor, by_step: bool) -> Trace:
    """Run ``model`` on ``example``, whole or (``by_step``) one step a call with its state handed on."""
    reset(model)
    recorder = Recorder(example)
    detach = recorder.attach(model, units)
    try:
        with torch.no_grad(), recorder:
            if not by_step:
                output = model(example)
                recorder.trace.output = recorder.origin_of(output) or Origin({})
                recorder.trace.returned = _first(output)
            else:
                terms: dict[Key, float] = {}
                steps: list[torch.Tensor | None] = []
                state: tuple[Any, ...] = ()
                for t in range(example.shape[1]):
                    output = model(example[:, t], *state)
                    if isinstance(output, tuple) and len(output) == 2 and not isinstance(output[1], torch.Tensor):
                        state = (output[1],)
                    steps.append(_first(output))
                    origin = recorder.origin_of(output)
                    if origin is not None:
                        terms |= origin.terms
                        recorder.trace.output = Origin(terms, origin.unreadable, True)
                tensors = [step for step in steps if step is not None]
                if len(tensors) == len(steps) and len({step.shape for step in tensors}) == 1:
                    recorder.trace.returned = torch.stack(tensors)
    finally:
        detach()
        reset(model)
    return recorder.trace
