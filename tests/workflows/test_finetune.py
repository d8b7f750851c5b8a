"""Fine-tuning: what is trained is what runs, its gradients are the float network's, and the command around it."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tclif_deploy import (
    Build,
    CompileOptions,
    QuantizeSettings,
    TuneSettings,
    finetune,
    load,
    load_data,
    load_target,
    neurons,
    quantize,
    simulate,
)
from tclif_deploy.cli import main as runner
from tclif_deploy.comparison import equal
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.fixed.mismatch import mismatch
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.nn import LIF, PLIF, TCLIF, SequenceNetwork
from tclif_deploy.nn import build as architecture
from tclif_deploy.nn.checkpoint import load_weights
from tclif_deploy.nn.config import TrainConfig
from tclif_deploy.nn.from_network import to_module
from tclif_deploy.nn.fused import layer_gradients
from tclif_deploy.nn.quantized import QuantizedNetwork
from tclif_deploy.nn.surrogate import spike
from tclif_deploy.nn.train import train as fit
from tclif_deploy.nn.trainer import Trainer
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.mnist_files import write_mnist
from tests.helpers.random_networks import assert_alive
from tests.helpers.tuning import (
    DIGITS,
    FINEST,
    assert_runs_as,
    encoded,
    float_network,
    per_neuron,
    quantized,
    samples,
    some_digits,
    tclif,
    train,
)

pytestmark = pytest.mark.slow


NEURONS = {
    "TC-LIF": tclif,
    "TC-LIF per neuron, strict": per_neuron,
    "TC-LIF, hard reset": lambda size: tclif(size, threshold=1.4, reset="hard", v_reset=0.1),
    "LIF": lambda size: LIF(1.0),
    "PLIF": lambda size: PLIF(1.0),
}
FINE, COARSE = {"rounding": "nearest", "coefficient_bits": 6}, {"weight_bits": 4}
SMALL = {"rounding": "floor", "state_bits": 14}
CASES = [
    ("TC-LIF", {}), ("TC-LIF", COARSE), ("TC-LIF", FINE), ("TC-LIF, hard reset", {}), ("TC-LIF, hard reset", SMALL),
    ("TC-LIF per neuron, strict", {}), ("TC-LIF per neuron, strict", FINE), ("LIF", SMALL), ("PLIF", COARSE),
]  # fmt: skip


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize(("neuron", "changed"), CASES)
def test_the_training_forward_equals_the_engine_bit_for_bit_before_and_after_training(neuron, changed, recurrent):
    machine = load_target("loihi2").override(**changed)
    data = samples(lengths=recurrent)
    network, fixed = quantized(float_network(NEURONS[neuron], recurrent), data, machine)
    given = encoded(fixed, data)
    assert equal(network.fixed(), fixed)
    x = torch.from_numpy(given.x).float()
    lengths = None if data.lengths is None else torch.from_numpy(data.lengths)
    for trained in (False, True):
        if trained:
            train(network, given, 4, 0.01)
            moved = [not equal(a, b) for a, b in zip(network.fixed().layers, fixed.layers, strict=True)]
            assert all(moved)
        expected = simulate(network.fixed(), data, spikes=True)
        assert_alive(expected)
        assert_runs_as(network, x, expected, lengths)


def test_devices_that_differ_are_those_of_the_disturbance_and_the_same_for_the_same_key():
    data = samples()
    model = float_network(tclif, True)
    fixed = quantize(load(torch.nn.Sequential(*model.features)), "loihi2", data)
    modules = list(to_module(load(torch.nn.Sequential(*model.features))).float())
    network = QuantizedNetwork(modules, fixed, load_target("loihi2"), mismatch=0.2)
    x = torch.from_numpy(encoded(fixed, data).x).float()
    assert equal(network.fixed(), fixed)
    drawn = []
    for key in ((1, 2), (1, 2), (1, 3)):
        with network.varied(key):
            device = network.fixed()
            assert_runs_as(network, x, simulate(device, data, spikes=True))
        drawn.append(device)
        expected = mismatch(fixed, 0.2, np.random.default_rng(key))
        for layer, other in zip(device.layers, expected.layers, strict=True):
            for c, o in zip(layer.connections, other.connections, strict=True):
                np.testing.assert_array_equal(c.weight, o.weight)
            np.testing.assert_array_equal(layer.b_u, other.b_u)
            np.testing.assert_array_equal(layer.b_v, other.b_v)
            if layer.spiking:
                np.testing.assert_array_equal(layer.threshold, other.threshold)
        assert (device.layers[0].threshold != fixed.layers[0].threshold).mean() > 0.9
        assert (device.layers[0].a_u == fixed.arithmetic.one).all()
    assert equal(drawn[0], drawn[1])
    assert not equal(drawn[0], drawn[2])
    assert equal(network.fixed(), fixed)  # what is measured and built


def test_training_for_devices_that_differ_is_the_same_for_any_number_of_threads():
    states = []
    for threads in (1, 2):
        data = samples(count=40)
        model = float_network(tclif, False)
        fixed = quantize(load(torch.nn.Sequential(*model.features)), "loihi2", data)
        modules = list(to_module(load(torch.nn.Sequential(*model.features))).float())
        network = QuantizedNetwork(modules, fixed, load_target("loihi2"), mismatch=0.1)
        with Trainer(network, TrainConfig("a test", None, Path("nowhere"), lr=0.01, threads=threads)) as trainer:
            for n in range(3):
                trainer.step(encoded(fixed, data), np.arange(40), 0.01, key=(0, 0, n))
        states.append(network.fixed())
    assert equal(*states)


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_states_that_overflow_do_so_as_in_the_engine_and_are_counted(overflow):
    data, machine = samples(), load_target("loihi2").override(state_bits=16)
    model = float_network(tclif, True)
    network = load(torch.nn.Sequential(*model.features))
    fixed = quantize(network, machine, data)
    narrow = replace(fixed.arithmetic, bits_u=14, bits_v=15, overflow_u=overflow, overflow_v=overflow)
    fixed = replace(fixed, arithmetic=narrow)
    network = QuantizedNetwork(list(to_module(network).float()), fixed, machine)
    x = fixed.input.encode(data.x, data.scale)[0]
    expected = simulate(fixed, x, spikes=True)
    assert expected.saturations > 10
    assert_alive(expected)
    assert_runs_as(network, torch.from_numpy(x).float(), expected)


def fine_pair(seed=0):
    data, machine = samples(count=8), load_target("loihi2").override(**FINEST)
    network, fixed = quantized(float_network(tclif, True, seed), data, machine)
    exact = SequenceNetwork(list(to_module(load(torch.nn.Sequential(*network.features))).float()))
    real = torch.from_numpy(data.values()).float()
    integers = torch.from_numpy(encoded(fixed, data).x).float()
    return network, exact, integers, real, torch.from_numpy(data.y)


def test_on_a_fine_grid_every_gradient_is_the_float_networks():
    network, exact, integers, real, labels = fine_pair()
    cross_entropy = torch.nn.functional.cross_entropy
    for one, other in zip(network.spikes(integers), exact.spikes(real), strict=True):
        assert (one.float() != other).float().mean() < 1e-3
        assert 0.01 < other.mean() < 0.6
    cross_entropy(network(integers), labels).backward()
    cross_entropy(exact(real, dtype=torch.bfloat16), labels).backward()
    parameters = dict(network.named_parameters())
    for name, parameter in exact.named_parameters():
        assert parameter.grad.abs().max() > 1e-5, name
        error = (parameters[name].grad - parameter.grad).norm() / parameter.grad.norm()
        assert error < 0.03, f"{name}: {error:.3f}"


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("detached", [False, True])
def test_a_gains_gradient_is_that_of_threshold_and_resets_together(reset, detached):
    torch.manual_seed(3)
    gain = (1 + 0.2 * torch.rand(9)).requires_grad_()
    x, weight, recurrent = torch.randn(30, 4, 5), torch.randn(9, 5), 0.3 * torch.randn(9, 9)
    c = TCLIF(1.1, 0.4, reset=reset, v_reset=0.2).coefficients(weight)
    threshold, r_u, r_v, v_reset = (value * gain for value in (c.threshold, c.r_u, c.r_v, c.v_reset))
    u = v = s = torch.zeros(4, 9)
    potential, spikes = [], []
    for current in x @ weight.t():
        u = c.a_u * u + c.b_u * v + current + s @ recurrent.t()
        v = c.a_v * v + c.b_v * u
        potential.append(v)
        s = spike(v - threshold)
        gate = s.detach() if detached else s
        u, v = (u - r_u * gate, v - r_v * gate) if reset == "soft" else (u, (1 - gate) * v + gate * v_reset)
        spikes.append(s)
    fired = torch.stack(spikes)
    assert 0.05 < fired.mean() < 0.6
    grad = torch.randn_like(fired).bfloat16()
    (expected,) = torch.autograd.grad((fired * grad).sum(), gain)

    couplings = (value.detach() + torch.zeros(9) for value in (c.a_u, c.b_u, c.a_v, c.b_v))
    numbers = tuple(value.detach().numpy() for value in (*couplings, threshold, r_u, r_v, v_reset))
    gradients = layer_gradients(
        x, weight, recurrent, numbers, reset == "hard", numbers[4], detached, "triangle",
        torch.stack(potential).detach(), fired.detach().bfloat16(), grad, want_input=False, want_gain=True,
    )  # fmt: skip
    torch.testing.assert_close(gradients.gain / gain.detach(), expected, rtol=1e-3, atol=1e-3)


def test_the_masters_checkpoint_holds_the_gains_in_the_weights():
    network, exact, integers, real, _ = fine_pair(seed=1)
    with torch.no_grad():
        for gain in network.gains:
            gain.copy_(torch.linspace(0.7, 1.3, len(gain)))
    scaled = network.spikes(integers)
    before = exact.spikes(real)
    state = network.float_state()
    for name in ("features.1.hid_weight", "features.3.hid_weight", "features.4"):  # which the float network lacks
        assert not state.pop(f"{name}.bias").any()
    exact.load_state_dict(state)
    for one, other, old in zip(scaled, exact.spikes(real), before, strict=True):
        assert (one.float() != other).float().mean() < 0.005
        assert (one.float() != old).float().mean() > 0.02


@pytest.fixture
def digits(tmp_path):
    return some_digits(tmp_path)


def tune(data, *options):
    return runner.run([
        "finetune", str(DIGITS / "checkpoint.pth.tar"), "--data", str(data), "-o", str(data / "build"),
        "--backend", "none", "--weight-bits", "4", *map(str, options),
    ])  # fmt: skip


def test_the_command_builds_what_it_trained_and_writes_the_masters(digits, capsys):
    assert tune(digits, "--epochs", 2, "--lr", 2e-3, "--batch-size", 8, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    tuning = report["finetune"]
    assert tuning["tuned"] == report["accuracy"]["fixed"]
    assert tuning["original"] == report["accuracy"]["float"]
    assert tuning["drop"] == pytest.approx(100 * (tuning["original"] - tuning["tuned"]))
    assert tuning["control"]["drop"] == pytest.approx(100 * (tuning["control"]["accuracy"] - tuning["tuned"]))
    assert len(tuning["epochs_tuned"]) == len(tuning["control"]["epochs"]) == 2
    build = digits / "build"
    fixed, test = FixedNetwork.load(build / "fixed.npz"), load_data(digits / "test.npz")
    expected = simulate(fixed, test, spikes=True, engine="reference")
    assert_alive(expected)
    assert float(np.mean(expected.classes == test.y)) == tuning["epochs_tuned"][-1]["test"] == tuning["tuned"]
    start = quantize(load(DIGITS / "checkpoint.pth.tar"), load_target("loihi2").override(weight_bits=4),
                     DIGITS / "calibration.npz")  # fmt: skip
    assert any((a.connections[0].weight != b.connections[0].weight).any()
               for a, b in zip(fixed.layers, start.layers, strict=True))  # fmt: skip
    assert max(abs(c.weight).max() for layer in fixed.layers for c in layer.connections) <= 7
    tuned = load(build / "tuned" / "checkpoint.pth.tar")
    assert simulate_float(tuned, test.values(), lengths=test.lengths).classes.shape == (64,)
    load_weights(build / "tuned" / "checkpoint.pth.tar", architecture("digits-rec"))  # as tclif train --start does
    # the integers come back from what they mean, whatever the data that would set the scales
    again = quantize(load(build / "tuned" / "network.npz"), "loihi2", test[:5])
    assert again.notices[0].startswith("the model's own weights, factors, thresholds and biases are kept as they are: ")
    assert equal(again, fixed)
    assert not (digits / "build.tuning").exists()
    assert runner.run(["show", str(build)]) == 0
    assert Build.open(build).manifest.choices.backend == "none"


def test_without_labels_it_learns_what_the_float_network_says(digits, capsys):
    for part in ("train", "test"):
        arrays = dict(np.load(digits / f"{part}.npz"))
        del arrays["y"]
        np.savez(digits / f"{part}.npz", **arrays)
    options = (
        "--weight-bits",
        2,
        "--passes",
        "none",
        "--epochs",
        6,
        "--lr",
        1e-3,
        "--batch-size",
        8,
        "--min-agreement",
        0,
    )
    assert tune(digits, *options, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    tuning = report["finetune"]
    assert (tuning["distil"], tuning["control"], tuning["original"], tuning["quantized"]) == (True, False, None, None)
    assert tuning["temperature"] > 0
    test = load_data(digits / "test.npz")
    wanted = simulate(load(DIGITS / "checkpoint.pth.tar"), test).classes
    target = load_target("loihi2").override(weight_bits=2)
    settings = QuantizeSettings(passes=())
    before = quantize(load(DIGITS / "checkpoint.pth.tar"), target, DIGITS / "calibration.npz", settings)
    fixed = FixedNetwork.load(digits / "build" / "fixed.npz")
    was, now = (float(np.mean(simulate(each, test).classes == wanted)) for each in (before, fixed))
    assert was == tuning["agreement_quantized"]
    assert now == tuning["agreement"] == report["agreement"]["argmax"] > was
    assert runner.run(["show", str(digits / "build")]) == 0


@pytest.mark.parametrize("shown", [1, 0.2])
def test_labels_do_not_enter_a_distillation(digits, capsys, shown):
    options = ("--epochs", 2, "--lr", 2e-3, "--distil", "--min-agreement", 0, "--max-accuracy-drop", 1,
               "--min-sample-probability", shown)  # fmt: skip
    assert tune(digits, *options) == 0
    first = (digits / "build" / "fixed.npz").read_bytes()
    shutil.rmtree(digits / "build")
    arrays = dict(np.load(digits / "train.npz"))
    np.savez(digits / "train.npz", **{**arrays, "y": np.roll(arrays["y"], 7)})
    assert tune(digits, *options) == 0
    assert (digits / "build" / "fixed.npz").read_bytes() == first
    assert tune(digits, *options, "--temperature", 0) == 2
    capsys.readouterr()


def test_labels_of_one_part_alone_and_a_temperature_without_effect_are_refused(digits, capsys):
    assert tune(digits, "--epochs", 1, "--temperature", 2) == 2
    assert "temperature has no effect without distil" in " ".join(capsys.readouterr().err.split())
    arrays = dict(np.load(digits / "test.npz"))
    del arrays["y"]
    np.savez(digits / "test.npz", **arrays)
    assert tune(digits, "--epochs", 1) == 2
    assert "has no labels" in " ".join(capsys.readouterr().err.split())
    assert not (digits / "build").exists()


def test_without_labels_a_network_that_is_judged_by_step_learns_every_step(digits, capsys):
    for part in ("train", "test"):
        arrays = dict(np.load(digits / f"{part}.npz"))
        del arrays["y"]
        np.savez(digits / f"{part}.npz", **arrays, task="step-label")
    assert tune(digits, "--epochs", 1, "--min-agreement", 0, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    tuning, test = report["finetune"], load_data(digits / "test.npz")
    network, fixed = load(DIGITS / "checkpoint.pth.tar"), FixedNetwork.load(digits / "build" / "fixed.npz")
    classes = [simulate(each, test, readouts=True).step_classes for each in (network, fixed)]
    agreement = float(np.mean((classes[0] == classes[1])[test.valid()]))
    assert tuning["epochs_tuned"][0]["task"] == "step-label"
    assert tuning["epochs_tuned"][0]["test"] == pytest.approx(agreement)
    assert 0 < tuning["agreement_quantized"] <= 1


def test_the_test_data_choose_nothing(digits, capsys):
    options = ("--epochs", 2, "--lr", 2e-3, "--no-control", "--min-agreement", 0, "--max-accuracy-drop", 1)
    assert tune(digits, *options) == 0
    first = (digits / "build" / "fixed.npz").read_bytes()
    shutil.rmtree(digits / "build")
    arrays = dict(np.load(digits / "test.npz"))
    np.savez(digits / "test.npz", **{**arrays, "x": arrays["x"][::-1, ::-1] // 2, "y": np.roll(arrays["y"], 7)})
    assert tune(digits, *options) == 0
    assert (digits / "build" / "fixed.npz").read_bytes() == first
    capsys.readouterr()


def test_what_devices_that_differ_lose_is_no_divergence(digits, capsys):
    options = ("--mismatch", 0.5, "--lr", 1e-9, "--epochs", 1, "--no-control", "--min-agreement", 0)
    assert tune(digits, *options, "--max-accuracy-drop", 1) == 0, capsys.readouterr().err
    capsys.readouterr()


@pytest.mark.parametrize("learn", [(), ("scales",)])
def test_every_layer_keeps_to_its_own_width(digits, learn):
    widths = (2, 3, 8)
    options = CompileOptions(backend="none", quantize=QuantizeSettings(weight_bits=widths))
    settings = TuneSettings(epochs=4, lr=1e-3, batch_size=8, control=False, learn=learn)
    build = finetune(DIGITS / "checkpoint.pth.tar", "loihi2", digits, options=options, settings=settings,
                     output=digits / "build")  # fmt: skip
    most = [max(abs(c.weight).max() for c in layer.connections) for layer in build.fixed.layers]
    assert most[:2] == [1, 3]
    assert 60 < most[2] <= 127
    start = quantize(load(DIGITS / "checkpoint.pth.tar"), "loihi2", DIGITS / "calibration.npz", options.quantize)
    for now, was in zip(build.fixed.layers, start.layers, strict=True):
        assert (now.connections[0].weight != was.connections[0].weight).any()
    assert Build.open(digits / "build").weight_bits == widths


def test_a_control_and_a_distillation_exclude_each_other(digits, capsys):
    assert tune(digits, "--epochs", 1, "--distil", "--control") == 2
    assert "--control has no effect with --distil" in " ".join(capsys.readouterr().err.split())


def test_a_permuted_task_keeps_its_order_of_pixels_however_often_it_is_tuned(tmp_path, capsys):
    write_mnist(tmp_path / "mnist")
    first = TrainConfig("psmnist-ff", tmp_path / "mnist", tmp_path / "first" / "m.pth.tar", epochs=1, seed=5)
    fit(first)
    fit(replace(first, out=tmp_path / "on" / "m.pth.tar", start=first.out, seed=6))
    permutation = (tmp_path / "on" / "permutation.npy").read_bytes()
    assert permutation == (tmp_path / "first" / "permutation.npy").read_bytes()
    words = ["finetune", str(tmp_path / "on" / "m.pth.tar"), "--data", str(tmp_path / "mnist"), "--epochs", "1",
             "--batch-size", "8", "--no-control", "--backend", "none", "--min-agreement", "0",
             "--max-accuracy-drop", "1", "--allow-misfit", "-o", str(tmp_path / "build")]  # fmt: skip
    assert runner.run(words) == 0, capsys.readouterr().err
    assert (tmp_path / "build" / "tuned" / "permutation.npy").read_bytes() == permutation
    assert "is not known" not in capsys.readouterr().err
    (tmp_path / "on" / "permutation.npy").unlink()
    assert runner.run(words) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "has no permutation.npy beside it, so that its order of pixels is not known; seed 6 draws one" in told


def test_numbers_that_are_not_given_are_asked_for(tmp_path, capsys):
    model = Path(__file__).parents[2] / "fixtures" / "mackey_glass" / "checkpoint.pth.tar"
    x = np.load(model.parent / "test.npz")["x"][:8]
    for part in ("train", "test"):
        np.savez(tmp_path / f"{part}.npz", x=x, task="step-value")
    words = ["finetune", str(model), "--data", str(tmp_path), "--task", "mine", "-o", str(tmp_path / "build")]
    assert runner.run(words) == 2
    assert "give the numbers, as y" in " ".join(capsys.readouterr().err.split())


def test_numbers_are_not_distilled(tmp_path, capsys):
    model = Path(__file__).parents[2] / "fixtures" / "mackey_glass" / "checkpoint.pth.tar"
    words = ["finetune", str(model), "--distil", "--epochs", "1", "-o", str(tmp_path / "build")]
    assert runner.run(words) == 2
    assert "its targets are numbers, of which distil knows no probabilities" in " ".join(
        capsys.readouterr().err.split()
    )


def test_an_interrupted_fine_tuning_goes_on_with_what_is_done(digits, monkeypatch):
    assert tune(digits, "--epochs", 1, "--no-control") == 0
    whole = (digits / "build" / "fixed.npz").read_bytes()
    shutil.rmtree(digits / "build")

    def stop(*anything, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tclif_deploy.workflows.finetune.write_build", stop)
        assert tune(digits, "--epochs", 1, "--no-control") == 130
    assert not (digits / "build").exists()
    monkeypatch.setattr("tclif_deploy.nn.trainer.Trainer.step", stop)  # nothing is left to train
    assert tune(digits, "--epochs", 1, "--no-control") == 0
    assert (digits / "build" / "fixed.npz").read_bytes() == whole


def test_an_interrupted_fine_tuning_keeps_its_count_of_overflows(digits, monkeypatch, capsys):
    options = ("--epochs", 1, "--no-control", "--state-bits", 12, "--headroom", 1, "--min-agreement", 0,
               "--max-accuracy-drop", 1, "--json")  # fmt: skip
    tune(digits, *options)
    whole = json.loads(capsys.readouterr().out)["finetune"]["overflows"]
    assert whole > 0
    shutil.rmtree(digits / "build")

    def stop(*anything, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tclif_deploy.workflows.finetune.write_build", stop)
        assert tune(digits, *options) == 130
    capsys.readouterr()
    tune(digits, *options)
    assert json.loads(capsys.readouterr().out)["finetune"]["overflows"] == whole


def test_a_fine_tuning_that_diverges_stops_and_says_what_to_try(digits, capsys):
    assert tune(digits, "--epochs", 3, "--lr", 1, "--warmup", 0, "--no-control") == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert re.search(
        r"error: epoch 1: the loss is [\d.e+]+, more than 0\.\d+; nothing was written; try a smaller --lr", printed
    )
    assert not (digits / "build").exists()


def test_a_single_step_at_the_end_of_the_schedule_is_refused(digits, capsys):
    assert tune(digits, "--epochs", 1, "--batch-size", 96, "--no-control") == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert "one step of 96 samples is all of this training, and the schedule ends at a rate of 0; nothing" in printed
    assert not (digits / "build").exists()


def test_what_cannot_be_tuned_is_refused_by_name():
    links = (Connection("input", np.ones((3, 5))),)
    adaptive = neurons.alif_bellec(3, alpha=0.9, rho=0.95, kappa=0.1, threshold=1.0)
    spiking = neurons.tclif(3, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0)
    for neuron, expected in ((adaptive, "not among the torch modules"), (spiking, "is the last one and spikes")):
        network, machine = Network(5, (Layer("deep", neuron, links),)), load_target("loihi2")
        with pytest.raises(TclifError, match=f"layer deep: .*{expected}"):
            QuantizedNetwork(list(to_module(network).float()), quantize(network, machine, samples()), machine)


def test_another_readout_than_the_usual_one_is_refused_by_name():
    network = load(torch.nn.Sequential(*float_network(tclif, False).features))
    modules, machine = list(to_module(network).float()), load_target("loihi2")
    ruled = network.with_readout("max")
    with pytest.raises(TclifError, match="the readout max is not among the torch modules"):
        to_module(ruled)
    with pytest.raises(TclifError, match="the readout max cannot be fine-tuned"):
        QuantizedNetwork(modules, quantize(ruled, machine, samples()), machine)


def test_data_that_nobody_named_are_asked_for(digits, capsys, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    code = runner.run(["finetune", str(DIGITS / "checkpoint.pth.tar"), "--data", str(empty), "--task", "mine",
                       "-o", str(empty / "build")])  # fmt: skip
    assert code == 2
    assert "has no train.npz and test.npz" in " ".join(capsys.readouterr().err.split())
