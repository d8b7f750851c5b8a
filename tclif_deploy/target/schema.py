"""The schema of a target file: every number a machine has, its unit, its range, and what contradicts what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from tclif_deploy.arguments import described, is_whole
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import LATER_RULES, MOST_SPIKES, Arithmetic, Overflow, Rounding
from tclif_deploy.settings import check_settings
from tclif_deploy.target.held import WIDTHS, unit_of
from tclif_deploy.target.proof import NeuronKind, Proof, ResetKind, take_back

LONGEST_VALUE = 40
"""characters of a number, or of a choice, that is given by hand"""
T = TypeVar("T")

Evidence = Literal["vendor", "paper", "secondary", "assumed"]
EVIDENCE: tuple[Evidence, ...] = ("vendor", "paper", "secondary", "assumed")
"""From the strongest to the weakest: the maker's own document or software, a paper, somebody else's account of
either, our own choice."""
MOST_NAME = 100
"""characters of a target's name"""
Comparator = Literal[">=", ">"]


class Limit(BaseModel, Generic[T]):
    """One number of a target, and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: T
    unit: str
    source: str = Field(min_length=1)
    evidence: Evidence


@dataclass(frozen=True)
class Unit:
    """The unit in which a limit is counted; a file may repeat it but not change it."""

    name: str


def _both(value: object) -> object:
    """One figure is its own lowest and highest."""
    if isinstance(value, list):
        return tuple(value)
    return (value, value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _name(name: str) -> str:
    """The default folder of a build is called after its target."""
    if len(name) > MOST_NAME or not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or set(name) == {"."}:
        raise PydanticCustomError("name", f"expected up to {MOST_NAME} letters, digits, '-', '_' and '.'")
    return name


# strict: "8" and true are mistakes, not numbers
Width = Limit[Annotated[int, Field(ge=4, le=32, strict=True)]]
Flag = Limit[Annotated[bool, Field(strict=True)]]
Count = Limit[Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]]
Amount = Limit[Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]]
Memory = Limit[Annotated[int, Field(ge=1, le=1 << 43, strict=True)]]
"""bits, up to a terabyte"""
Positive = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Range = Limit[Annotated[tuple[Positive, Positive], BeforeValidator(_both)]]
"""the lowest and the highest figure that is published"""
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Rate = Limit[Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]]


@dataclass(frozen=True)
class Overrides:
    """Numbers of the target that are changed by hand; None leaves the target's own."""

    weight_bits: int | None = None
    """width of a weight, sign included"""
    coefficient_bits: int | None = None
    """fractional bits of a coefficient"""
    state_bits: int | None = None
    """width of u and of v, sign included; thresholds, resets and biases take it too"""
    rounding: Rounding | None = None
    """how a product is rounded"""

    def __post_init__(self) -> None:
        check_settings(self)


