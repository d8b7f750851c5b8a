"""What a fixed-point simulation returns, and what it accepts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import to_array
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Arithmetic, FixedNetwork, InputEncoding, Int
from tclif_deploy.readout import SUMS, Readout
from tclif_deploy.text import count

OF_U = slice(0, None, 2)
"""those of a layer's `Result.overflows` that are of u"""


@dataclass(frozen=True, eq=False, repr=False)
class Result(Shown):
    """Outcome of a run over (samples, time) of a `FixedNetwork`.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> result = tc.simulate(fixed, test[:4], counts=True)
    >>> result
    Result: 4 samples, 10 outputs, 0 overflows; spikes of -, counts of features.1, features.3, traces of -
    >>> result.classes.tolist(), {name: int(spikes.sum()) for name, spikes in result.counts.items()}
    ([5, 3, 0, 4], {'features.1': 1742, 'features.3': 1305})
    """

    spikes: dict[str, NDArray[np.bool_]]
    """spiking layer -> (samples, time, neurons); empty where spikes were not asked for. On a machine whose neurons fire
    several times a step (`Arithmetic.most_spikes`) uint8, how often each did"""
    u: dict[str, Int]
    """layer -> dendrite after the last step, int64 (samples, neurons)"""
    v: dict[str, Int]
    """layer -> soma after the last step, int64 (samples, neurons)"""
    readout: Int
    """the running value of the network's `Readout` at each sample's last valid step; (samples, outputs)"""
    classes: Int
    """argmax of readout*multiplier, ties to the lowest index, int64 (samples,)"""
    overflows: dict[str, Int]
    """layer -> int64 (4,): values changed by ovf (u charged, v charged, u reset, v reset): see `OF_U`"""
    traces: dict[str, Int] = field(default_factory=dict)
    """traced layer -> int64 (2, samples, time, neurons): u and v after each step"""
    counts: dict[str, Int] = field(default_factory=dict)
    """spiking layer -> spikes of each neuron up to the sample's last valid step, int64 (samples, neurons); empty where
    counts were not asked for"""
    readouts: Int | None = None
    """the readout after each step, int64 (samples, time, outputs); None where not asked for"""
    decided: Int | None = None
    """the step at which a rule that waits for a threshold decided, -1: none reached it, (samples,); None: another
    rule"""
    step_classes: Int | None = None
    """the class that ``readouts`` say after each step, (samples, time); None where they were not asked for"""

    @property
    def saturations(self) -> int:
        """All values that ovf changed."""
        return int(sum(counts.sum() for counts in self.overflows.values()))

    def _brief(self) -> Brief:
        return result_brief(self, f", {count(self.saturations, 'overflow')}")


def spike_type(arithmetic: Arithmetic) -> Any:
    """What a neuron's spikes of one step are kept in: whether it fired, or how often."""
    return np.bool_ if arithmetic.most_spikes == 1 else np.uint8


def result_brief(result: Any, more: str = "") -> Brief:
    """Of a run, float or fixed-point: how much there is of what."""
    kept = [f"{name} of {', '.join(getattr(result, name)) or '-'}" for name in ("spikes", "counts", "traces")]
    samples, outputs = result.readout.shape
    line = f"{type(result).__name__}: {count(samples, 'sample')}, {count(outputs, 'output')}{more}"
    return Brief(f"{line}; {', '.join(kept)}")


def check_input(network: FixedNetwork, x: NDArray[Any]) -> Int:
    """``x`` as int64 (samples, time, features), or a `TclifError` that says what is wrong with it."""
    return check_integers(network.input, x)


def check_integers(encoding: InputEncoding, x: NDArray[Any]) -> Int:
    """`check_input` for who knows only the network's ``encoding``, as a backend that reads its own files."""
    x = to_array(x, "input")
    if x.ndim != 3:
        raise TclifError(f"input has shape {x.shape}", "expected (samples, time, features)")
    if 0 in x.shape[:2]:
        raise TclifError(f"input has {x.shape[0]} samples of {x.shape[1]} steps", "at least one of each is needed")
    if x.shape[2] != encoding.size:
        raise TclifError(f"input has {x.shape[2]} features a step, the network takes {encoding.size}")
    if not np.issubdtype(x.dtype, np.integer) and x.dtype != np.bool_:
        raise TclifError(f"input has dtype {x.dtype}", "integers are needed: see InputEncoding.encode")
    x = x.astype(np.int64, copy=False)
    max_input = max(int(x.max()), -int(x.min()))
    if max_input > encoding.limit:
        raise TclifError(
            f"input reaches {max_input}, the payload is {encoding.bits} bits (+-{encoding.limit})",
            "InputEncoding.encode clips it there; or quantize again, calibrated on data as large",
        )
    return x


def most_readout_steps(network: FixedNetwork) -> int:
    """After how many steps a sum of the soma, times its multiplier, is still sure to fit 64 bits."""
    used = network.arithmetic.bits_v - 1 + int(network.output.multiplier.max()).bit_length()
    return int(2 ** max(63 - used, 0)) - 1


def check_readout_range(network: FixedNetwork, time: int) -> None:
    """Raise `TclifError` where a sum of so many steps, times its multiplier, could exceed 64 bits."""
    if network.readout.rule in SUMS:
        check_readout_steps(network.readout, time, most_readout_steps(network))


def check_readout_steps(readout: Readout, time: int, most: int | None) -> None:
    """Raise `TclifError` where ``time`` is beyond the ``most`` steps (None: any number) that ``readout`` can take."""
    if most is not None and time > most:
        raise TclifError(
            f"readout {readout}: a sum over {time:,} steps can exceed 64 bits", "run fewer steps, or read max"
        )


def check_lengths(lengths: NDArray[Any] | None, samples: int, time: int) -> Int:
    """``lengths`` as int64 (samples,), each in 1..time; all of ``time`` where None."""
    if lengths is None:
        return np.full(samples, time, dtype=np.int64)
    lengths = to_array(lengths, "lengths")
    if lengths.shape != (samples,) or not np.issubdtype(lengths.dtype, np.integer):
        raise TclifError(f"lengths is {lengths.dtype}{lengths.shape}", f"expected integers of shape ({samples},)")
    if lengths.min() < 1 or lengths.max() > time:
        raise TclifError(f"lengths lie in {lengths.min()}..{lengths.max()}", f"each must be in 1..{time}")
    return lengths.astype(np.int64)
