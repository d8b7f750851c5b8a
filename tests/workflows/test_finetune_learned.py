"""What fine-tuning learns where asked, scales, decays and gamma: their gradients, and that the integers are carried."""

import json
import shutil

import numpy as np
import pytest
import torch

from tclif_deploy import TuneSettings, dequantize, load, load_data, load_target, quantize, save, simulate
from tclif_deploy.cli import main as runner
from tclif_deploy.comparison import equal
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.nn import LIF, PLIF, TCLIF, LeakyReadout, SequenceNetwork
from tclif_deploy.nn.from_network import to_module
from tclif_deploy.nn.fused import layer_gradients
from tclif_deploy.nn.learned import on_grid
from tclif_deploy.nn.quantized import QuantizedNetwork
from tclif_deploy.nn.surrogate import spike
from tclif_deploy.workflows.compile import choices_of
from tclif_deploy.workflows.options import BuildOptions
from tests.helpers.random_networks import assert_alive
from tests.helpers.tuning import (
    DIGITS,
    FINEST,
    assert_runs_as,
    encoded,
    float_network,
    quantized,
    samples,
    some_digits,
    tclif,
    train,
)

NARROW = {"weight_bits": 2}
NEURONS = {
    "TC-LIF": tclif,
    "TC-LIF, hard reset": lambda size: tclif(size, threshold=1.4, reset="hard", v_reset=0.1),
    "PLIF": lambda size: PLIF(1.0),
    "LIF, soft reset": lambda size: LIF(1.0),
}
CASES = [
    ("TC-LIF", {"weight_bits": 3}, ("scales",)),
    ("TC-LIF", {"rounding": "nearest", "coefficient_bits": 6}, ("gamma",)),
    ("TC-LIF", {"weight_bits": 4, "rounding": "floor"}, ("scales", "gamma")),
    ("TC-LIF, hard reset", {}, ("scales",)),
    ("PLIF", {"weight_bits": 4}, ("decays",)),
    ("PLIF", {"weight_bits": 3}, ("scales", "decays")),
    ("LIF, soft reset", {"state_bits": 16}, ("scales", "decays")),
]  # fmt: skip


def carried(fixed, target, data):
    """What `quantize` makes of the network that ``fixed`` stands for, whatever the calibration data."""
    return quantize(dequantize(fixed), target, data)


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize(("neuron", "changed", "learn"), CASES)
def test_what_is_learned_runs_as_the_engine_and_is_what_compile_writes(neuron, changed, learn, recurrent):
    machine, data = load_target("loihi2").override(**changed), samples(lengths=recurrent)
    network, fixed = quantized(float_network(NEURONS[neuron], recurrent), data, machine, learn)
    assert equal(network.fixed(), fixed)
    given = encoded(fixed, data)
    train(network, given, 4, 0.02)
    tuned = network.fixed()
    expected = simulate(tuned, data, spikes=True)
    assert_alive(expected)
    lengths = None if data.lengths is None else torch.from_numpy(data.lengths)
    assert_runs_as(network, torch.from_numpy(given.x).float(), expected, lengths)
    assert equal(carried(tuned, machine, data.x[:3, :, ::-1].copy()).layers, tuned.layers)
    for n, (now, was) in enumerate(zip(tuned.layers, fixed.layers, strict=True)):
        assert ("scales" in learn) == (now.lsb_u != was.lsb_u).any() == (now.lsb_v != was.lsb_v).any()
        leaky = "LIF" in neuron and "TC" not in neuron and now.spiking
        assert ("decays" in learn and leaky) == (now.a_v != was.a_v).any()
        if "gamma" in learn and now.spiking and now.reset == "soft":
            share, own = (layer.r_u / layer.r_v for layer in (now, was))
            assert abs(share / own - float(network.gamma_factors[str(n)].item())).max() < 1e-3
            assert abs(share / own - 1).min() > 0.01
    multipliers = [fixed.output.multiplier, tuned.output.multiplier]
    assert ("scales" in learn) == (multipliers[0] != multipliers[1]).any()


