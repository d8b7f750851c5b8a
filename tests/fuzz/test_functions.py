"""Public functions, called with whatever hypothesis draws for their annotations: they return, or say one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tclif_deploy as tc
from tests.fuzz import functions
from tests.package.test_wrong_calls import NAMES, NOT_CHECKED, SLOW, World

QUICK, FEW = 20, 3
"""calls of a function that takes no time, and of one that does"""
WAYS = 60
BOUNDED = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_call_returns_or_says_one_sentence(name, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, arguments = world.calls()[name]

    @settings(max_examples=FEW if name in SLOW else QUICK, **BOUNDED)
    @given(functions.arguments_of(function, arguments, NOT_CHECKED))
    def call(drawn):
        functions.tried(function, **drawn)
        for path in Path().iterdir():  # what the call was told to write
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    call()


@pytest.mark.slow
def test_networks_and_data_of_any_size_go_the_whole_way_without_a_warning(tmp_path):
    gone = []

    @settings(max_examples=WAYS, **BOUNDED)
    @given(functions.whole_ways())
    def go(drawn):
        gone.append(functions.whole_way(*drawn, tmp_path))

    go()
    assert max(gone) >= 6  # some are ordinary


def test_a_warning_and_a_long_message_are_found():
    def refuse(text):
        raise tc.TclifError(text)

    with pytest.raises(RuntimeWarning):
        functions.tried(lambda: np.float64(1e308) * np.ones(1) * 1e308)
    assert functions.tried(refuse, "x is 3; expected 4") is None
    for text in ("", "a " * 5000):
        with pytest.raises(AssertionError):
            functions.tried(lambda text=text: refuse(text) if not text else _long(text))


def _long(text):
    error = tc.TclifError("x")
    error.args = (text,)
    raise error


@given(functions.networks(), functions.datasets(3), st.data())
@settings(max_examples=20, **BOUNDED)
def test_what_is_drawn_are_networks_and_data(network, data, more):
    assert network.input_size == data.features == 3
    more.draw(functions.arrays())
