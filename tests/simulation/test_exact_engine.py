"""What the fast kernels do not cover runs on float64 kernels: equal to the reference in every number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.simulation import engine, reference
from tclif_deploy.simulation.engine import exact, run
from tests.helpers.random_networks import (
    STARTS,
    assert_alive,
    assert_same,
    drawn_network,
    network_options,
    random_network,
)
from tests.helpers.readouts import drawn_rule


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every run, however short, goes to the float64 kernels; how many blocks of each had to run again."""
    again: list[int] = []

    def counting(*arguments: Any) -> list[slice]:
        blocks = exact.run_exact(*arguments)
        again.append(len(blocks))
        return blocks

    monkeypatch.setattr(run, "FEWEST_NEURON_STEPS", 0)
    monkeypatch.setattr(run, "run_exact", counting)
    return again


def traced(network: FixedNetwork, x: Int, **keep: Any) -> None:
    """Compare everything a run can keep."""
    keep |= {"spikes": True, "counts": True, "readouts": True, "traces": [layer.name for layer in network.layers]}
    assert_same(engine.simulate(network, x, **keep), reference.simulate(network, x, **keep))


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(network_options(), st.data())
def test_random_networks_run_as_in_the_reference(ran: list[int], chosen: dict[str, Any], data: st.DataObject) -> None:
    network, x = drawn_network(**chosen)
    network = drawn_rule(network, x, data)
    lengths = data.draw(st.lists(st.integers(1, x.shape[1]), min_size=len(x), max_size=len(x)))
    traced(network, x, lengths=np.array(lengths))


@pytest.mark.parametrize(
    "chosen",
    [
        {"conv": True, "recurrent": True, "rounding": "nearest"},
        {"conv": True, "skip": True, "rounding": "toward_zero", "reset": "hard"},
        {"feedback": True, "delay": 2, "sizes": (3, 70, 65, 20), "leaky": True, "q": True},
        {"bits_u": 31, "bits_v": 32, "exponent": 3, "input_to": "soma", "spiking_output": True, "v0": True},
    ],
    ids=["convolution", "hard", "feedback", "wide"],
)
def test_kinds_of_networks_run_on_the_float64_kernels(ran: list[int], chosen: dict[str, Any]) -> None:
    network, x = random_network(4, **chosen)
    traced(network, x)
    assert ran == [0]
    expected = reference.simulate(network, x)
    assert_alive(expected)
    assert_same(engine.simulate(network, x, spikes=True, jobs=1), expected)


@pytest.mark.parametrize("options", STARTS.values(), ids=STARTS)
def test_starts_and_a_hard_reset_of_the_dendrite_run_on_the_float64_kernels(ran: list[int], options: Any) -> None:
    network, x = random_network(4, recurrent=True, feedback=True, **options)
    traced(network, x, lengths=np.array([x.shape[1], 7, 1]))
    assert len(ran) == 1
    assert (ran[0] > 0) == (reference.simulate(network, x).saturations > 0)


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_samples_whose_states_leave_their_range_run_again(ran: list[int], overflow: str) -> None:
    network, x = random_network(6, saturating=True, conv=True, overflow_u=overflow, overflow_v=overflow)
    traced(network, x)
    assert ran[0] > 0


def test_numbers_that_float64_might_not_hold_go_to_the_general_kernel(ran: list[int]) -> None:
    network, x = random_network(3, frac_bits=24, bits_u=32, bits_v=32, feedback=True)
    layers = [replace(layer, a_u=layer.a_u.clip(1 << 23)) for layer in network.layers]
    wide = replace(network, layers=tuple(layers))
    assert exact.plan_exact(wide) is None
    traced(wide, x)
    assert ran == []
