"""What a session keeps from one step to the next, and its file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import json_form
from tclif_deploy.arguments import checked, checked_fields, described, to_array
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, open_npz
from tclif_deploy.fixed import Format, Int
from tclif_deploy.network import INPUT
from tclif_deploy.outputs import write_npz
from tclif_deploy.settings import Limits
from tclif_deploy.text import count

FORMAT = "tclif-state"
FORMAT_VERSION = 1
SAVE_AGAIN = "save a Simulator's state again"


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class SimulatorState(Shown):
    """What a `Simulator` keeps from one step to the next: integers, or the real numbers of a float network.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> session = tc.Simulator(digits)
    >>> for x in test.values()[0, :20]:
    ...     _ = session.step(x)
    >>> session.state
    SimulatorState: 1 sample after 20 steps, 266 neurons, in flight: features.1 (1 step), features.3 (1 step)
    >>> other = tc.Simulator(digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     session.state.save(f"{folder}/state.npz")
    ...     other.state = tc.SimulatorState.load(f"{folder}/state.npz")
    >>> bool((other.step(test.values()[0, 20]).readout == session.step(test.values()[0, 20]).readout).all())
    True
    """

    u: dict[str, NDArray[Any]]
    """layer -> dendrite after the last step, (batch, neurons)"""
    v: dict[str, NDArray[Any]]
    """layer -> soma after the last step, (batch, neurons)"""
    in_flight: dict[str, NDArray[Any]]
    """source of delayed connections, a layer or ``input`` -> what it sent in as many of the last steps as the longest
    delay has, the oldest first; (batch, steps, neurons), spikes are bool, or uint8 where a neuron may fire several
    times a step"""
    readout: NDArray[Any]
    """the running value of the network's `Readout`, (batch, outputs); zeros before the first step"""
    steps: Annotated[int, Limits(0)]
    """steps so far"""
    fingerprint: str
    """of the network: its state fits no other"""
    decided: Int
    """the step at which a rule that waits for a threshold decided, -1: not yet; (batch,)"""

    def __post_init__(self) -> None:
        shape = np.shape(self.readout)
        if len(shape) != 2 or not self.u or self.u.keys() != self.v.keys():
            raise TclifError(
                f"SimulatorState: a readout of shape {shape} of {len(self.u)} layers' u and {len(self.v)} layers' v",
                "expected (batch, classes), and u and v of the same layers",
            )
        for key, dimensions in (("u", 2), ("v", 2), ("in_flight", 3)):
            for name, value in getattr(self, key).items():
                where = f"SimulatorState: {key}[{name!r:.60}]"
                array = to_array(value, where)
                if array.dtype.kind not in "biuf" or array.ndim != dimensions or len(array) != shape[0]:
                    raise TclifError(
                        f"{where} is {described(value)}", f"expected {dimensions} axes, the first of {shape[0]} samples"
                    )

        decided = to_array(self.decided, "SimulatorState: decided")
        if decided.dtype.kind not in "iu" or decided.shape != shape[:1]:
            raise TclifError(
                f"SimulatorState: decided is {described(self.decided)}", f"expected integers of shape ({shape[0]},)"
            )

    @checked
    def save(self, path: Path | str) -> None:
        """Write it as an .npz: plain arrays and one JSON header, same state same bytes. Raises `TclifError`."""
        header = {
            "format": FORMAT, "version": FORMAT_VERSION, "fingerprint": self.fingerprint, "steps": self.steps,
            "layers": list(self.u), "in_flight": list(self.in_flight),
        }  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {"readout": self.readout, "decided": self.decided}
        for n, name in enumerate(self.u):
            arrays[f"u.{n}"], arrays[f"v.{n}"] = self.u[name], self.v[name]
        for n, sent in enumerate(self.in_flight.values()):
            arrays[f"in_flight.{n}"] = sent.astype(np.uint8) if sent.dtype == np.bool_ else sent
        arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
        write_npz(path, arrays)

    @classmethod
    @checked
    def load(cls, path: Path | str) -> SimulatorState:
        """Read what `save` wrote. Raises `TclifError`, which names the file, where it holds anything else."""
        path = as_path(path, "give the path of a saved state")
        with open_npz(path, "not a simulator's state", SAVE_AGAIN) as file:
            text = file.text("header")
            given = json_form.parse(Format, text, "header", SAVE_AGAIN)
            if (given.format, given.version) != (FORMAT, FORMAT_VERSION):
                raise TclifError(
                    f"{path}: format {given.format:.40} {given.version}, expected {FORMAT} {FORMAT_VERSION}",
                    "save it again with this version",
                )
            header = json_form.parse(_Header, text, "header", SAVE_AGAIN)
            u, v = (
                {name: file.array(f"{compartment}.{n}") for n, name in enumerate(header.layers)} for compartment in "uv"
            )
            in_flight = {name: file.array(f"in_flight.{n}") for n, name in enumerate(header.in_flight)}
            spikes = {
                name: sent if sent.dtype == np.uint8 and sent.max(initial=0) > 1 else sent != 0
                for name, sent in in_flight.items()
                if name != INPUT
            }
            return cls(
                u, v, in_flight | spikes, file.array("readout"), header.steps, header.fingerprint,
                file.array("decided", "iu").astype(np.int64),
            )  # fmt: skip

    def _brief(self) -> Brief:
        neurons = sum(np.shape(each)[-1] for each in self.u.values())
        sent = [f"{name} ({count(each.shape[1], 'step')})" for name, each in self.in_flight.items()]
        line = f"SimulatorState: {count(len(self.readout), 'sample')} after {count(self.steps, 'step')}"
        return Brief(f"{line}, {count(neurons, 'neuron')}, in flight: {', '.join(sent) or '-'}")


@dataclass(frozen=True)
class _Header(Format):
    """The header of a saved state: everything but the arrays."""

    __pydantic_config__ = json_form.EXACT

    fingerprint: str
    steps: Annotated[int, Limits(0)]
    layers: tuple[str, ...]
    in_flight: tuple[str, ...]
