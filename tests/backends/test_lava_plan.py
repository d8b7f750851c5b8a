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
from tclif_deploy.backends.lava.plan import digits, schedule
from tclif_deploy.convolution import Conv, Kernel
from tests.helpers.random_networks import random_kernels, random_network


def layers(**links: list[tuple[str, int]]) -> list[Any]:
    """Layers by name, in order, each with its (source, delay)."""
    return [
        SimpleNamespace(name=name, connections=[SimpleNamespace(source=s, delay=d) for s, d in sources])
        for name, sources in links.items()
    ]


def test_a_chain_runs_one_step_behind_the_other() -> None:
    found = schedule(layers(a=[("input", 0)], b=[("a", 0)], c=[("b", 0)]))
    assert (found.phases, found.offsets) == (1, {"input": 0, "a": 1, "b": 2, "c": 3})


def test_recurrence_inside_a_layer_needs_nothing() -> None:
    found = schedule(layers(a=[("input", 0), ("a", 1)]))
    assert (found.phases, found.wait("a", "a", 1)) == (1, 0)


def test_a_skip_waits_a_step_for_each_layer_that_it_skips() -> None:
    found = schedule(layers(a=[("input", 0)], b=[("a", 0)], c=[("b", 0), ("a", 0), ("input", 0)]))
    assert [found.wait("c", source, 0) for source in ("b", "a", "input")] == [0, 1, 2]


def test_feedback_with_enough_delay_needs_no_phases() -> None:
    found = schedule(layers(a=[("input", 0), ("b", 2)], b=[("a", 0)]))
    assert (found.phases, found.wait("a", "b", 2)) == (1, 0)


def test_feedback_with_too_little_delay_gets_more_lava_steps_a_step() -> None:
    found = schedule(layers(a=[("input", 0), ("b", 1)], b=[("a", 0)]))
    assert (found.phases, found.wait("a", "b", 1), found.wait("b", "a", 0)) == (2, 0, 0)


def test_idle_steps_outlast_the_longest_delay() -> None:
    assert schedule(layers(a=[("input", 5), ("a", 3)])).idle == 5


@given(st.data())
def test_no_connection_of_a_random_network_waits_for_less_than_nothing(data: st.DataObject) -> None:
    names = ["input", "a", "b", "c", "d"]
    drawn: dict[str, list[tuple[str, int]]] = {}
    for n, name in enumerate(names[1:], start=1):
        links = data.draw(st.lists(st.tuples(st.sampled_from(names), st.integers(0, 4)), min_size=1, max_size=4))
        drawn[name] = [(source, max(delay, 1) if names.index(source) >= n else delay) for source, delay in links]
    found = schedule(layers(**drawn))
    assert all(found.wait(name, source, delay) >= 0 for name, links in drawn.items() for source, delay in links)
    assert all(offset >= 0 for offset in found.offsets.values())


@given(st.integers(0, 2**32 - 1), st.integers(2, 24), st.integers(0, 6), st.sampled_from([1, 255, 32767]))
def test_digits_add_up_to_the_weight_and_fit_a_dense(seed: int, bits: int, exponent: int, peak: int) -> None:
    weight = np.random.default_rng(seed).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (5, 9))
    try:
        parts = digits(weight, exponent, peak, "here")
    except TclifError:
        top = int(np.abs(weight).max())
        assert 2 * peak * max(top, 128) << exponent >= 2**31 // 2
        return
    np.testing.assert_array_equal(sum(part << e for part, e in parts), weight << exponent)
    for part, e in parts:
        assert -128 <= part.min() <= part.max() <= 127
        assert 2 * peak * int(np.abs(part).sum(axis=1).max()) * 2 ** max(e - 1, 0) < 2**31


@given(random_kernels())
def test_a_kernel_for_lavas_conv_pads_alike_on_both_sides_and_sums_the_same(kernel: Kernel) -> None:
    found = symmetric(kernel, "here")
    top, left, bottom, right = found.conv.padding
    assert (top, left) == (bottom, right)
    np.testing.assert_array_equal(found.matrix(), kernel.matrix())


def test_more_groups_than_lavas_conv_counts_become_fewer() -> None:
    kernel = Kernel(np.arange(1.0, 301.0).reshape(300, 1, 1, 1), Conv((300, 2, 1), groups=300))
    found = symmetric(kernel, "here")
    assert found.conv.groups == 100
    np.testing.assert_array_equal(found.matrix(), kernel.matrix())


def test_a_kernel_that_lavas_conv_cannot_hold_is_refused_by_layer_number_and_limit() -> None:
    long = Kernel(np.ones((1, 1, 1, 200)), Conv((1, 1, 300)))
    with pytest.raises(TclifError, match=r"layer x: a kernel, .* of 200, Lava's Conv holds up to 127"):
        symmetric(long, "layer x")


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.sampled_from([1, 255, 32767]))
def test_digits_of_a_kernel_fit_the_24_bits_of_a_conv(seed: int, exponent: int, peak: int) -> None:
    weight = np.random.default_rng(seed).integers(-2048, 2048, (5, 27))
    try:
        parts = digits(weight, exponent, peak, "here", conv=True)
    except TclifError:
        assert peak * 128 << exponent + 8 >= 2**23 // 2
        return
    np.testing.assert_array_equal(sum(part << e for part, e in parts), weight << exponent)
    for part, e in parts:
        assert peak * int(np.abs(part).sum(axis=1).max()) << e < 2**23


def test_an_int8_weight_is_one_dense_whatever_its_sign() -> None:
    weight = np.array([[-128, 127], [0, -1]])
    [(part, exponent)] = digits(weight, 0, 255, "here")
    np.testing.assert_array_equal(part, weight)
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
