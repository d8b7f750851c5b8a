"""The float model: the canonical neuron in float64, the truth that fixed point is measured against.

`tclif_deploy.simulation.float_session` says in numpy what is computed, compiled kernels compute the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked, described, holds_numbers, to_array
from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.network import LEAST, MOST, Network
from tclif_deploy.readout import Readout
from tclif_deploy.settings import Limits
from tclif_deploy.simulation.float_result import FloatResult
from tclif_deploy.simulation.float_session import FloatSession, rules_of
from tclif_deploy.simulation.result import check_lengths

Engine = Literal["auto", "engine", "reference"]
"""``reference`` is the specification, ``engine`` the compiled kernels that equal it in every bit; ``auto`` is these"""


@checked
def simulate_float(
    network: Network,
    x: NDArray[Any],
    *,
    scale: Annotated[float, Limits(LEAST, MOST)] = 1.0,
    lengths: NDArray[np.int64] | None = None,
    spikes: bool = True,
    counts: bool = False,
    traces: Collection[str] = (),
    readouts: bool = False,
    other: Readout | None = None,
    engine: Engine = "auto",
    jobs: Annotated[int, Limits(1, 1024)] | None = None,
) -> FloatResult:
    """Run ``x`` (samples, time, features), times ``scale``, through ``network``, in the float network's own units.

    Any numeric dtype, computed in float64; the kernels convert a block of samples at a time. ``lengths``, ``counts``,
    ``traces``, ``readouts``, ``engine`` and ``jobs`` are those of `tclif_deploy.simulate`; ``spikes`` are kept unless
    told otherwise. ``other`` is a rule by which classes are told too.

    Raises `TclifError` where the shape of ``x`` is not the network's, a traced layer is none of it, or the states
    grow without end.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.simulation.floating import simulate_float
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> simulate_float(digits, test[:4].values(), lengths=test[:4].lengths).classes.tolist(), test[:4].y.tolist()
    ([5, 3, 0, 4], [5, 3, 0, 4])
    """
    x = to_array(x, "input")
    if not holds_numbers(x):
        raise TclifError(f"input is {described(x)}", "expected an array of numbers")
    if x.ndim != 3 or 0 in x.shape:
        raise TclifError(f"input has shape {x.shape}", "expected (samples, time, features), none of them 0")
    if x.shape[2] != network.input_size:
        raise TclifError(f"input has {x.shape[2]} features a step, the network takes {network.input_size}")
    # the least and the greatest need no memory, as an array of all answers would; one that is no number is both
    if x.dtype.kind == "f" and not (math.isfinite(x.min()) and math.isfinite(x.max())):
        values = x.astype(np.float64)
        raise TclifError(f"input holds {values[~np.isfinite(values)][0]}", "inputs must be finite")
    if engine == "reference":
        session = FloatSession(network, x.shape[0], other)
        return session.run(
            x.astype(np.float64) * scale,
            lengths=lengths,
            spikes=spikes,
            counts=counts,
            traces=traces,
            readouts=readouts,
        )
    # Imported here, because numba takes a while and not every use of this package simulates.
    from tclif_deploy.simulation.engine.floating import run_float

    last = check_lengths(lengths, *x.shape[:2]) - 1
    return run_float(network, x, scale, last, rules_of(network, other), spikes, counts, traces, readouts, jobs)


def float_classes(network: Network, data: Dataset, batch: int = 32) -> NDArray[np.int64]:
    """The class that ``network`` names for each sample of ``data`` by the rule that integers have, (samples,).

    It is run ``batch`` samples at a time.
    """
    network = network.with_readout(network.readout.in_integers())
    results = (simulate_float(network, d.values(), lengths=d.lengths, spikes=False) for d in data.batches(batch))
    return np.concatenate([result.classes for result in results])


def batches(samples: int, size: int) -> Iterator[slice]:
    """Slices that cover ``samples``, each of at most ``size``."""
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))
