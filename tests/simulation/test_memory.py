"""Memory that no run may take: real numbers of all the input, matrices of convolutions."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import neurons
from tclif_deploy.convolution import Conv
from tclif_deploy.fixed import InputEncoding
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.simulation.partially_quantized import decide_mixed, simulate_mixed
from tclif_deploy.simulation.quantized_parts import INPUT_PART, parts_of
from tclif_deploy.verification import neurobench as neurobench_module
from tclif_deploy.verification.error_attribution import _changes
from tclif_deploy.verification.neurobench import neurobench

SCALE = 0.3
"""times a whole number, it is rounded"""


def network(features: int = 500) -> Network:
    """So few neurons that all which is kept of them is small beside the input."""
    rng = np.random.default_rng(0)
    hidden = Layer(
        "hidden",
        neurons.lif(4, decay=0.9, threshold=1.0),
        (Connection("input", rng.normal(size=(4, features)) * 0.1),),
    )
    out = Layer("out", neurons.readout(2), (Connection("hidden", rng.normal(size=(2, 4))),))
    return Network(features, (hidden, out))


def data(samples: int, features: int = 500) -> tc.Dataset:
    """Bytes."""
    x = np.random.default_rng(1).integers(-3, 4, (samples, 20, features)).astype(np.int8)
    return tc.Dataset(x, scale=SCALE)


def peak(call: Callable[[tc.Dataset], Any], given: tc.Dataset) -> int:
    """Bytes that ``call`` takes at most."""
    tracemalloc.start()
    try:
        call(given)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def calls(net: Network, fixed: tc.FixedNetwork) -> dict[str, Callable[[tc.Dataset], Any]]:
    """What runs the float network, or asks something of its input."""
    chosen: Collection[Any] = [frozenset(), frozenset([INPUT_PART]), frozenset([("hidden", "weights")])]
    return {
        "simulate": lambda d: tc.simulate(net, d, jobs=1),
        "simulate_float": lambda d: simulate_float(net, d.x, spikes=False, jobs=1),
        "simulate_mixed": lambda d: simulate_mixed(net, fixed, d, [INPUT_PART], jobs=1),
        "decide_mixed": lambda d: decide_mixed(net, fixed, d, chosen, jobs=1),
        "whether the input's rounding matters": lambda d: _changes(net, fixed, tc.Dataset(d.x), INPUT_PART),
        "neurobench": lambda d: neurobench(net, fixed, d),
    }


@pytest.mark.parametrize("name", calls(network(), None))  # type: ignore[arg-type]
def test_more_samples_take_no_more_memory_than_they_hold_themselves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neurobench_module, "NEURON_STEPS", 1 << 18)  # what it holds of some samples, of fewer
    net = network()
    fixed = tc.quantize(net, "loihi2", data(32), tc.QuantizeSettings(passes=()))
    call, few, many = calls(net, fixed)[name], data(64), data(256)
    call(few)  # kernels are compiled, plans made
    assert peak(call, many) - peak(call, few) < many.x.nbytes - few.x.nbytes


def test_partly_quantized_convolutions_stay_kernels() -> None:
    pixels = 2 * 24 * 24
    conv = Conv((2, 24, 24), padding=(1, 1, 1, 1))
    rng = np.random.default_rng(4)
    first = Layer(
        "first",
        neurons.lif(4 * 24 * 24, decay=0.9, threshold=1.0),
        (Connection("input", rng.normal(size=(4, 2, 3, 3)), conv=conv),),
    )
    out = Layer("out", neurons.readout(2), (Connection("first", rng.normal(size=(2, 4 * 24 * 24))),))
    net, given = Network(pixels, (first, out)), data(4, pixels)
    fixed = tc.quantize(net, "loihi2", given, tc.QuantizeSettings(passes=()))
    every = parts_of(net)
    sets = [frozenset[Any](), frozenset(every), *(frozenset([part]) for part in every)]
    result: dict[Any, Any] = {}

    def call(d: tc.Dataset) -> None:
        result.update(decide_mixed(net, fixed, d, sets, jobs=1))

    call(given)  # kernels are compiled
    assert peak(call, given) < 8 * first.size * pixels / 2, "half of one matrix"
    whole = tc.simulate(fixed, given, spikes=True)
    assert whole.spikes["first"].any()
    np.testing.assert_array_equal(result[frozenset(every)][0], whole.readout * fixed.output.lsb_v)
    np.testing.assert_allclose(result[frozenset()][0], tc.simulate(net, given).readout, rtol=1e-9)


def test_encoding_takes_the_memory_of_its_result() -> None:
    encoding, x = InputEncoding(500, lsb=0.7, bits=8), data(400).x
    assert peak(lambda d: encoding.encode(d.x, d.scale), tc.Dataset(x, scale=SCALE)) < 8 * x.size * 1.9


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64])
def test_a_block_is_the_bytes_of_all(dtype: Any) -> None:
    net, x = network(7), (np.random.default_rng(2).random((40, 20, 7)) * 9).astype(dtype)
    given = tc.Dataset(x, scale=SCALE)
    keep: dict[str, Any] = {"spikes": True, "traces": ["hidden", "out"], "readouts": True}
    whole = tc.simulate(net, given.values(), **keep)
    for engine in ("engine", "reference"):
        run = tc.simulate(net, given, engine=engine, **keep)  # type: ignore[call-overload]
        for name in ("hidden", "out"):
            assert run.traces[name].tobytes() == whole.traces[name].tobytes()
        assert run.readouts.tobytes() == whole.readouts.tobytes()
        assert run.spikes["hidden"].any()


@pytest.mark.parametrize("shape", [(), (0, 3, 2), (3,), (300, 40, 50)])
def test_encoding_by_blocks_is_encoding_of_all(shape: tuple[int, ...]) -> None:
    encoding, x = InputEncoding(50, lsb=0.7, bits=8), np.random.default_rng(3).normal(size=shape) * 50
    encoded, clipped = encoding.encode(np.asarray(x), SCALE)
    raw = np.rint(x * (SCALE / 0.7))
    expected = np.clip(raw, -encoding.limit, encoding.limit)
    assert (encoded.dtype, encoded.shape) == (np.int64, shape)
    np.testing.assert_array_equal(encoded, expected)
    assert clipped == int((raw != expected).sum())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_what_is_not_finite_is_named(bad: float, dtype: Any) -> None:
    x = np.zeros((2, 3, 7), dtype)
    x[1, 2, 3] = bad
    with pytest.raises(tc.TclifError, match=f"^input holds {bad}; inputs must be finite$"):
        simulate_float(network(7), x)
