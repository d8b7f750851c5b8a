"""NIR's differential equations as steps of this machine: which dt, which scheme, whose conventions.

NIR says what a neuron is, not how it is stepped, and its tools differ. What is chosen here is said in a notice; where a
file cannot say what its tool does, and where the tool would refuse the file, a warning says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.read_options import ResetOption
from tclif_deploy.graph.nodes import Population
from tclif_deploy.network import Float
from tclif_deploy.text import WARNING


@dataclass(frozen=True)
class Convention:
    """How a tool steps NIR's neurons."""

    tool: str = ""
    """its name, where the convention is a tool's"""
    scheme: Literal["euler", "exponential"] = "euler"
    """what a state loses in a step: the share dt/tau of it, or 1 - exp(-dt/tau)"""
    delay: int = 0
    """1 where CubaLIF's membrane takes the current of the step before, as when all states step at once"""
    strict: bool = True
    """fires at v > threshold, as NIR says"""
    reset: ResetOption = "hard"
    """to v_reset, as NIR says; ``soft`` takes the threshold away, ``subtract-late`` one step later, after the decay"""
    v_reset: bool = True
    """a hard reset is to the file's v_reset, not to 0"""
    lif: Literal["r", "share", "whole"] = "r"
    """what a LIF takes of its input: its share times r, its share, or the input as it is"""
    if_: Literal["r", "whole", "threshold"] = "r"
    """what an IF takes of it: dt*r, or the input as it is; ``threshold``: so too, and the threshold is times r"""
    decayed: bool = False
    """a synapse's input decays in the step in which it comes, without w_in and r: i <- (i + in)*decay, v takes i"""
    start: Literal["zero", "v_leak", "v_reset"] = "zero"
    """where v begins"""
    leak: Literal["rest", "bias"] = "rest"
    """v_leak is where v decays to, or is added in every step"""
    synapse_leak: bool = False
    """CubaLIF's current too begins at v_leak, and decays to it"""
    loop_bias: bool = True
    """the bias of a loop's weights acts from the first step on, not from when the loop first brings a spike"""
    dt: float | None = None
    """where the tool has one built in"""
    unsaid: str = ""
    """what the tool does, and a file does not say"""


CONVENTIONS: Mapping[str, Convention] = {
    "nir": Convention(),
    "exponential": Convention(scheme="exponential"),
    "simultaneous": Convention(delay=1),
    "snntorch": Convention(
        "snnTorch", if_="whole", v_reset=False, dt=1e-4,
        unsaid="how its neurons reset: its import resets to 0 at once; its own networks subtract a step late by "
        "default, which --reset subtract-late says",
    ),
    "norse": Convention(
        "Norse", lif="share", if_="whole", v_reset=False, start="v_leak", synapse_leak=True, loop_bias=False
    ),
    "spikingjelly": Convention("SpikingJelly", strict=False, start="v_reset", loop_bias=False),
    "rockpool": Convention(
        "Rockpool", scheme="exponential", strict=False, reset="soft", lif="whole", if_="whole", decayed=True,
        leak="bias",
        unsaid="how often a neuron may fire in a step: its own may more than once, here at most once",
    ),
    "sinabs": Convention(
        "Sinabs", scheme="exponential", strict=False, reset="soft", lif="whole", if_="whole", decayed=True, dt=1.0,
        unsaid="how often a neuron may fire in a step, and how low v may go: its own may fire more than once, and its "
        "IF stays above -threshold by default; here at most once, and without a lowest v",
    ),
    "lava": Convention("Lava", lif="share", if_="threshold", v_reset=False, dt=1e-4),
}  # fmt: skip
"""``nir``: forward Euler, the current first, then the membrane with the new current. The tools' are those of their own
readers: snnTorch 1.0 ``import_from_nir`` (an IF as its pull request 452 mends it), Norse 1.1 ``from_nir``, SpikingJelly
2.0 ``import_from_nir``, Rockpool's and Sinabs' ``from_nir`` and neurons (LIFTorch, LIFNeuronTorch, ExpSynTorch; LIF,
IAF, ExpLeak), and, for Lava, ``nir_to_lava.py`` of the NIR paper with Lava's floating-point LIF. Sinabs' dt is 1."""


@dataclass(frozen=True)
class Reading:
    """What the user chose."""

    dt: float
    name: str
    convention: Convention
    assumed: bool = False
    """nobody said which convention"""

    def describe(self) -> str:
        """One line."""
        c = self.convention
        scheme = "forward Euler" if c.scheme == "euler" else "exact exponential decay"
        order = "the current of the step before" if c.delay else "the new current"
        resets = {"soft": "v - threshold", "subtract-late": "v - threshold one step later, after the decay"}
        reset = resets.get(c.reset, "v_reset" if c.v_reset else "0")
        return (
            f"discretised with dt = {self.dt:g}, convention {self.name}: {scheme}, CubaLIF takes {order}, "
            f"fires at v {'>' if c.strict else '>='} threshold, resets to {reset}"
        )

    def warnings(self) -> list[str]:
        """What no file says, and so may be otherwise in the tool that wrote it."""
        c = self.convention
        if self.assumed:
            return [f"{WARNING}a NIR file does not say how its tool steps it: name the tool with --convention"]
        said = [f"{WARNING}a NIR file of {c.tool} does not say {c.unsaid}"] if c.unsaid else []
        if c.tool and c.dt is not None and self.dt != c.dt:
            said.append(f"{WARNING}{c.tool} steps NIR files by {c.dt:g}, not by {self.dt:g}")
        return said


