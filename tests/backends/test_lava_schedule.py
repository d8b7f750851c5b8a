"""When layers run on Lava, and what their weights become: plain arithmetic, without Lava."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tclif_deploy import TclifError, load_target
from tclif_deploy.backends import lava
from tclif_deploy.backends.lava.kernels import symmetric
from tclif_deploy.backends.lava.schedule import digits, schedule
from tclif_deploy.convolution import Conv, Kernel
from tests.helpers.random_networks import random_kernels, random_network


def layers(**connections: list[tuple[str, int]]) -> list[Any]:
    """Layers by name, in order, each with its (source, delay)."""
    return [
        SimpleNamespace(name=name, connections=[SimpleNamespace(source=s, delay=d) for s, d in sources])
        for name, sources in connections.items()
    ]


def test_a_chain_runs_one_step_behind_the_other() -> None:
    timing = schedule(layers(a=[("input", 0)], b=[("a", 0)], c=[("b", 0)]))
    assert (timing.phases, timing.offsets) == (1, {"input": 0, "a": 1, "b": 2, "c": 3})


def test_recurrence_inside_a_layer_needs_nothing() -> None:
    timing = schedule(layers(a=[("input", 0), ("a", 1)]))
    assert (timing.phases, timing.wait("a", "a", 1)) == (1, 0)


def test_a_skip_waits_a_step_for_each_layer_that_it_skips() -> None:
    timing = schedule(layers(a=[("input", 0)], b=[("a", 0)], c=[("b", 0), ("a", 0), ("input", 0)]))
    assert [timing.wait("c", source, 0) for source in ("b", "a", "input")] == [0, 1, 2]


def test_feedback_with_enough_delay_needs_no_phases() -> None:
    timing = schedule(layers(a=[("input", 0), ("b", 2)], b=[("a", 0)]))
    assert (timing.phases, timing.wait("a", "b", 2)) == (1, 0)


def test_feedback_with_too_little_delay_gets_more_lava_steps_a_step() -> None:
    timing = schedule(layers(a=[("input", 0), ("b", 1)], b=[("a", 0)]))
    assert (timing.phases, timing.wait("a", "b", 1), timing.wait("b", "a", 0)) == (2, 0, 0)


def test_idle_steps_outlast_the_longest_delay() -> None:
    assert schedule(layers(a=[("input", 5), ("a", 3)])).idle == 5


@given(st.data())
def test_no_connection_of_a_random_network_waits_for_less_than_nothing(data: st.DataObject) -> None:
    names = ["input", "a", "b", "c", "d"]
    drawn: dict[str, list[tuple[str, int]]] = {}
    for n, name in enumerate(names[1:], start=1):
        sources = data.draw(st.lists(st.tuples(st.sampled_from(names), st.integers(0, 4)), min_size=1, max_size=4))
        drawn[name] = [(source, max(delay, 1) if names.index(source) >= n else delay) for source, delay in sources]
    starts = data.draw(st.booleans())
    timing = schedule(layers(**drawn), starts)
    assert all(timing.wait(name, source, delay) >= 0 for name, sources in drawn.items() for source, delay in sources)
    assert timing.offsets["input"] == 0
    assert all(timing.offsets[name] >= timing.phases * starts for name in drawn)


@given(st.integers(0, 2**32 - 1), st.integers(2, 24), st.integers(0, 6), st.sampled_from([1, 255, 32767]))
def test_digits_add_up_to_the_weight_and_fit_a_dense(seed: int, bits: int, exponent: int, max_input: int) -> None:
    weight = np.random.default_rng(seed).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (5, 9))
    try:
        matrices = digits(weight, exponent, max_input, "layer x")
    except TclifError:
        max_weight = int(np.abs(weight).max())
        assert 2 * max_input * max(max_weight, 128) << exponent >= 2**31 // 2
        return
    np.testing.assert_array_equal(sum(matrix << e for matrix, e in matrices), weight << exponent)
    for matrix, e in matrices:
        assert -128 <= matrix.min() <= matrix.max() <= 127
        assert 2 * max_input * int(np.abs(matrix).sum(axis=1).max()) * 2 ** max(e - 1, 0) < 2**31


@given(random_kernels())
def test_a_kernel_for_lavas_conv_pads_alike_on_both_sides_and_sums_the_same(kernel: Kernel) -> None:
    result = symmetric(kernel, "layer x")
    top, left, bottom, right = result.conv.padding
    assert (top, left) == (bottom, right)
    np.testing.assert_array_equal(result.matrix(), kernel.matrix())


def test_more_groups_than_lavas_conv_counts_become_fewer() -> None:
    kernel = Kernel(np.arange(1.0, 301.0).reshape(300, 1, 1, 1), Conv((300, 2, 1), groups=300))
    result = symmetric(kernel, "layer x")
    assert result.conv.groups == 100
    np.testing.assert_array_equal(result.matrix(), kernel.matrix())


def test_a_kernel_that_lavas_conv_cannot_hold_is_refused_by_layer_number_and_limit() -> None:
    long = Kernel(np.ones((1, 1, 1, 200)), Conv((1, 1, 300)))
    with pytest.raises(TclifError, match=r"layer x: a kernel, .* of 200, Lava's Conv holds up to 127"):
        symmetric(long, "layer x")


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.sampled_from([1, 255, 32767]))
def test_digits_of_a_kernel_fit_the_24_bits_of_a_conv(seed: int, exponent: int, max_input: int) -> None:
    weight = np.random.default_rng(seed).integers(-2048, 2048, (5, 27))
    try:
        matrices = digits(weight, exponent, max_input, "layer x", conv=True)
    except TclifError:
        assert max_input * 128 << exponent + 8 >= 2**23 // 2
        return
    np.testing.assert_array_equal(sum(matrix << e for matrix, e in matrices), weight << exponent)
    for matrix, e in matrices:
        assert max_input * int(np.abs(matrix).sum(axis=1).max()) << e < 2**23


def test_an_int8_weight_is_one_dense_whatever_its_sign() -> None:
    weight = np.array([[-128, 127], [0, -1]])
    [(matrix, exponent)] = digits(weight, 0, 255, "layer x")
    np.testing.assert_array_equal(matrix, weight)
    assert exponent == 0


def test_a_sum_that_no_dense_can_hold_is_refused_by_layer_number_and_limit(tmp_path: Path) -> None:
    fixed, _ = random_network(5, input_bits=16)
    first = fixed.layers[0]
    wide = replace(first, connections=(replace(first.connections[0], exponent=14),))
    with pytest.raises(TclifError, match=r"layer layer0: connection from input: .* can reach \d+, .* 2147483647"):
        lava.emit(replace(fixed, layers=(wide, *fixed.layers[1:])), load_target("loihi2"), tmp_path)


def test_a_sum_that_int64_cannot_hold_is_refused_by_layer_number_and_limit(tmp_path: Path) -> None:
    fixed, _ = random_network(5)
    wide = replace(fixed.layers[0], shift=50)
    with pytest.raises(TclifError, match=r"layer layer0: a sum or product can reach \d+, .* 9223372036854775807"):
        lava.emit(replace(fixed, layers=(wide, *fixed.layers[1:])), load_target("loihi2"), tmp_path)
