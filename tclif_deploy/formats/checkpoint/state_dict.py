"""A state_dict read by the names and shapes of its tensors: the authors' checkpoints and all made like them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.checkpoint.resolve import OWN_PARAMETERS, CheckpointFacts, resolve
from tclif_deploy.formats.families.recognise import family_network, without_wrappers
from tclif_deploy.formats.read_options import ReadOptions, read_args
from tclif_deploy.formats.torch_modules import Leak, Linear, ModelPart, Spiking, graph_of_modules, neuron_parameter
from tclif_deploy.graph.lower import lower
from tclif_deploy.graph.nodes import BatchNorm
from tclif_deploy.network import Float, Network

RECURRENT = ("hid_weight", "rc")
"""The recurrent Linear in the authors' containers: (ElementWise)RecurrentContainer's, LinearRecurrentContainer's."""
INNER = "sub_module"
"""The neuron in any of the authors' containers."""
OTHER_NETWORK = (
    "only Linear, BatchNorm1d, LeakyReadout, and TC-LIF, LIF or PLIF neurons (also in recurrent containers) are read"
)


@dataclass(frozen=True, eq=False)
class Module:
    """The tensors of one module of the model; a container and its neuron count as one."""

    path: str
    tensors: dict[str, Float] = field(default_factory=dict)

    def index(self, prefix: str) -> tuple[int, ...] | None:
        """Its position where the path after ``prefix`` is all numbers, else None."""
        steps = self.path.removeprefix(prefix).split(".")
        return tuple(map(int, steps)) if all(s.isascii() and s.isdigit() and len(s) < 10 for s in steps) else None


def network_from_state_dict(
    tensors: Mapping[str, Float], given: ReadOptions, path: Path, readout: str | None = None
) -> Network:
    """The network of a state_dict (name -> array), with settings from args.json beside ``path`` and by hand.

    ``readout`` is the rule by which it will be read, where that is given: it tells whether an output fires.
    """
    where = str(path)
    network = family_network(tensors, replace(given, readout=readout), where)
    if network is not None:
        return network
    if given.dt is not None:
        raise TclifError(f"{where}: --dt is for .nir files and for vanilla RF, this is neither", "leave --dt out")
    modules, indices = _modules(tensors, where)
    parts = [_part(module, where) for module in modules]
    linears = [part for part in parts if isinstance(part, Linear)]
    if not linears:
        raise TclifError(f"{where}: no Linear layer in it", OTHER_NETWORK)
    facts = CheckpointFacts(
        neurons=frozenset(p.neuron for p in parts if isinstance(p, Spiking) and p.neuron != "lif"),
        recurrent=any(isinstance(p, Spiking) and p.recurrent is not None for p in parts),
        input_size=linears[0].weight.shape[1],
    )
    settings, notices = resolve(read_args(given.args, path), given, facts, where)
    for part in parts:
        if isinstance(part, Spiking) and part.neuron != settings.neuron:
            raise TclifError(
                f"{where}: {part.path} has recurrent weights, but not the neuron's {OWN_PARAMETERS[settings.neuron]} "
                f"that the other layers have",
                "is the checkpoint complete?",
            )
    if settings.neuron == "lif":
        parts = _with_lif(parts, indices, where)
    if indices is None:
        order = ", ".join(module.path for module in modules)
        notices += (f"layers are taken in the state_dict's own order: {order:.300}",)
    parts = [replace(part, settings=settings) if isinstance(part, Spiking) else part for part in parts]
    return lower(graph_of_modules(parts, notices, where))


def _modules(tensors: Mapping[str, Float], where: str) -> tuple[list[Module], list[tuple[int, ...]] | None]:
    """(modules in order, their positions where all are numbered)."""
    tensors = without_wrappers(tensors)
    modules: dict[str, Module] = {}
    for name, tensor in tensors.items():
        path, _, leaf = name.rpartition(".")
        owner, _, last = path.rpartition(".")
        if last in RECURRENT:
            path, leaf = owner, f"recurrent.{leaf}"
        elif last == INNER:
            path = owner
        if leaf != "num_batches_tracked":
            modules.setdefault(path, Module(path)).tensors[leaf] = tensor
    if not modules:
        raise TclifError(f"{where}: holds no weights", "save model.state_dict() of a trained network")
    in_file_order = list(modules.values())
    prefix = _common_prefix(list(modules))
    indices = [index for module in in_file_order if (index := module.index(prefix)) is not None]
    if len(indices) < len(in_file_order):
        return in_file_order, None
    order = sorted(range(len(in_file_order)), key=indices.__getitem__)  # there are files that list 10 before 2
    return [in_file_order[i] for i in order], [indices[i] for i in order]