def reading(
    dt: float | None, name: str | None, comparator: str | None, reset: str | None, timeless: bool, where: str
) -> Reading:
    """The choice, or a `TclifError` where dt is missing or makes no sense; ``timeless`` graphs need none."""
    if name is not None and name not in CONVENTIONS:
        raise TclifError(f"convention is {name!r:.40}", f"known: {', '.join(CONVENTIONS)}")
    chosen = CONVENTIONS[name or "nir"]
    dt = dt if dt is not None else chosen.dt
    if dt is None and not timeless:
        raise TclifError(
            f"{where}: its neurons have time constants in seconds or steps, and a .nir file does not say which step",
            "give the time step it was trained with: --dt 1e-4 for snnTorch's files, --dt 1 where they count in steps",
        )
    dt = 1.0 if dt is None else dt
    if not np.isfinite(dt) or dt <= 0:
        raise TclifError(f"dt is {dt:g}", "a time step must be a positive number")
    if comparator is not None:
        chosen = replace(chosen, strict=comparator == ">")
    if reset is not None and reset not in get_args(ResetOption):
        raise TclifError(f"reset is {reset!r:.40}", f"known: {', '.join(get_args(ResetOption))}")
    if reset is not None:
        chosen = replace(chosen, reset=reset, unsaid="" if name == "snntorch" else chosen.unsaid)  # type: ignore[arg-type]
    return Reading(dt, name or "nir", chosen, name is None)


def population(
    kind: str, arrays: Mapping[str, Float], size: int, choice: Reading, where: str, warnings: list[str]
) -> Population:
    """The neurons of a NIR node of that kind; ``warnings`` hears what its tool would not take.

    Raises `TclifError` where a time constant or a step makes no sense.
    """
    c, dt = choice.convention, choice.dt

    def get(name: str, default: float = 0.0) -> Float:
        value = arrays.get(name, np.full(size, default)).reshape(-1)
        if value.size not in (1, size):
            raise TclifError(f"{where}: {name} has {value.size} values, the node has {size} neurons")
        return np.broadcast_to(value, size).astype(np.float64)

    def lost(name: str) -> Float:
        """The share of the state that is lost in a step."""
        tau = get(name)
        if (tau <= 0).any():
            raise TclifError(f"{where}: {name} reaches {tau.min():g}", "a time constant must be positive")
        share = dt / tau if c.scheme == "euler" else -np.expm1(-dt / tau)
        if (share > 1 + 1e-9).any():
            raise TclifError(
                f"{where}: {name} is {tau.min():g}, less than a time step of {dt:g}: forward Euler would overshoot",
                "give the --dt the network was trained with, or --convention exponential",
            )
        return np.minimum(share, 1.0)

    refused = _REFUSED.get(choice.name)
    strange = "" if refused is None else refused(kind, get, dt)
    if strange:
        does = strange if strange.startswith("leaves") else f"itself refuses it: {strange}"
        warnings.append(f"{WARNING}{where}: {c.tool} {does}")
    rest, begin = get("v_leak"), get(c.start) if c.start != "zero" else np.zeros(size)
    fires: dict[str, Any] = {}
    if "v_threshold" in arrays:
        theta = get("v_threshold")
        if (theta <= 0).any():
            raise TclifError(f"{where}: v_threshold reaches {theta.min():g}", "thresholds must be above 0")
        fires = {"threshold": theta, "strict": c.strict, "reset": "hard" if c.reset == "hard" else "soft", "v0": begin}
        if c.reset == "hard":
            fires["v_reset"] = get("v_reset") if c.v_reset else 0.0
        elif c.v_reset and CONVENTIONS[choice.name].reset == "hard" and get("v_reset").any():
            raise TclifError(f"{where}: has a v_reset, but a soft reset was asked for", "leave --reset out")
    if kind == "I":
        return Population(neurons.readout(size, gain=get("r") * dt if c.if_ == "r" else 1.0))
    if kind == "IF":
        if c.if_ == "threshold":
            fires["threshold"] = theta * get("r")
        return Population(neurons.integrate_and_fire(size, gain=get("r") * dt if c.if_ == "r" else 1.0, **fires))
    if c.reset == "subtract-late" and fires:
        fires["delayed_reset"] = True
    membrane = lost("tau" if kind in ("LI", "LIF") else "tau_mem")
    if c.leak == "bias":
        rest = rest / membrane
    if kind in ("LI", "LIF"):
        if c.lif == "whole":
            gain = 1 - membrane if kind == "LI" and c.leak == "bias" else np.ones(size)
        else:
            gain = membrane * (get("r", 1.0) if c.lif == "r" else 1.0)
        if kind == "LI":
            return Population(neurons.readout(size, decay=1 - membrane, gain=gain, rest=rest, v0=begin))
        return Population(neurons.lif(size, decay=1 - membrane, gain=gain, rest=rest, **fires))
    current = lost("tau_syn")
    gain, w_in = (np.ones(size), 1 - current) if c.decayed else (membrane * get("r", 1.0), current * get("w_in", 1.0))
    if c.synapse_leak:  # i = v_leak + i', and i' begins at 0 and decays to it
        rest = rest + gain * rest / membrane
    if kind == "CubaLI":
        neuron = neurons.readout(size, decay=1 - membrane, current_decay=current, gain=gain, rest=rest, v0=begin)
    else:
        neuron = neurons.cuba_lif(size, current_decay=current, voltage_decay=membrane, gain=gain, rest=rest, **fires)
    return Population(neuron, gain=None if (w_in == 1).all() else w_in, delay=c.delay)


