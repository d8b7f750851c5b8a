"""NIR's differential equations as steps of this machine: which dt, which scheme, whose conventions.

NIR says what a neuron is, not how it is stepped, and its tools differ. What is chosen here is said in a notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.graph.nodes import Population
from tclif_deploy.network import Float, Reset


@dataclass(frozen=True)
class Convention:
    """How a tool steps NIR's neurons."""

    scheme: Literal["euler", "exponential"] = "euler"
    """v + dt/tau*(v_leak - v + r*i), or the exact decay exp(-dt/tau) with the input's share 1 - exp(-dt/tau)"""
    delay: int = 0
    """1 where CubaLIF's membrane takes the current of the step before, as when all states step at once"""
    strict: bool = True
    """fires at v > threshold, as NIR says"""
    reset: Reset = "hard"
    """to v_reset, as NIR says; ``soft`` takes the threshold away"""
    lif_r: bool = True
    """LIF's r is used (Norse leaves it out)"""
    jump: bool = False
    """an IF adds its input as it is, without dt"""
    dt: float | None = None
    """where the tool has one built in"""


CONVENTIONS: Mapping[str, Convention] = {
    "nir": Convention(),
    "exponential": Convention(scheme="exponential"),
    "simultaneous": Convention(delay=1),
    "snntorch": Convention(dt=1e-4),
    "norse": Convention(lif_r=False, jump=True),
    "spikingjelly": Convention(strict=False),
}
"""``nir``: forward Euler, the current first, then the membrane with the new current. Checked against snnTorch 1.0
(``import_from_nir``, which has dt = 1e-4 built in), Norse 1.1 (``from_nir``) and SpikingJelly 2.0."""


@dataclass(frozen=True)
class Reading:
    """What the user chose."""

    dt: float
    name: str
    convention: Convention

    def describe(self) -> str:
        """One line."""
        c = self.convention
        scheme = "forward Euler" if c.scheme == "euler" else "exact exponential decay"
        order = "the current of the step before" if c.delay else "the new current"
        reset = "v_reset" if c.reset == "hard" else "v - threshold"
        return (
            f"discretised with dt = {self.dt:g}, convention {self.name}: {scheme}, CubaLIF takes {order}, "
            f"fires at v {'>' if c.strict else '>='} threshold, resets to {reset}"
        )


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
    strict = chosen.strict if comparator is None else comparator == ">"
    reset_kind: Reset = chosen.reset if reset is None else "soft" if reset == "soft" else "hard"
    fields = {**vars(chosen), "strict": strict, "reset": reset_kind}
    return Reading(dt, name or "nir", Convention(**fields))


def population(kind: str, arrays: Mapping[str, Float], size: int, choice: Reading, where: str) -> Population:
    """The neurons of a NIR node of that kind. Raises `TclifError` where a time constant or a step makes no sense."""
    c, dt = choice.convention, choice.dt

    def get(name: str, default: float = 0.0) -> Float:
        value = arrays.get(name, np.full(size, default)).reshape(-1)
        if value.size not in (1, size):
            raise TclifError(f"{where}: {name} has {value.size} values, the node has {size} neurons")
        return np.broadcast_to(value, size).astype(np.float64)

    def leak(name: str) -> Float:
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

    fires: dict[str, Any] = {}
    if "v_threshold" in arrays:
        theta = get("v_threshold")
        if (theta <= 0).any():
            raise TclifError(f"{where}: v_threshold reaches {theta.min():g}", "thresholds must be above 0")
        fires = {"threshold": theta, "strict": c.strict, "reset": c.reset, "v_reset": get("v_reset")}
        if c.reset == "soft" and get("v_reset").any():
            raise TclifError(f"{where}: has a v_reset, but a soft reset was asked for", "leave --reset out")
    if kind in ("I", "IF"):
        gain = get("r") * (1.0 if c.jump else dt)
        if kind == "I":
            return Population(neurons.readout(size, gain=gain))
        return Population(neurons.integrate_and_fire(size, gain=gain, **fires))
    if kind in ("LI", "LIF"):
        share = leak("tau")
        gain = share * (get("r", 1.0) if c.lif_r else 1.0)
        rest = get("v_leak")
        if kind == "LI":
            return Population(neurons.readout(size, decay=1 - share, gain=gain, rest=rest))
        return Population(neurons.lif(size, decay=1 - share, gain=gain, rest=rest, **fires))
    current, membrane = leak("tau_syn"), leak("tau_mem")
    gain, rest, w_in = membrane * get("r", 1.0), get("v_leak"), current * get("w_in", 1.0)
    if kind == "CubaLI":
        neuron = neurons.readout(size, decay=1 - membrane, current_decay=current, gain=gain, rest=rest)
    else:
        neuron = neurons.cuba_lif(size, current_decay=current, voltage_decay=membrane, gain=gain, rest=rest, **fires)
    return Population(neuron, gain=None if (w_in == 1).all() else w_in, delay=c.delay)
