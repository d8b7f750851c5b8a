"""Running networks: the float model, the fixed-point reference, and the fast engine."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.simulation import reference
from tclif_deploy.simulation.result import Result

Engine = Literal["auto", "engine", "reference"]


def simulate(
    network: FixedNetwork,
    x: Dataset | Int,
    *,
    lengths: Int | None = None,
    spikes: bool = False,
    counts: bool = False,
    traces: Collection[str] = (),
    engine: Engine = "auto",
    jobs: int | None = None,
) -> Result:
    """Run a fixed-point network on data, or on integers ``x`` (samples, time, features) as its encoding gives them.

    ``lengths`` (samples,) is the number of steps after which a sample's readout is taken (default: the data's, or
    all). ``spikes`` keeps every layer's spikes, ``counts`` how many each neuron fired (which is much cheaper),
    ``traces`` names layers whose states are kept. ``engine`` is ``"reference"`` for the specification itself; the fast
    one runs on ``jobs`` threads (default: one a core).
    Raises `TclifError` for input that does not fit the network.

    Examples
    --------
    >>> from tclif_deploy import load, load_data, quantize
    >>> network, test = load("fixtures/smnist_ff/checkpoint.pth.tar"), load_data("fixtures/smnist_test.npz")[:4]
    >>> fixed = quantize(network, "loihi2", "fixtures/smnist_ff/calibration.npz")
    >>> simulate(fixed, test, spikes=True).spikes["features.1"].shape
    (4, 784, 64)
    """
    if isinstance(x, Dataset):
        lengths = x.lengths if lengths is None else lengths
        x, _ = network.input.encode(x.x, x.scale)
    if engine == "reference":
        return reference.simulate(network, x, lengths=lengths, spikes=spikes, counts=counts, traces=traces)
    # Imported here, because numba takes a while and not every use of this package simulates.
    from tclif_deploy.simulation import engine as fast

    return fast.simulate(network, x, lengths=lengths, spikes=spikes, counts=counts, traces=traces, jobs=jobs)