def _common_prefix(paths: list[str]) -> str:
    """The leading dotted steps that all paths share, none of them a number; with its dot."""
    shared = ""
    for steps in zip(*(path.split(".")[:-1] for path in paths), strict=False):
        if len(set(steps)) > 1 or steps[0].isdigit():
            break
        shared += f"{steps[0]}."
    return shared


def _part(module: Module, where: str) -> ModelPart:
    """What a module is, by the names and shapes of its tensors."""
    path, tensors = module.path, module.tensors
    names = frozenset(tensors)
    if names in ({"weight"}, {"weight", "bias"}) and tensors["weight"].ndim == 2:
        return _linear(path, tensors["weight"], tensors.get("bias"), where)
    if {"running_mean", "running_var"} <= names <= {"running_mean", "running_var", "weight", "bias"}:
        mean, var, weight, bias = (tensors.get(n) for n in ("running_mean", "running_var", "weight", "bias"))
        assert mean is not None
        assert var is not None
        for name, value in tensors.items():
            if value.ndim != 1 or value.shape != mean.shape:
                raise TclifError(
                    f"{where}: {path}.{name} has shape {value.shape}, running_mean {mean.shape}", OTHER_NETWORK
                )
        return BatchNorm(path, mean, var, weight, bias)
    if names == {"leak"}:
        return Leak(path, tensors["leak"])
    own = names - {"recurrent.weight", "recurrent.bias"}
    recurrent = None
    if "recurrent.weight" in names:
        recurrent = _linear(f"{path}.hid_weight", tensors["recurrent.weight"], tensors.get("recurrent.bias"), where)
        if not own:
            return Spiking(path, "lif", recurrent=recurrent)
    for neuron, leaf in OWN_PARAMETERS.items():
        if own == {leaf}:
            parameter = neuron_parameter(neuron, tensors[leaf], f"{where}: {path}.{leaf}")
            return Spiking(path, neuron, parameter, recurrent)
    name, value = next(iter(tensors.items()))
    raise TclifError(
        f"{where}: holds {path + '.' if path else ''}{name} of shape {value.shape}, which no TC-LIF network has",
        f"{OTHER_NETWORK}: is this the checkpoint of another network?",
    )


def _linear(path: str, weight: Float, bias: Float | None, where: str) -> Linear:
    if weight.ndim != 2 or 0 in weight.shape:
        raise TclifError(f"{where}: {path}.weight has shape {weight.shape}", "expected (neurons, sources)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise TclifError(
            f"{where}: {path}.bias has shape {bias.shape}", f"expected ({weight.shape[0]},) as the weight says"
        )
    return Linear(path, weight, bias)


def _with_lif(parts: list[ModelPart], indices: list[tuple[int, ...]] | None, where: str) -> list[ModelPart]:
    """``parts`` with the LIF neurons that the authors' networks have, and whose modules leave no key behind.

    Every Linear but the last (the readout) has one, after its batch norm. In a numbered Sequential it shows as
    a gap in the numbers; where there is none to see, guessing is refused.
    """
    flat = [index[0] for index in indices or () if len(index) == 1]
    seen = indices is not None and len(flat) == len(indices)
    result: list[ModelPart] = []
    waiting: Linear | None = None
    for n, part in enumerate(parts):
        result.append(part)
        if isinstance(part, Spiking):
            waiting = None
        elif isinstance(part, Linear):
            waiting = part
        following = parts[n + 1] if n + 1 < len(parts) else None
        if waiting is None or not isinstance(following, Linear):
            continue
        # a batch norm that is not right behind its Linear could as well stand behind the neuron
        placed = seen and (part is waiting or flat[n] == flat[n - 1] + 1) and flat[n + 1] > flat[n] + 1
        if not placed:
            raise TclifError(
                f"{where}: cannot tell where the LIF neuron between {waiting.path} and {following.path} is, "
                "since LIF leaves nothing in a state_dict",
                "save the model itself with tclif_deploy.save(model, path), which writes its structure too",
            )
        result.append(Spiking(waiting.path, "lif"))
        waiting = None
    return result
