"""What networks, data and results print, at a prompt and in a notebook, and a verdict as a frame."""

import re
import sys

import numpy as np
import pytest

from tclif_deploy import CompileOptions, Dataset, TclifError, compile, quantize, simulate, verify
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.verification.verdict import BackendCheck
from tests.helpers import checkpoints
from tests.helpers.requirements import needs_module
from tests.helpers.tclif_networks import calibration_data, tclif_network


@pytest.fixture(scope="module")
def shown():
    """One of each kind that a person looks at; names that come from files hold what they should not."""
    net = tclif_network()
    evil = Layer("<b>&", net.layers[0].neuron, net.layers[0].connections)
    reads_it = Layer("b", net.layers[1].neuron, (Connection(evil.name, net.layers[1].connections[0].weight),))
    net = Network(3, (evil, reads_it, net.layers[2]), notices=("mind",))
    test = Dataset(calibration_data().x, np.arange(6) % 4, 1 / 255, np.full(6, 50), "<i>")
    fixed = quantize(net, "loihi2", test)
    verdict = verify(net, fixed, test)
    verdict.backends["c"] = BackendCheck(1, 1, 1, 0, 0)
    return {
        "network": net, "fixed": fixed, "dataset": test, "verdict": verdict, "layer": net.layers[0],
        "neuron": evil.neuron, "connection": reads_it.connections[0], "fixed layer": fixed.layers[0],
        "fixed connection": fixed.layers[1].connections[0], "result": simulate(fixed, test, spikes=True),
        "float result": simulate(net, test),
    }  # fmt: skip


SAYS = {
    "network": "Network: 3 input features, 3 layers, 32 neurons, 288 weights, 1 notice",
    "fixed": "FixedNetwork: 3 input features of 9 bits, states of 24 and 24 bits, coefficients of 12, rounded toward_",
    "dataset": "Dataset <i>: 6 samples of 60 steps of 3 features, uint8, scale 0.00392157, y 0..3, lengths 50..50",
    "verdict": r"c equals the reference",
    "layer": r"Layer <b>&: 16 tclif neurons from input, 48 weights",
    "neuron": "Neuron: 16 tclif neurons, fires: v >= threshold, soft reset, input to the dendrite",
    "connection": r"Connection from <b>&: 12x16 weights of -",
    "fixed layer": r"FixedLayer <b>&: 16 neurons from input, 48 weights of 8 bits",
    "fixed connection": r"FixedConnection from <b>&: 12x16 weights of -127 to 127",
    "result": r"Result: 6 samples, 4 outputs, 0 overflows; spikes of <b>&, b, counts of -, traces of -",
    "float result": "FloatResult: 6 samples, 4 outputs; spikes of -, counts of -, traces of -",
}


@pytest.mark.parametrize("kind", SAYS)
def test_what_a_person_looks_at_is_a_few_lines_that_say_what_it_is(shown, kind):
    text = repr(shown[kind])
    assert SAYS[kind] in text.splitlines()[0]
    assert len(text) < 1500
    assert "\x1b" not in text


@pytest.mark.parametrize("kind", SAYS)
def test_notebooks_get_the_same_with_every_name_escaped(shown, kind):
    page = shown[kind]._repr_html_()
    assert page.startswith("<p>")
    assert set(re.findall(r"</?(\w+)", page)) <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert "\x1b" not in page


def test_a_deep_network_prints_its_first_layers_and_its_last():
    one = tclif_network().layers[1]
    layers = [Layer("a", one.neuron, (Connection("input", np.ones((12, 3))),))]
    for n in range(40):
        layers.append(Layer(f"deep{n}", one.neuron, (Connection(layers[-1].name, np.ones((12, 12))),)))
    lines = repr(Network(3, tuple(layers))).splitlines()
    assert len(lines) == 22
    assert lines[-2].split() == ["...", "22", "more"]
    assert lines[-1].split()[0] == "deep39"


def test_a_verdict_becomes_a_frame_where_pandas_is_there(shown):
    pandas = needs_module("pandas")
    verdict, frame = shown["verdict"], shown["verdict"].to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["jaccard"].tolist() == [layer.jaccard for layer in verdict.layers]
    assert frame["spike_rate_fixed"].loc["b"] == verdict.layers[1].spike_rate_fixed


def test_without_pandas_a_frame_is_refused_in_one_line(shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    with pytest.raises(
        TclifError, match=r"pandas is not installed, which to_frame needs; pip install 'tclif-deploy\[frames\]'"
    ):
        shown["verdict"].to_frame()


def test_a_build_prints_what_it_was_made_of_and_what_came_out(tmp_path):
    model = checkpoints.write_checkpoint(tmp_path / "net")
    build = compile(
        model,
        data=checkpoints.write_data(tmp_path / "d.npz"),
        output=tmp_path / "b",
        options=CompileOptions(backend="none"),
    )
    first, *rest = repr(build).splitlines()
    assert first == f"Build {tmp_path / 'b'}: {model} for loihi2, calibrated on {build.calibration}"
    assert [line.split()[0] for line in rest] == ["network", "integers", "verdict", "missed", "to"]
    assert "<td>verdict</td>" in build._repr_html_()
