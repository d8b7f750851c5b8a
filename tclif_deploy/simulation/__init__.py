"""Running networks: the float model, the fixed-point reference, and the fast engine."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, get_args, overload

from tclif_deploy.arguments import checked
from tclif_deploy.blas import one_blas_thread
from tclif_deploy.data.accept import DataLike, as_dataset, integers_of
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, Int, check_fixed
from tclif_deploy.network import Network
from tclif_deploy.settings import Limits
from tclif_deploy.simulation import reference
from tclif_deploy.simulation.float_result import FloatResult
from tclif_deploy.simulation.floating import Engine, simulate_float
from tclif_deploy.simulation.result import Result

__all__ = ["Engine", "FloatResult", "Result", "simulate"]


@overload
def simulate(
    network: FixedNetwork, x: DataLike, *, lengths: Int | None = None, spikes: bool = False, counts: bool = False,
    traces: Collection[str] = (), readouts: bool = False, engine: Engine = "auto", jobs: int | None = None,
) -> Result: ...  # fmt: skip
@overload
def simulate(
    network: Network, x: DataLike, *, lengths: Int | None = None, spikes: bool = False, counts: bool = False,
    traces: Collection[str] = (), readouts: bool = False, engine: Engine = "auto", jobs: int | None = None,
) -> FloatResult: ...  # fmt: skip
@one_blas_thread
@checked
def simulate(
    network: FixedNetwork | Network,
    x: DataLike,
    *,
    lengths: Int | None = None,
    spikes: bool = False,
    counts: bool = False,
    traces: Collection[str] = (),
    readouts: bool = False,
    engine: Engine = "auto",
    jobs: Annotated[int, Limits(1, 1024)] | None = None,
) -> Result | FloatResult:
    """Run a network, float or fixed-point, on data: a `Dataset`, a path, an array or torch tensor, a pair (x, y).

    What ``x`` (samples, time, features) holds is what the float network sees, times a Dataset's scale, and a
    fixed-point network encodes it. One case differs: a plain array of *integers* given to a fixed-point network
    holds its own input integers, as `InputEncoding.encode` makes them (for integer data as real values, give a
    `Dataset`, or an array of floats).

    ``lengths`` (samples,) is the number of steps after which a sample's readout is taken (default: the data's, or
    all). ``spikes`` keeps every layer's spikes, ``counts`` how many each neuron fired (which is much cheaper),
    ``traces`` names layers whose states are kept, ``readouts`` keeps the readout after each step. ``engine`` is
    ``"reference"`` for the specification itself; the fast one, which equals it in every bit, runs on ``jobs`` threads
    (default: one a core).
    Raises `TclifError` for input that does not fit the network, and for ``jobs`` outside 1..1024.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> tc.simulate(digits, test[:8]).classes.tolist()
    [5, 3, 0, 4, 7, 7, 9, 9]
    >>> result = tc.simulate(fixed, test[:8], spikes=True)
    >>> result.classes.tolist(), result.spikes["features.1"].shape
    ([5, 3, 0, 4, 7, 7, 9, 9], (8, 92, 128))
    """
    if engine not in get_args(Engine):
        raise TclifError(f"engine is {engine!r:.60}", f"known: {', '.join(get_args(Engine))}")
    if isinstance(network, Network):
        data = as_dataset(x, needed=True)
        lengths = data.lengths if lengths is None else lengths
        return simulate_float(
            network, data.x, scale=data.scale, lengths=lengths, spikes=spikes, counts=counts, traces=traces,
            readouts=readouts, engine=engine, jobs=jobs,
        )  # fmt: skip
    check_fixed(network)
    encoded = integers_of(x)
    if encoded is None:
        data = as_dataset(x, needed=True)
        lengths = data.lengths if lengths is None else lengths
        encoded, _ = network.input.encode(data.x, data.scale)
    keep: dict[str, Any] = {
        "lengths": lengths,
        "spikes": spikes,
        "counts": counts,
        "traces": traces,
        "readouts": readouts,
    }
    if engine == "reference":
        return reference.simulate(network, encoded, **keep)
    # Imported here, because numba takes a while and not every use of this package simulates.
    from tclif_deploy.simulation import engine as fast

    return fast.simulate(network, encoded, jobs=jobs, **keep)
