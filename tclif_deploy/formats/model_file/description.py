"""A model's structure as plain JSON beside its tensors: what a state_dict lacks.

Thresholds, comparators, resets, and where neurons without parameters stand. `tclif_deploy.save` writes it into
the file, `describe` (in `tclif_deploy.frontends.live.modules`) takes it from a live module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.read_options import LIF_DECAY, NeuronSettings, ReadOptions
from tclif_deploy.formats.torch_modules import Leak, Linear, ModelPart, Spiking, neuron_parameter
from tclif_deploy.graph.nodes import BatchNorm
from tclif_deploy.network import Float

Positive = Annotated[FiniteFloat, Field(gt=0)]
Printable = Annotated[str, Field(max_length=500, pattern=r"^[^\p{C}\p{Zl}\p{Zp}]*$")]
"""Text without control characters: it reaches messages and layer names."""
AGAIN = "save the model again with tclif_deploy.save"


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    path: Printable
    """of the module in the model: its tensors are ``path.weight`` and so on"""


class LinearEntry(_Entry):
    """A Linear; ``path.weight`` and, where it is there, ``path.bias``."""

    type: Literal["linear"] = "linear"


class BatchNormEntry(_Entry):
    """A BatchNorm1d with its running statistics."""

    type: Literal["batchnorm"] = "batchnorm"
    eps: Positive = 1e-5


class NeuronEntry(_Entry):
    """A spiking population."""

    type: Literal["neuron"] = "neuron"
    neuron: Literal["tclif", "lif", "plif"]
    threshold: Positive
    gamma: FiniteFloat = 0.0
    comparator: Literal[">=", ">"] = ">="
    reset: Literal["soft", "hard"] = "soft"
    v_reset: FiniteFloat = 0.0
    decay: FiniteFloat = LIF_DECAY
    decay_input: bool = False
    parameter: str | None = None
    """name of TC-LIF's decay_factor or PLIF's w; LIF has none"""
    recurrent: str | None = None
    """path of the Linear that brings the population's own spikes back"""


class ReadoutEntry(_Entry):
    """A readout that leaks, behind the last Linear; ``path.leak``."""

    type: Literal["readout"] = "readout"


class Description(BaseModel):
    """Modules in the order in which a step passes them."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    modules: list[Annotated[LinearEntry | BatchNormEntry | NeuronEntry | ReadoutEntry, Field(discriminator="type")]]
    notices: list[Printable] = []
    """what was assumed when the description was made"""
    readout: Printable | None = None
    """the readout rule; None is the usual one"""


def parse(text: object, where: str) -> Description:
    """A `Description` from the JSON text in a file, or a `TclifError` that says what is wrong with it."""
    if not isinstance(text, str):
        raise TclifError(f"{where}: its configuration is a {type(text).__name__}, not JSON text", AGAIN)
    try:
        return Description.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise TclifError(f"{where}: configuration {place}: {first['msg']}", AGAIN) from error


def settings_of(entry: NeuronEntry, given: ReadOptions, where: str) -> NeuronSettings:
    """An entry's settings, with what was ``given`` by hand; only the kind of neuron cannot be changed so."""
    if given.neuron not in (None, entry.neuron):
        raise TclifError(f"{where}: {entry.path} is a {entry.neuron}, not a {given.neuron}", "leave the neuron out")
    return NeuronSettings(
        neuron=entry.neuron,
        threshold=entry.threshold if given.threshold is None else float(given.threshold),
        gamma=entry.gamma if given.gamma is None else float(given.gamma),
        strict=(given.comparator or entry.comparator) == ">",
        reset="hard" if (given.reset or entry.reset) == "hard" else "soft",
        v_reset=entry.v_reset,
        decay=entry.decay if given.decay is None else float(given.decay),
        decay_input=entry.decay_input,
    )


def overridden(description: Description, given: ReadOptions) -> tuple[str, ...]:
    """A notice for each value ``given`` by hand that is not the one in the file."""
    entries = [entry for entry in description.modules if isinstance(entry, NeuronEntry)]
    only = {"gamma": "tclif", "decay": "lif"}
    notices = []
    for name in ("threshold", "gamma", "comparator", "reset", "decay"):
        override = getattr(given, name)
        from_file = sorted({getattr(entry, name) for entry in entries if entry.neuron == only.get(name, entry.neuron)})
        if override is not None and from_file and from_file != [override]:
            notices.append(f"{name} {override} given by hand; the file says {', '.join(map(str, from_file))}")
    return tuple(notices)


def parts_of(
    description: Description, tensors: Mapping[str, Float], given: ReadOptions, where: str
) -> tuple[ModelPart, ...]:
    """The parts that ``description`` and the ``tensors`` it speaks of make up.

    Raises `TclifError` where the two do not fit together.
    """
    left = dict(tensors)

    def take(name: str, ndim: int) -> Float:
        if name not in left:
            raise TclifError(f"{where}: the tensor {name} is missing", AGAIN)
        if left[name].ndim != ndim:
            raise TclifError(f"{where}: {name} has shape {left[name].shape}, expected {ndim} dimensions", AGAIN)
        return left.pop(name)

    def maybe(path: str, leaf: str, like: Float) -> Float | None:
        name = join(path, leaf)
        if name not in left:
            return None
        value = take(name, 1)
        if value.shape != like.shape[:1]:
            raise TclifError(f"{where}: {name} has shape {value.shape}, expected {like.shape[:1]}", AGAIN)
        return value

    def linear(path: str) -> Linear:
        weight = take(join(path, "weight"), 2)
        return Linear(path, weight, maybe(path, "bias", weight))

    def part(entry: LinearEntry | BatchNormEntry | NeuronEntry | ReadoutEntry) -> ModelPart:
        if isinstance(entry, LinearEntry):
            return linear(entry.path)
        if isinstance(entry, ReadoutEntry):
            return Leak(entry.path, take(join(entry.path, "leak"), 1))
        if isinstance(entry, BatchNormEntry):
            mean = take(join(entry.path, "running_mean"), 1)
            var = maybe(entry.path, "running_var", mean)
            if var is None:
                raise TclifError(f"{where}: the tensor {join(entry.path, 'running_var')} is missing", AGAIN)
            scale, shift = maybe(entry.path, "weight", mean), maybe(entry.path, "bias", mean)
            return BatchNorm(entry.path, mean, var, scale, shift, entry.eps)
        if (entry.parameter is None) != (entry.neuron == "lif"):
            raise TclifError(f"{where}: {entry.path}: a {entry.neuron} with parameter {entry.parameter}", AGAIN)
        parameter = None
        if entry.parameter is not None:
            if entry.parameter not in left:
                raise TclifError(f"{where}: the tensor {entry.parameter} is missing", AGAIN)
            parameter = neuron_parameter(entry.neuron, left.pop(entry.parameter), f"{where}: {entry.parameter}")
        recurrent = None if entry.recurrent is None else linear(entry.recurrent)
        return Spiking(entry.path, entry.neuron, parameter, recurrent, settings_of(entry, given, where))

    parts = tuple(part(entry) for entry in description.modules)
    if left:
        raise TclifError(f"{where}: its configuration does not speak of {next(iter(left))}", AGAIN)
    return parts


def join(path: str, leaf: str) -> str:
    """A tensor's name from its module's path."""
    return f"{path}.{leaf}" if path else leaf