@pytest.mark.slow
def test_a_target_of_one_threshold_a_layer_gets_one_gain_and_one_scale_a_layer():
    machine, data = load_target("loihi2").override(per_neuron_parameters=False), samples()
    network, fixed = quantized(float_network(tclif, True), data, machine, ("scales", "gamma"))
    train(network, encoded(fixed, data), 4, 0.02)
    tuned = network.fixed()
    for now, was in zip(tuned.layers, fixed.layers, strict=True):
        assert now.lsb_v[0] != was.lsb_v[0]
        assert not any(np.ptp(getattr(now, name)) for name in ("threshold", "r_u", "r_v", "lsb_u", "lsb_v"))
        assert (now.threshold[0] != was.threshold[0]) == now.spiking
    assert equal(carried(tuned, machine, data).layers, tuned.layers)
    state = network.float_state()
    assert state["features.0.weight"].shape == (24, 5)


def test_a_scale_alone_moves_no_number_but_the_weights():
    data = samples()
    network, fixed = quantized(float_network(tclif, True), data, load_target("loihi2"), ("scales",))
    assert fixed.output.bias_u.any()  # which compensation put there: the float network's readout has none
    with torch.no_grad():
        for scale in network.log_scales:
            scale.copy_(torch.linspace(-0.4, 0.6, len(scale)))
    moved = network.fixed()
    for now, was, most in zip(moved.layers, fixed.layers, network.max_weights, strict=True):
        assert (now.lsb_u / was.lsb_u).min() < 0.7 < 1.8 < (now.lsb_u / was.lsb_u).max()
        for name in ("bias_u", "b_u", "b_v", "threshold", "r_u", "r_v"):
            lsb = now.lsb_u if name in ("bias_u", "r_u") else now.lsb_v
            apart = abs(moved.to_real(now, name) - fixed.to_real(was, name))
            assert (apart <= np.where(name in ("b_u", "b_v"), 1e-12, 0.51 * lsb)).all(), name
        for c, before in zip(now.connections, was.connections, strict=True):
            size = moved.weight_step(now, c)
            inside = abs(before.weight * fixed.weight_step(was, before) / size) < most
            apart = abs(c.weight * size - before.weight * fixed.weight_step(was, before))
            assert (apart <= 0.5 * size + 0.25 * fixed.weight_step(was, before) + 1e-9)[inside].all()


@pytest.mark.slow
def test_a_layer_without_bias_learns_the_one_that_its_integers_have():
    data, target = samples(), load_target("loihi2")
    network, fixed = quantized(float_network(tclif, False), data, target)
    assert load(torch.nn.Sequential(*float_network(tclif, False).features)).layers[-1].neuron.bias_u.any() == 0
    train(network, encoded(fixed, data), 4, 0.02)
    tuned = network.fixed()
    assert (tuned.output.bias_u != fixed.output.bias_u).all()
    assert equal(carried(tuned, target, data).layers, tuned.layers)
    learned = network.float_state()["features.4.bias"].double().numpy()
    change = tuned.to_real(tuned.output, "bias_u") - fixed.to_real(fixed.output, "bias_u")
    np.testing.assert_allclose(learned, change, atol=tuned.output.lsb_u.max())


@pytest.mark.slow
def test_a_readouts_leak_is_a_decay_that_is_learned_and_carried():
    data = samples()
    model = torch.nn.Sequential(*float_network(tclif, False).features, LeakyReadout(4, 0.8))
    network, target = load(model), load_target("loihi2")
    fixed = quantize(network, target, data)
    tuned = QuantizedNetwork(list(to_module(network).float()), fixed, target, learn=("decays",))
    assert equal(tuned.fixed(), fixed)
    train(tuned, encoded(fixed, data), 4, 0.02)
    now = tuned.fixed()
    assert (now.output.a_v != fixed.output.a_v).all()
    x = torch.from_numpy(encoded(fixed, data).x).float()
    assert_runs_as(tuned, x, simulate(now, data, spikes=True))
    assert equal(carried(now, target, data).layers, now.layers)


