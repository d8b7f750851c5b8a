"""Running networks: the float model, the fixed-point reference, and the fast engine."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.simulate import reference
from tclif_deploy.simulate.result import Result

Engine = Literal["auto", "engine", "reference"]


def simulate(
    network: FixedNetwork,
    x: Int,
    *,
    lengths: Int | None = None,
    spikes: bool = False,
    traces: Collection[str] = (),
    engine: Engine = "auto",
) -> Result:
    """Run a fixed-point network on integers ``x`` (samples, time, features).

    See `tclif_deploy.simulate.reference.simulate` for the arguments.
    """
    return reference.simulate(network, x, lengths=lengths, spikes=spikes, traces=traces)