_Get = Callable[..., Float]


def _not_close(value: Float, *wanted: Float | float) -> bool:
    """Whether ``value`` is none of those ``wanted``, as the tools compare."""
    return not any(np.allclose(value, each, rtol=1e-5, atol=1e-12) for each in wanted)


def _of_snntorch(kind: str, get: _Get, dt: float) -> str:
    if kind == "IF" and _not_close(get("r"), 1.0):
        return "r of an IF must be 1"
    if kind in ("LIF", "CubaLIF") and _not_close(get("v_leak"), 0.0):
        return "v_leak must be 0"
    if kind == "CubaLIF" and _not_close(get("r"), get("tau_mem") / dt):
        return "r must be tau_mem/dt"
    return ""


def _of_norse(kind: str, get: _Get, dt: float) -> str:
    return "leaves r out, which is not 1" if kind in ("IF", "LIF") and _not_close(get("r", 1.0), 1.0) else ""


def _of_spikingjelly(kind: str, get: _Get, dt: float) -> str:
    if kind == "IF" and _not_close(get("r"), 1 / dt):
        return "r of an IF must be 1/dt"
    if kind == "LIF" and _not_close(get("r"), 1.0, get("tau") / dt):
        return "r of a LIF must be 1 or tau/dt"
    if kind == "LIF" and _not_close(get("v_leak"), get("v_reset")):
        return "v_leak of a LIF must be its v_reset"
    if kind == "CubaLIF" and _not_close(get("r"), get("tau_mem") / dt):
        return "r must be tau_mem/dt"
    if kind == "CubaLIF" and _not_close(get("w_in", 1.0), get("tau_syn") / dt):
        return "w_in must be tau_syn/dt"
    return "v_leak must be 0" if kind == "CubaLIF" and _not_close(get("v_leak"), 0.0) else ""


def _of_rockpool(kind: str, get: _Get, dt: float) -> str:
    if kind in ("IF", "I", "CubaLI"):
        return f"it has no {kind}"
    tau = get("tau" if kind in ("LI", "LIF") else "tau_mem")
    if (tau > 0).all() and not np.allclose(get("r", 1.0), tau / dt * np.exp(-dt / tau), rtol=1e-2):
        return f"leaves r out, and writes tau/dt*exp(-dt/tau) for it, which it is not with dt = {dt:g}"
    return ""


def _of_sinabs(kind: str, get: _Get, dt: float) -> str:
    if kind in ("I", "CubaLI", "CubaLIF"):
        return f"it has no {kind}; its LIF with a synapse is taken"
    if kind in ("LI", "LIF") and _not_close(get("v_leak"), 0.0):
        return "v_leak must be 0"
    return "leaves r out, which is not 1" if _not_close(get("r", 1.0), 1.0) else ""


def _of_lava(kind: str, get: _Get, dt: float) -> str:
    if kind in ("LIF", "CubaLIF") and _not_close(get("v_leak"), 0.0):
        return "v_leak must be 0"
    if kind == "LIF" and _not_close(get("r", 1.0), 1.0):
        return "leaves r out, which is not 1"
    return "r must be tau_mem/dt" if kind == "CubaLIF" and _not_close(get("r"), get("tau_mem") / dt) else ""


_REFUSED: Mapping[str, Callable[[str, _Get, float], str]] = {
    "snntorch": _of_snntorch, "norse": _of_norse, "spikingjelly": _of_spikingjelly, "rockpool": _of_rockpool,
    "sinabs": _of_sinabs, "lava": _of_lava,
}  # fmt: skip
"""by convention: why the tool's own reader would not take a node as it is here, or leaves a number of it out"""