def test_a_learned_steps_gradients_are_those_of_rounding_held_still():
    torch.manual_seed(0)
    weight = (2.2 * torch.randn(6, 40, dtype=torch.float64)).requires_grad_()
    step = 0.5 + torch.rand(6, 1, dtype=torch.float64)
    log_scale, limit = (0.3 * torch.randn(6, dtype=torch.float64)).requires_grad_(), 3
    out = on_grid(weight, step, log_scale, limit)
    size = step * log_scale.detach().exp()[:, None]
    counts = (weight.detach() / size).round().clamp(-limit, limit)
    torch.testing.assert_close(out.detach(), counts * size)
    assert 0.02 < (counts.abs() == limit).double().mean() < 0.9

    # the smooth function whose gradients they are: what rounding added at this point stays
    added = counts - (weight.detach() / size).clamp(-limit, limit)

    def smooth(weight, log_scale):
        size = step * log_scale.exp()[:, None]
        return ((weight / size).clamp(-limit, limit) + added) * size

    above = torch.randn_like(out)
    grads = torch.autograd.grad((out * above).sum(), (weight, log_scale))
    near = 1e-6
    for grad, given, index in ((grads[0], weight, (2, slice(None))), (grads[1], log_scale, (slice(None),))):
        for place in np.ndindex(grad[index].shape):
            moved = torch.zeros_like(given)
            moved[index][place] = near
            values = []
            for sign in (1, -1):
                other = given.detach() + sign * moved
                pair = (other, log_scale.detach()) if given is weight else (weight.detach(), other)
                values.append(float((smooth(*pair) * above).sum()))
            assert float(grad[index][place]) == pytest.approx((values[0] - values[1]) / (2 * near), abs=1e-6)


def test_a_scales_gradient_is_what_rounding_adds_to_each_weight():
    """As in Esser et al.: the sum over a neuron's weights of their gradient times (rounded - exact) steps."""
    data, machine = samples(), load_target("loihi2").override(**NARROW)
    model = float_network(tclif, True)
    learning, fixed = quantized(model, data, machine, ("scales",), passes=())
    plain, _ = quantized(model, data, machine, passes=())
    x, labels = torch.from_numpy(encoded(fixed, data).x).float(), torch.from_numpy(data.y)
    for network in (learning, plain):
        torch.nn.functional.cross_entropy(network(x), labels).backward()
    for n, layer in enumerate(fixed.layers):
        expected = torch.zeros(layer.size)
        for mine, weight, c in zip(learning._weights(n), plain._weights(n), layer.connections, strict=True):
            step = torch.from_numpy(fixed.weight_step(layer, c)).float()
            exact = mine.detach() / step
            inside = exact.abs() <= learning.max_weights[n]
            torch.testing.assert_close(mine.grad, weight.grad * inside, rtol=1e-4, atol=1e-6)
            expected += (weight.grad * step * (torch.tensor(c.weight) - exact.where(inside, 0.0))).sum(1)
        assert expected.abs().max() > 1e-6
        torch.testing.assert_close(learning.log_scales[n].grad, expected, rtol=1e-3, atol=1e-6)


def test_on_a_fine_grid_a_decays_gradient_is_the_float_networks():
    data, machine = samples(count=8), load_target("loihi2").override(**FINEST)
    network, fixed = quantized(float_network(lambda size: PLIF(1.0), True), data, machine, ("decays",))
    network.features.append(LeakyReadout(4, 0.9))
    model = load(torch.nn.Sequential(*network.features))
    fixed = quantize(model, machine, data)
    tuned, exact = (list(to_module(model, plif=True).float()) for _ in range(2))
    tuned, exact = QuantizedNetwork(tuned, fixed, machine, learn=("decays",)), SequenceNetwork(exact)
    labels = torch.from_numpy(data.y)
    for net, x in ((tuned, encoded(fixed, data).x), (exact, data.values())):
        torch.nn.functional.cross_entropy(net(torch.from_numpy(x).float(), dtype=torch.bfloat16), labels).backward()
    names = [name for name, _ in exact.named_parameters() if name.endswith((".w", ".leak"))]
    assert len(names) == 3
    for name in names:
        grads = [dict(net.named_parameters())[name].grad for net in (exact, tuned)]
        assert grads[0].abs().max() > 1e-5
        assert (grads[1] - grads[0]).norm() / grads[0].norm() < 0.03, name