class Target(BaseModel):
    """A machine's arithmetic, its memories and its costs. None: no limit, or no public figure.

    Examples
    --------
    >>> from tclif_deploy import load_target
    >>> loihi2 = load_target("loihi2")
    >>> loihi2.weight_bits.value, loihi2.override(weight_bits=4).weight_bits.value
    (8, 4)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1), AfterValidator(_name)]
    description: str
    backend: str = "lava"
    """the backend that runs what is compiled, or ``none``"""
    device: Annotated[str, Field(min_length=1, max_length=MOST_NAME)] | None = None
    """the FPGA that it is, such as ``LFE5U-25F``"""
    figures: Annotated[str, Field(min_length=1, max_length=MOST_NAME)] | None = None
    """whose figures energy and latency are modelled from, such as ``Loihi 1``"""

    proof: Proof | None = None
    """which simulators of others were compared with this target, and what they leave open; None: none was"""

    # --- what a deployment must reach; what a user asks for goes before it
    min_agreement: Annotated[Limit[Share] | None, Unit("share")] = None
    """least agreement of float and fixed"""
    max_accuracy_drop: Annotated[Limit[Share] | None, Unit("share")] = None
    """greatest loss of accuracy, float minus fixed"""

    # --- arithmetic
    weight_bits: Annotated[Limit[Annotated[int, Field(ge=2, le=16, strict=True)]], Unit("bit")]
    """signed weights: +-(2^(bits-1)-1)"""
    mixed_weight_bits: Annotated[Flag | None, Unit("flag")] = None
    """whether a connection whose weights need fewer bits is stored with fewer"""
    stored_weight_bits: Annotated[Limit[Annotated[int, Field(ge=2, le=16, strict=True)]] | None, Unit("bit")] = None
    """what a weight takes of memory, where weights are narrower than the target stores them"""
    state_bits: Annotated[Width, Unit("bit")]
    """width of u and of v, sign included"""
    coefficient_bits: Annotated[Limit[Annotated[int, Field(ge=1, le=24, strict=True)]], Unit("bit")]
    """fractional bits k of A, B and Q"""
    rounding: Annotated[Limit[Rounding], Unit("mode")]
    rounding_u: Annotated[Limit[Rounding] | None, Unit("mode")] = None
    """of products that enter the dendrite, where it is another"""
    rounding_v: Annotated[Limit[Rounding] | None, Unit("mode")] = None
    least_step: Annotated[Flag | None, Unit("flag")] = None
    """whether a decay takes at least 1 from a positive state"""
    leaky_u: Annotated[Flag | None, Unit("flag")] = None
    """whether the dendrite always forgets: its own factor is at most 2^k - 1"""
    shift_decays: Annotated[Flag | None, Unit("flag")] = None
    """whether states decay by shifts, so that there are only factors of 1 - 2^-d"""
    growing_factors: Annotated[Flag | None, Unit("flag")] = None
    """whether a state's own factor may be above 1, up to 2 - 2^-k: it then grows by itself"""
    input_first: Annotated[Flag | None, Unit("flag")] = None
    """whether the current joins its state before that decays"""
    each_addend: Annotated[Flag | None, Unit("flag")] = None
    """whether a state overflows after each addend, not only when the sum is complete"""
    most_spikes: Annotated[Limit[Annotated[int, Field(ge=1, le=MOST_SPIKES, strict=True)]] | None, Unit("spike")] = None
    """how often a neuron that is not of the last layer fires in a step; 1 where it is not stated"""
    overflow_u: Annotated[Limit[Overflow], Unit("mode")]
    overflow_v: Annotated[Limit[Overflow], Unit("mode")]
    threshold_bits: Annotated[Width, Unit("bit")]
    """signed width of the threshold"""
    threshold_step: Annotated[Limit[Annotated[int, Field(ge=1, le=1 << 24, strict=True)]] | None, Unit("LSB")] = None
    """what one unit of the threshold counts, LSBs of the soma; 1 where it is not stated"""
    comparator: Annotated[Limit[Comparator] | None, Unit("mode")] = None
    """how the soma is compared with the threshold; ``>=`` where it is not stated, and without a step it is all one"""
    reset_bits: Annotated[Width, Unit("bit")]
    """signed width of r_u, r_v, v_reset"""
    bias_bits: Annotated[Width, Unit("bit")]
    """signed width of the biases, of u0 and of v0"""
    bias_exponent: Annotated[Limit[Annotated[int, Field(ge=0, le=24, strict=True)]] | None, Unit("bit")] = None
    """largest left shift of a bias, of u0 and v0, chosen for each neuron: ``bias_bits`` then is its mantissa's width"""
    input_bits: Annotated[Limit[Annotated[int, Field(ge=2, le=32, strict=True)]], Unit("bit")]
    """signed width of a graded input value; 2 is a spike or none"""
    accumulator_bits: Annotated[Limit[Annotated[int, Field(ge=8, le=64, strict=True)]] | None, Unit("bit")] = None
    """signed width of the sum of one step's weights"""
    per_neuron_parameters: Annotated[Flag, Unit("flag")]
    """whether thresholds and resets may differ between the neurons of a layer (biases always may)"""
    neuron_kinds: Annotated[Limit[tuple[NeuronKind, ...]] | None, Unit("kind")] = None
    """``if`` no leak, ``lif`` one state, ``cuba`` a current state too, ``two_compartment`` soma feeds dendrite"""
    reset_kinds: Annotated[Limit[tuple[ResetKind, ...]] | None, Unit("kind")] = None
    max_delay: Annotated[Count, Unit("step")]
    """longest delay of a connection"""

    # --- what a neuron and a network may have
    max_fan_in: Annotated[Count | None, Unit("synapse")] = None
    max_fan_out: Annotated[Count | None, Unit("synapse")] = None
    max_inputs: Annotated[Count | None, Unit("channel")] = None
    max_outputs: Annotated[Count | None, Unit("neuron")] = None
    max_input_events: Annotated[Count | None, Unit("event")] = None
    """events that one input channel carries in one step"""
    separate_outputs: Annotated[Flag | None, Unit("flag")] = None
    """whether outputs are neurons apart, which hear hidden neurons alone and which nobody hears"""

    # --- what a core holds
    neurons_per_core: Annotated[Count | None, Unit("neuron")] = None
    synaptic_memory: Annotated[Memory | None, Unit("bit")] = None
    """weights and their indices, of one core"""
    state_memory: Annotated[Memory | None, Unit("bit")] = None
    """states and per-neuron parameters, of one core"""
    core_memory: Annotated[Memory | None, Unit("bit")] = None
    """everything of one core where its memories share one pool: synapses, axons, states"""
    axons_in: Annotated[Count | None, Unit("axon")] = None
    """sources that can send into one core; a source counts once for each connection"""
    axons_out: Annotated[Count | None, Unit("axon")] = None
    """pairs of a neuron and a core that it sends to, of one core; counted for each connection"""
    axon_in_bits: Annotated[Amount | None, Unit("bit")] = None
    """of the pool, for each incoming axon"""
    axon_out_bits: Annotated[Amount | None, Unit("bit")] = None
    """of the pool, for each outgoing axon"""
    memory_word: Annotated[Count | None, Unit("bit")] = None
    """a list of synapses fills whole words"""
    synapse_block: Annotated[Count | None, Unit("synapse")] = None
    """longest list of synapses behind one header"""
    synapse_header: Annotated[Amount | None, Unit("bit")] = None
    """of each list of synapses"""
    index_bits: Annotated[Amount | None, Unit("bit")] = None
    """of each synapse in a sparse list: which neuron of the core it ends at"""
    shared_kernels: Annotated[Flag | None, Unit("flag")] = None
    """whether a convolution's kernel lies in a core once, instead of a weight for each synapse"""
    delay_bits: Annotated[Amount | None, Unit("bit")] = None
    """of each synapse in a connection that is later than one step"""

    # --- what an FPGA holds
    luts: Annotated[Count | None, Unit("LUT")] = None
    """lookup tables of four inputs"""
    flip_flops: Annotated[Count | None, Unit("flip-flop")] = None
    block_rams: Annotated[Count | None, Unit("block")] = None
    multipliers: Annotated[Count | None, Unit("multiplier")] = None
    """of 18 x 18 bits"""

    # --- how cores lie
    cores_per_chip: Annotated[Count | None, Unit("core")] = None
    chips: Annotated[Count | None, Unit("chip")] = None
    """chips of the largest system"""
    cores_per_tile: Annotated[Count | None, Unit("core")] = None
    mesh_width: Annotated[Count | None, Unit("tile")] = None
    mesh_height: Annotated[Count | None, Unit("tile")] = None
    mesh_bandwidth: Annotated[Rate | None, Unit("message/s")] = None
    """through the cross-section of one tile"""

    # --- what it costs
    energy_synapse: Annotated[Range | None, Unit("pJ")] = None
    """of one synaptic operation"""
    energy_update_active: Annotated[Range | None, Unit("pJ")] = None
    """of one step of one state of a neuron that received something"""
    energy_update_idle: Annotated[Range | None, Unit("pJ")] = None
    energy_spike: Annotated[Range | None, Unit("pJ")] = None
    """of one message to one core, before it hops"""
    energy_hop_horizontal: Annotated[Range | None, Unit("pJ")] = None
    """of one message from a tile to the next"""
    energy_hop_vertical: Annotated[Range | None, Unit("pJ")] = None
    static_power: Annotated[Range | None, Unit("mW")] = None
    """of one chip with everything powered"""
    time_synapse: Annotated[Range | None, Unit("ns")] = None
    time_update_active: Annotated[Range | None, Unit("ns")] = None
    time_update_idle: Annotated[Range | None, Unit("ns")] = None
    time_spike: Annotated[Range | None, Unit("ns")] = None
    """of sending one message"""
    time_hop: Annotated[Range | None, Unit("ns")] = None
    time_barrier: Annotated[Range | None, Unit("ns")] = None
    """of synchronizing all cores of a chip at the end of a step"""

    @model_validator(mode="after")
    def _no_contradiction(self) -> Target:
        problems = contradictions(self)
        if problems:
            raise ValueError("\n".join(f"{key}\0{message}" for key, message in problems))
        return self

    @property
    def arithmetic(self) -> Arithmetic:
        """The machine's arithmetic for a `FixedNetwork`."""
        return Arithmetic(
            frac_bits=self.coefficient_bits.value,
            rounding=self.rounding.value,
            bits_u=self.state_bits.value,
            bits_v=self.state_bits.value,
            overflow_u=self.overflow_u.value,
            overflow_v=self.overflow_v.value,
            **{name: limit.value for name in LATER_RULES if (limit := getattr(self, name)) is not None},
        )

    def _keep_stored_width(self, data: dict[str, Any], changed: Mapping[str, Any]) -> None:
        """Narrower weights take as much memory as before on a chip that does not mix widths; a circuit is made anew."""
        mixed = self.mixed_weight_bits is not None and self.mixed_weight_bits.value
        if mixed or changed.get("mixed_weight_bits") or "stored_weight_bits" in changed or self.luts is not None:
            return
        stored = data.pop("stored_weight_bits", None) or data["weight_bits"]
        if is_whole(changed["weight_bits"]) and changed["weight_bits"] < stored["value"]:
            data["stored_weight_bits"] = stored

    def limits(self) -> dict[str, Limit[Any]]:
        """Every limit that is stated, by name, in file order."""
        return {name: value for name in type(self).model_fields if isinstance(value := getattr(self, name), Limit)}

    def override(self, **values: Any) -> Target:
        """This target with some numbers changed by hand (``None`` changes nothing); evidence becomes ``assumed``.

        ``state_bits`` moves threshold, resets and bias with it, which then have neither step nor exponent. Narrower
        ``weight_bits`` leave a chip that stores every weight at one width its ``stored_weight_bits``. Raises
        `TclifError` for an impossible number.
        """
        from tclif_deploy.target import build

        changed = {key: value for key, value in values.items() if value is not None}
        if not changed:
            return self
        if "state_bits" in changed:
            for name in ("threshold_bits", "reset_bits", "bias_bits"):
                changed.setdefault(name, changed["state_bits"])
        source = "given on the command line or by the caller"
        for key, value in changed.items():
            plain = isinstance(value, (bool, str, float, tuple, list)) or is_whole(value)
            if not plain or len(str(value)) > LONGEST_VALUE:
                raise TclifError(
                    f"target {self.name}: {key} is {described(value)}", "expected what a target file may say of it"
                )
        data = self.model_dump(exclude_none=True)
        if "state_bits" in changed:
            for name in ("threshold_step", "bias_exponent"):
                data.pop(name, None)
        if "weight_bits" in changed:
            self._keep_stored_width(data, changed)
        take_back(data, changed)
        for key, value in changed.items():
            data[key] = {"value": value, "unit": UNITS.get(key, ""), "source": source, "evidence": "assumed"}
        return build(
            data, f"target {self.name} with {', '.join(f'{k}={v!s:.40}' for k, v in values.items() if v is not None)}"
        )


