"""What a weights file does not say: how its neurons fire and reset. Said by hand, or by an ``args.json``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, read_json
from tclif_deploy.network import LEAST, MOST, Reset
from tclif_deploy.readout import Readout
from tclif_deploy.settings import Limits, check_settings

ResetOption = Literal["soft", "hard", "subtract-late"]
"""``subtract-late`` takes the threshold away one step after the spike, after the decay, as snnTorch does"""
NeuronName = Literal["tclif", "lif", "plif", "rf", "se-adlif"]
NEURONS: tuple[NeuronName, ...] = get_args(NeuronName)[:3]
"""The kinds of neuron that checkpoints of the authors can hold; the others tell families apart."""
LIF_DECAY = float(np.float32(0.8))
"""The decay that the authors' LIF hard-codes: ``torch.tensor(0.8).float()`` (MNIST and GSC-v2, neuron.py)."""
MAX_ARGS_BYTES = 1 << 20


def check_finite(value: object, where: str) -> float:
    """``value`` as a float, or a `TclifError` unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TclifError(f"{where} is {value!r:.60}", "expected a number")
    if not math.isfinite(value):
        raise TclifError(f"{where} is {value}", "expected a finite number")
    if abs(value) > MOST:
        raise TclifError(f"{where} is {value:g}", f"at most {MOST:g} is supported")
    return float(value)


def check_threshold(value: object, where: str) -> float:
    """``value`` as a float, or a `TclifError` unless it is a positive number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise TclifError(f"{where} is {value!r:.60}", "a threshold must be a positive number")
    if not LEAST <= value <= MOST:
        raise TclifError(f"{where} is {value:g}", f"thresholds of {LEAST:g} to {MOST:g} are supported")
    return float(value)


@dataclass(frozen=True)
class ReadOptions:
    """What the user says by hand about a model file; None leaves it to the file and its args.json.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> by_hand = tc.ReadOptions(threshold=2.0, comparator=">")  # wins over the args.json beside the model
    >>> neuron = tc.load("fixtures/spoken_digits/checkpoint.pth.tar", by_hand).layers[0].neuron
    >>> float(neuron.threshold[0]), neuron.strict
    (2.0, True)
    """

    args: Path | str | None = None
    """the training script's args.json; by default the one beside the model, where there is one"""
    threshold: Annotated[float | None, Limits(LEAST, MOST)] = None
    """firing threshold, where no file says it"""
    gamma: Annotated[float | None, Limits(-MOST, MOST)] = None
    """what a spike takes from the dendrite, where no file says it"""
    comparator: Literal[">=", ">"] | None = None
    """when a neuron fires: at its threshold, or only above it"""
    reset: ResetOption | None = None
    """what a spike does to the soma: the threshold is taken off it, or it starts anew; or (.nir files alone) the
    threshold is taken off it one step later, after the decay, as snnTorch does by default"""
    neuron: NeuronName | None = None
    """the kind of neuron, where no file says it"""
    decay: Annotated[float | None, Limits(-MOST, MOST)] = None
    """decay of LIF neurons (v <- decay*v + i), where no file says it"""
    adaptation: Annotated[float | None, Limits(0, MOST)] = None
    """how much adaptive neurons adapt, where no file says it: beta of Yin's and Higuchi's ALIF, q of SE-adLIF"""
    dilated_kernel_size: Annotated[int | None, Limits(1)] = None
    """steps of the kernels of delays that DCLS learned, an odd number, where no file says it"""
    dt: Annotated[float | None, Limits(LEAST, MOST)] = None
    """the time step of a .nir file that another tool wrote, in the unit of its time constants; or of a vanilla RF"""
    convention: str | None = None
    """whose way to step such a file: nir, exponential, simultaneous, snntorch, norse, spikingjelly, rockpool, sinabs or
    lava"""
    readout: str | None = None
    """how the last layer becomes an answer: last, sum, mean, max, count, rate, votes:K, step, first, first:X,
    threshold, threshold:X or softmax"""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.readout is not None:
            Readout.parse(self.readout)


@dataclass(frozen=True)
class NeuronSettings:
    """How one layer's neurons fire and reset."""

    neuron: str
    """``tclif``, ``lif`` or ``plif``"""
    threshold: float
    gamma: float = 0.0
    strict: bool = False
    reset: Reset = "soft"
    v_reset: float = 0.0
    decay: float = LIF_DECAY
    decay_input: bool = False


@dataclass(frozen=True)
class Args:
    """The settings that a training script wrote; empty and without a path where there is no such file."""

    path: Path | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def number(self, key: str) -> float | None:
        """A finite number, or None where the key is absent."""
        value = self.values.get(key)
        return None if value is None else check_finite(value, f"{self.path}: {key}")

    def text(self, key: str) -> str | None:
        """A string, or None where the key is absent."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise TclifError(f"{self.path}: {key} is {value!r:.60}", "expected a string")
        return value

    def flag(self, key: str) -> bool | None:
        """A boolean, or None where the key is absent."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise TclifError(f"{self.path}: {key} is {value!r:.60}", "expected true or false")
        return value


def read_args(given: Path | str | None, model: Path) -> Args:
    """The args.json named by ``given``, else the one beside ``model``, else an empty `Args`."""
    expected = "expected the args.json that the training script wrote: one JSON object"
    path = as_path(given if given is not None else model.parent / "args.json", expected)
    if not path.exists():
        if given is None:
            return Args()
        raise TclifError(f"{path}: file not found", "check the path given as --args")
    values = read_json(path, expected, MAX_ARGS_BYTES)
    if not isinstance(values, dict):
        raise TclifError(f"{path}: holds a JSON {type(values).__name__}, not an object", expected)
    return Args(path, values)