@pytest.mark.parametrize("detached", [False, True])
def test_gammas_gradient_is_autograds(detached):
    torch.manual_seed(4)
    r_u = (0.4 + 0.2 * torch.rand(9)).requires_grad_()
    x, weight, recurrent = torch.randn(30, 4, 5), torch.randn(9, 5), 0.3 * torch.randn(9, 9)
    c = TCLIF(1.1).coefficients(weight)
    u = v = s = torch.zeros(4, 9)
    potential, spikes = [], []
    for current in x @ weight.t():
        u = c.a_u * u + c.b_u * v + current + s @ recurrent.t()
        v = c.a_v * v + c.b_v * u
        potential.append(v)
        s = spike(v - c.threshold)
        gate = s.detach() if detached else s
        u, v = u - r_u * gate, v - c.r_v * gate
        spikes.append(s)
    fired = torch.stack(spikes)
    assert 0.05 < fired.mean() < 0.6
    grad = torch.randn_like(fired).bfloat16()
    (expected,) = torch.autograd.grad((fired * grad).sum(), r_u)
    numbers = (c.a_u, c.b_u, c.a_v, c.b_v, c.threshold, r_u, c.r_v, c.v_reset)
    numbers = tuple((value.detach() + torch.zeros(9)).numpy() for value in numbers)
    gradients = layer_gradients(
        x, weight, recurrent, numbers, False, numbers[4], detached, "triangle", torch.stack(potential).detach(),
        fired.detach().bfloat16(), grad, want_input=False, want_r_u=True,
    )  # fmt: skip
    assert gradients.gain.numel() == 0
    torch.testing.assert_close(gradients.r_u, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("factors", "taken"), [((1.25, 0.8), True), ((1.25, 2.5), False)])
def test_the_masters_checkpoint_holds_gamma_in_the_couplings_where_they_can(factors, taken):
    data, machine = samples(count=8), load_target("loihi2").override(**FINEST)
    network, fixed = quantized(float_network(tclif, True), data, machine, ("gamma",))
    exact = SequenceNetwork(list(to_module(load(torch.nn.Sequential(*network.features))).float()))
    real, integers = torch.from_numpy(data.values()).float(), torch.from_numpy(encoded(fixed, data).x).float()
    before = exact.spikes(real)
    with torch.no_grad():
        for factor, value in zip(network.gamma_factors.values(), factors, strict=True):
            factor.fill_(value)
        network.gains[1].mul_(1.1)
    assert network.gammas == [0.5, 0.5 if taken else pytest.approx(1.25)]
    state = network.float_state()
    for name in ("features.1.hid_weight", "features.3.hid_weight", "features.4"):  # which the float network lacks
        assert not state.pop(f"{name}.bias").any()
    exact.load_state_dict(state)
    exact.features[3].sub_module.gamma = network.gammas[1]
    for one, other, old in zip(network.spikes(integers), exact.spikes(real), before, strict=True):
        assert (one.float() != other).float().mean() < 0.005
        assert (one.float() != old).float().mean() > 0.02


def test_what_may_be_learned_is_said_by_name():
    assert TuneSettings(learn=("gamma", "scales")).learn == ("gamma", "scales")
    with pytest.raises(TclifError, match=r"learn.*'thresholds'.*known: scales, decays, gamma"):
        TuneSettings(learn=("thresholds",))


@pytest.fixture
def digits(tmp_path):
    return some_digits(tmp_path)