CAUSES = {
    "threshold_step": ("threshold_bits", "state_bits"),
    "bias_exponent": ("bias_bits", "state_bits"),
    "cores_per_chip": ("mesh_width", "mesh_height", "cores_per_tile"),
    "chips": ("cores_per_chip",),
    "input_first": ("neuron_kinds",),
}
"""key that a contradiction is told of -> others that may have caused it and that its message does not name"""

UNITS: dict[str, str] = {
    name: unit.name for name, field in Target.model_fields.items() for unit in field.metadata if isinstance(unit, Unit)
}
"""The unit of every limit, by name."""


def contradictions(target: Target) -> list[tuple[str, str]]:
    """(key, what is wrong) for each number of ``target`` that another of its numbers rules out."""
    problems: list[tuple[str, str]] = []

    def value(name: str) -> Any:
        limit = getattr(target, name)
        return None if limit is None else limit.value

    def at_most(name: str, bound: str, reason: str) -> None:
        a, b = value(name), value(bound)
        if a is not None and b is not None and a > b:
            problems.append((name, f"{a:,} is more than {bound} ({b:,}): {reason}"))

    at_most("weight_bits", "stored_weight_bits", "a weight takes no less memory than it has bits")
    for name in ("threshold_bits", "reset_bits", "bias_bits"):
        at_most(name, "state_bits", "the state could never reach it")
    top = (1 << (target.state_bits.value - 1)) - 1
    for name, of in (("threshold_step", "threshold"), ("bias_exponent", "bias_u")):
        if value(name) is not None and not any(key == f"{of.partition('_')[0]}_bits" for key, _ in problems):
            reach = ((1 << (value(WIDTHS[of]) - 1)) - 1) * unit_of(target, of)
            if reach > top:
                problems.append((name, f"a {of.partition('_')[0]} of {reach:,} is beyond the state, {top:,}"))
    at_most("weight_bits", "synaptic_memory", "a core must hold a weight")
    at_most("weight_bits", "memory_word", "a word must hold a weight")
    at_most("memory_word", "synaptic_memory", "a core must hold a word")
    for name in ("synaptic_memory", "state_memory"):
        at_most(name, "core_memory", "it is a part of the core's pool")
    mesh = [value(name) for name in ("mesh_width", "mesh_height", "cores_per_tile")]
    if any(v is not None for v in mesh):
        missing = [n for n, v in zip(("mesh_width", "mesh_height", "cores_per_tile"), mesh, strict=True) if v is None]
        if missing:
            problems.append((missing[0], "missing: a mesh needs mesh_width, mesh_height and cores_per_tile"))
        elif value("cores_per_chip") is not None and mesh[0] * mesh[1] * mesh[2] < value("cores_per_chip"):
            text = f"a mesh of {mesh[0]} x {mesh[1]} tiles of {mesh[2]} cores has no room for "
            problems.append(("cores_per_chip", f"{text}{value('cores_per_chip'):,} cores"))
    if value("chips") is not None and value("cores_per_chip") is None:
        problems.append(("chips", "a number of chips without cores_per_chip says nothing"))
    for name, limit in target.limits().items():
        if name.startswith(("energy_", "time_", "static_")) and limit.value[0] > limit.value[1]:
            problems.append((name, f"the low figure {limit.value[0]:g} is above the high one {limit.value[1]:g}"))
    for name in ("neuron_kinds", "reset_kinds"):
        if value(name) == ():
            problems.append((name, "an empty list: no network could run"))
    if (value("most_spikes") or 1) > 1 and set(value("reset_kinds") or ()) == {"hard"}:
        problems.append(("most_spikes", "after a hard reset, the only one of reset_kinds, a neuron fires once a step"))
    if value("shift_decays") and value("leaky_u") is not None:
        problems.append(("leaky_u", "shift_decays has factors of 1 - 2^-d alone, the largest of which is 2^k - 1"))
    if value("shift_decays") and value("growing_factors"):
        problems.append(("growing_factors", "shift_decays has factors of 1 - 2^-d alone, and none above 1"))
    kinds = value("neuron_kinds")
    if value("input_first") and kinds and not {"cuba", "two_compartment"} & set(kinds):
        problems.append(("input_first", f"of a current that decays before it is used, {', '.join(kinds)} keep nothing"))
    return problems