def tune(model, data, *options):
    return runner.run([
        "finetune", str(model), "--data", str(data), "--task", "digits", "-o", str(data / "build"), "--backend", "none",
        "--passes", "none", "--epochs", "1", "--batch-size", "8", "--lr", "2e-3", "--no-control", "--allow-misfit",
        "--min-agreement", "0", "--max-accuracy-drop", "1", *map(str, options),
    ])  # fmt: skip


@pytest.mark.slow
def test_the_command_builds_scales_and_gamma_and_compile_writes_the_same(digits, capsys, monkeypatch):
    model, options = DIGITS / "checkpoint.pth.tar", ("--weight-bits", 3, "--learn", "scales,gamma")

    def stop(*anything, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tclif_deploy.workflows.finetune.write_build", stop)
        assert tune(model, digits, *options) == 130
    assert tune(model, digits, "--weight-bits", 3, "--learn", "gamma") == 2  # another training
    assert "give the same settings to resume it" in " ".join(capsys.readouterr().err.split())
    assert tune(model, digits, *options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["finetune"]["learn"] == ["scales", "gamma"]
    build = digits / "build"
    fixed, test = FixedNetwork.load(build / "fixed.npz"), load_data(digits / "test.npz")
    words = [
        "compile",
        str(build / "tuned" / "network.npz"),
        "--weight-bits",
        "3",
        "--data",
        str(digits / "test.npz"),
        "--min-agreement",
        "0",
        "--max-accuracy-drop",
        "1",
        "--backend",
        "none",
        "-o",
        str(digits / "again"),
    ]
    assert runner.run(words) == 0, capsys.readouterr().err
    assert equal(FixedNetwork.load(digits / "again" / "fixed.npz").layers, fixed.layers)
    tuned = load(build / "tuned" / "checkpoint.pth.tar")
    assert simulate(tuned, test).classes.shape == (64,)
    assert runner.run(["show", str(build)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_a_tuned_leaky_network_is_read_with_the_decays_and_the_reset_that_it_learned(digits, reset, capsys):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(13, 32), PLIF(0.5, reset=reset), torch.nn.Linear(32, 10))
    with torch.no_grad():
        model[0].weight.mul_(3)
    save(model, digits / "model.pt")
    assert tune(digits / "model.pt", digits, "--learn", "decays") == 0, capsys.readouterr().err
    tuned = digits / "build" / "tuned"
    masters, meant = load(tuned / "checkpoint.pth.tar").layers[0].neuron, load(tuned / "network.npz").layers[0].neuron
    was = load(digits / "model.pt").layers[0].neuron
    assert masters.reset == meant.reset == reset
    np.testing.assert_allclose(masters.a_v, meant.a_v, atol=2**-12)
    assert abs(masters.a_v - was.a_v).min() > 1e-4
    shutil.rmtree(digits / "build")
    assert tune(digits / "model.pt", digits) == 0, capsys.readouterr().err
    assert not (tuned / "args.json").exists()  # no file of the authors' form says how much such a LIF forgets
    kept = load(tuned / "network.npz").layers[0].neuron
    assert abs(kept.a_v - was.a_v).max() < 2**-12


@pytest.mark.parametrize(
    ("neuron", "learn", "lacking"),
    [("PLIF", "gamma", "a TC-LIF dendrite that a soft reset lowers"), ("TC-LIF, hard reset", "gamma", "a soft reset")],
)
def test_what_a_network_has_not_is_not_learned(neuron, learn, lacking):
    with pytest.raises(TclifError, match=rf"learn {learn}: no layer of this network has .*{lacking}.*leave it out"):
        quantized(float_network(NEURONS[neuron], False), samples(), load_target("loihi2"), (learn,))


def test_what_was_chosen_for_the_circuit_is_remembered():
    options = BuildOptions(backend="rtl", backend_samples=2, rtl_lanes=4, rtl_pipelines=2)
    choices = choices_of(options)
    assert (choices.backend, choices.backend_samples, choices.rtl_lanes, choices.rtl_pipelines) == ("rtl", 2, 4, 2)
    assert choices.auto_bits_max_drop is None
