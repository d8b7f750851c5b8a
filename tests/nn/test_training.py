"""The trainer: it learns, resumes after a kill, keeps the last good checkpoint, and says what is wrong."""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tclif_deploy import load
from tclif_deploy.cli.main import run
from tclif_deploy.data import Dataset
from tclif_deploy.data.shifts import Shifts
from tclif_deploy.data.windows import sliding_windows
from tclif_deploy.errors import TclifError
from tclif_deploy.nn import build
from tclif_deploy.nn.checkpoint import load_torch, load_weights, save_torch
from tclif_deploy.nn.config import TrainConfig, TuneSettings, rate_at
from tclif_deploy.nn.fit import resume_path
from tclif_deploy.nn.objective import losses
from tclif_deploy.nn.train import train
from tclif_deploy.nn.trainer import Trainer
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.mnist_files import write_mnist


def write_task(folder, samples=160, time=12, features=13, classes=10, lengths=True):
    """Sequences in which the class's own feature is active, of 6 to ``time`` steps."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for split in ("train", "test"):
        y = np.arange(samples) % classes
        x = rng.integers(-20, 21, (samples, time, features))
        x[np.arange(samples), :, y] += 60
        steps = rng.integers(6, time + 1, samples)
        x[np.arange(time)[None] >= steps[:, None]] = 0
        arrays = {"lengths": steps} if lengths else {}
        np.savez(folder / f"{split}.npz", x=x.astype(np.int8), y=y, scale=1 / 32, **arrays)
    return folder


@pytest.fixture
def config(tmp_path):
    data = write_task(tmp_path / "data")
    return TrainConfig(
        "digits-rec", data, tmp_path / "run" / "model.pth.tar", epochs=4, batch_size=32, lr=5e-3, warmup=0.5
    )


def weights(path):
    return load_torch(path)["state_dict"]


def assert_same_weights(one, two):
    assert one.keys() == two.keys()
    for key in one:
        assert torch.equal(one[key], two[key]), key


@pytest.mark.slow
def test_training_learns_and_our_front_end_reads_the_result(config):
    lines, counted = [], []
    result = train(config, progress=lambda done, total: counted.append((done, total)), say=lines.append)
    assert result.history[-1].test > 0.95
    assert result.history[0].loss > 2 * result.history[-1].loss
    assert len(lines) == 4
    assert "rates 0." in lines[0]
    assert counted[-1] == (640, 640)
    assert not resume_path(config.out).exists()
    network = load(config.out)
    data = np.load(config.data / "test.npz")
    simulated = simulate_float(network, data["x"] / 32, lengths=data["lengths"])
    assert (simulated.classes == data["y"]).mean() == pytest.approx(result.history[-1].test, abs=0.02)
    for spikes in simulated.spikes.values():
        assert 0.01 < spikes.mean() < 0.6
    assert {v.dtype for v in weights(config.out).values()} == {torch.float32}


def test_a_run_is_the_same_bytes_whatever_the_number_of_threads(config):
    one = train(replace(config, threads=1, epochs=1))
    two = train(replace(config, threads=2, epochs=1, out=config.out.with_name("two")))
    assert_same_weights(weights(one.path), weights(two.path))


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_weights(config):
    script = (
        "import os, signal, sys; from pathlib import Path; from tclif_deploy.nn.train import TrainConfig, train\n"
        "def meanwhile(done, total): done < 0.6 * total or os.kill(os.getpid(), signal.SIGKILL)\n"
        "train(TrainConfig('digits-rec', Path(sys.argv[1]), Path(sys.argv[2]), epochs=4, batch_size=32, lr=5e-3,"
        " warmup=0.5), meanwhile)"
    )
    out = config.out.with_name("killed.pth.tar")
    command = [sys.executable, "-c", script, str(config.data), str(out)]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert resume_path(out).exists()
    assert weights(out).keys() == build("digits-rec").state_dict().keys()
    lines = []
    resumed = train(replace(config, out=out), say=lines.append)
    assert len(lines) == 2  # it was killed in the third epoch
    assert len(resumed.history) == 4
    train(config)
    assert_same_weights(weights(out), weights(config.out))


def test_a_loss_that_is_not_a_number_stops_and_leaves_nothing(config, tmp_path):
    state = build("digits-rec").state_dict()
    huge = {key: value.sign() * 3e38 if key.endswith("weight") else value for key, value in state.items()}
    torch.save({"state_dict": huge}, tmp_path / "huge.pt")  # sums of them are more than float32 holds
    with pytest.raises(TclifError, match=r"epoch 1, step \d+: the loss is not a number; nothing was written; try a sm"):
        train(replace(config, start=tmp_path / "huge.pt"))
    assert not config.out.parent.exists()


@pytest.mark.parametrize("lr", [1e2, 1e6])
def test_steps_that_leave_no_neuron_possible_are_said_to_be_too_large(config, lr):
    with pytest.raises(TclifError, match=r"epoch 1.*; nothing was written; try a smaller --lr"):
        train(replace(config, lr=lr, warmup=0.0))
    assert train(replace(config, epochs=1)).best == 1  # what it left keeps nobody from trying again
    with pytest.raises(TclifError, match=r"lr is 1e\+300; expected a number, above 0, 1,000,000"):
        replace(config, lr=1e300)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_no_start(config, value, tmp_path):
    state = build("digits-rec").state_dict()
    key = next(name for name in state if name.endswith("weight"))
    state[key][0, 0] = value
    torch.save({"state_dict": state}, tmp_path / "w.pt")
    with pytest.raises(TclifError, match=rf"w.pt: {key} holds values that are not numbers, or infinite; give another"):
        train(replace(config, start=tmp_path / "w.pt"))


def test_a_full_disk_leaves_the_old_checkpoint_intact(tmp_path):
    path = tmp_path / "model.pth.tar"
    save_torch(path, {"state_dict": {"a": torch.ones(3)}})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))  # what a full disk does, for this process alone
    try:
        with pytest.raises(TclifError, match=r"model.pth.tar: cannot be written .*is intact"):
            save_torch(path, {"state_dict": {"a": torch.ones(100_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["model.pth.tar"]
    assert weights(path)["a"].tolist() == [1, 1, 1]


def test_training_stops_early_where_validation_no_longer_rises(config):
    result = train(replace(config, lr=1e-9, validation=40, patience=2, epochs=9))
    assert result.stopped_early
    assert result.best == 1
    assert len(result.history) == 3


def test_learned_samples_are_shown_less_often(config):
    shown = []
    step = Trainer.step
    try:
        Trainer.step = lambda self, data, index, *rest: shown.append(len(index)) or step(self, data, index, *rest)
        result = train(replace(config, epochs=5, min_sample_probability=0.2))
    finally:
        Trainer.step = step
    assert sum(shown) < 0.8 * 5 * 160
    assert result.history[-1].test > 0.95


def test_micro_batches_sum_to_the_whole_batchs_gradient(config):
    x = np.random.default_rng(1).integers(0, 60, (40, 12, 13), np.uint8)
    data = Dataset(x, np.arange(40) % 10, 1 / 32)
    network = build("digits-rec", seed=1)
    trainer = Trainer(network, replace(config, clip=1e9))
    trainer.dtype = None
    before = [p.detach().clone() for p in network.parameters()]
    trainer.step(data, np.arange(40), 1e-3)
    grads = [p.grad.clone() for p in network.parameters()]
    for parameter, value in zip(network.parameters(), before, strict=True):
        parameter.data.copy_(value)
    loss = torch.nn.functional.cross_entropy(network(torch.tensor(x) / 32), torch.tensor(data.y))
    for grad, expected in zip(grads, torch.autograd.grad(loss, list(network.parameters())), strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_the_rate_warms_up_and_decays_to_zero():
    config = TrainConfig("smnist-ff", None, Path("x"), epochs=10, lr=2.0, warmup=2.0)
    rates = [rate_at(config, done) for done in (0.5, 1, 2, 6, 10)]
    assert rates[:3] == [0.5, 1.0, 2.0]
    assert rates[3:] == pytest.approx([1.0, 0.0])
    assert rate_at(replace(config, schedule="constant"), 9) == 2.0


def test_psmnist_stores_the_permutation_it_trained_on(tmp_path):
    write_mnist(tmp_path / "mnist")
    config = TrainConfig("psmnist-ff", tmp_path / "mnist", tmp_path / "out" / "m.pth.tar", epochs=1, seed=5)
    train(config)
    permutation = np.load(tmp_path / "out" / "permutation.npy")
    assert sorted(permutation) == list(range(16))
    assert list(permutation) != list(range(16))
    args = json.loads((tmp_path / "out" / "args.json").read_text())
    assert (args["threshold"], args["gamma"], args["task"]) == (1.5, 0.7, "PSMNIST")


def test_a_permutation_belongs_to_the_task_and_not_to_the_seed(tmp_path):
    write_mnist(tmp_path / "mnist")
    first = TrainConfig("psmnist-ff", tmp_path / "mnist", tmp_path / "first" / "m.pth.tar", epochs=1, seed=5)
    train(first)
    permutation = np.load(first.out.parent / "permutation.npy")

    on = replace(first, out=tmp_path / "on" / "m.pth.tar", start=first.out, seed=6)
    train(on)
    np.testing.assert_array_equal(np.load(on.out.parent / "permutation.npy"), permutation)

    other = replace(first, out=tmp_path / "other" / "m.pth.tar", seed=7)
    train(other)
    before = (other.out.parent / "permutation.npy").read_bytes()
    with pytest.raises(TclifError, match=r"other/permutation.npy: is another order of pixels than that of .*first/"):
        train(replace(other, start=first.out))
    assert (other.out.parent / "permutation.npy").read_bytes() == before

    left = replace(first, out=tmp_path / "left" / "m.pth.tar", seed=8)
    train(left)
    left.out.unlink()  # what an interrupted start leaves: args.json and the order
    before = np.load(left.out.parent / "permutation.npy")
    (left.out.parent / "args.json").unlink()
    for path in left.out.parent.glob("*.log"):
        path.unlink()
    train(replace(left, seed=9))
    assert not np.array_equal(np.load(left.out.parent / "permutation.npy"), before)

    (first.out.parent / "permutation.npy").unlink()
    lines: list[str] = []
    train(replace(on, out=tmp_path / "lost" / "m.pth.tar"), say=lines.append)
    assert "has no permutation.npy beside it, so that its order of pixels is not known; seed 6 draws one" in lines[0]


@pytest.mark.parametrize(("content", "message"), [
    (np.arange(15), "the order of pixels beside the network has 15, the samples 16 steps"),
    (np.zeros(16, np.int64), "is no order of the numbers 0 to 15"),
    (np.arange(16.0), "holds no list of whole numbers"),
    (None, "cannot be read"),
])  # fmt: skip
def test_a_permutation_that_is_none_is_said(tmp_path, content, message):
    write_mnist(tmp_path / "mnist")
    first = TrainConfig("psmnist-ff", tmp_path / "mnist", tmp_path / "first" / "m.pth.tar", epochs=1)
    train(first)
    if content is None:
        (first.out.parent / "permutation.npy").write_bytes(b"no array")
    else:
        np.save(first.out.parent / "permutation.npy", content)
    with pytest.raises(TclifError, match=message):
        train(replace(first, out=tmp_path / "on" / "m.pth.tar", start=first.out))
    assert not (tmp_path / "on" / "m.pth.tar").exists()


def test_label_smoothing_changes_what_is_learned_and_not_what_is_printed(config):
    once = replace(config, epochs=1, lr=1e-12)
    plain = train(once)
    smooth = train(replace(once, label_smoothing=0.2, out=config.out.parent / "smooth" / "m"))
    assert smooth.history[0].loss == pytest.approx(plain.history[0].loss, rel=1e-5)
    far = replace(config, epochs=2)
    one = train(replace(far, out=config.out.parent / "a" / "m"))
    two = train(replace(far, label_smoothing=0.2, out=config.out.parent / "b" / "m"))
    assert one.history[1].loss < two.history[1].loss
    said, y = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([0])
    expected = -(0.8 * said.log_softmax(1)[0, 0] + 0.2 * said.log_softmax(1)[0].mean())
    torch.testing.assert_close(losses(said, y, "label", torch.ones(1, 1), 0.2)[0], expected)


def test_the_average_of_the_weights_is_what_is_measured_and_written(config):
    plain = train(replace(config, epochs=2, out=config.out.parent / "plain" / "m"))
    averaged = train(replace(config, epochs=2, average=0.9, out=config.out.parent / "averaged" / "m"))
    assert [e.loss for e in plain.history] == [e.loss for e in averaged.history]  # the steps are the same
    assert any(not torch.equal(w, weights(plain.path)[key]) for key, w in weights(averaged.path).items())
    network = load(averaged.path)
    data = np.load(config.data / "test.npz")
    classes = simulate_float(network, data["x"] / 32, lengths=data["lengths"]).classes
    assert (classes == data["y"]).mean() == pytest.approx(averaged.history[-1].test, abs=0.02)


def test_the_average_is_exponential():
    network = build("digits-rec")
    rng = np.random.default_rng(0)
    data = Dataset(rng.normal(0, 1, (8, 12, 13)), rng.integers(0, 10, 8), name="random")
    expected: dict[str, torch.Tensor] = {}
    with Trainer(network, TrainConfig("digits-rec", None, Path("nowhere"), lr=0.01, average=0.8)) as trainer:
        for _ in range(4):
            trainer.step(data, np.arange(8), 0.01)
            now = {key: value.clone() for key, value in network.state_dict().items()}
            expected = {key: 0.8 * expected[key] + 0.2 * value for key, value in now.items()} if expected else now
        for key, value in trainer.judged.state_dict().items():
            torch.testing.assert_close(value, expected[key])


@pytest.mark.parametrize(("before", "after"), [
    ({}, {"label_smoothing": 0.1}), ({"label_smoothing": 0.1}, {}), ({}, {"average": 0.9}),
    ({"average": 0.9}, {"average": 0.99}),
])  # fmt: skip
def test_a_training_by_other_settings_is_not_replaced(config, before, after):
    once = replace(config, epochs=1)
    train(replace(once, **before))
    kept = {path.name: path.read_bytes() for path in config.out.parent.iterdir()}
    with pytest.raises(TclifError, match=r"is of a training with (label_smoothing|average) "):
        train(replace(once, **after))
    assert {path.name: path.read_bytes() for path in config.out.parent.iterdir()} == kept


@pytest.mark.parametrize("order", [None, np.random.default_rng(3).permutation(16)])
def test_an_image_is_moved_as_a_whole_whatever_the_order_of_its_pixels(order):
    shown = np.random.default_rng(0).integers(1, 256, (9, 4, 4)).astype(np.uint8)
    rows = shown.reshape(9, 16, 1)
    data = Dataset(rows if order is None else rows[:, order], name="images")
    shifts = Shifts(data, 1, order)
    moved = shifts.moved(data.x, np.arange(9))
    assert len(shifts) == 9
    assert moved.dtype == np.uint8
    back = np.arange(16) if order is None else np.argsort(order)
    seen = moved[:, back, 0].reshape(9, 4, 4)
    moves = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    for image, result, (down, right) in zip(shown, seen, moves, strict=True):
        wide = np.pad(image, 1)
        np.testing.assert_array_equal(result, wide[1 - down : 5 - down, 1 - right : 5 - right])


def test_shifted_images_change_the_training_and_not_the_test(tmp_path):
    write_mnist(tmp_path / "mnist", side=14)
    once = TrainConfig("psmnist-rec", tmp_path / "mnist", tmp_path / "plain" / "m", epochs=2, lr=1e-12, seed=4)
    plain = train(once)
    moved = train(replace(once, shift=1, out=tmp_path / "moved" / "m"))
    assert [(e.test, e.rates) for e in plain.history] == [(e.test, e.rates) for e in moved.history]
    losses = [[e.loss for e in run.history] for run in (plain, moved)]
    assert losses[0] != losses[1]
    assert losses[0][0] == pytest.approx(losses[0][1], rel=1e-6)
    assert losses[1][0] != pytest.approx(losses[1][1], rel=1e-6)  # other moves in each epoch
    assert json.loads((tmp_path / "moved" / "args.json").read_text())["shift"] == 1
    assert "shift" not in json.loads((tmp_path / "plain" / "args.json").read_text())
    with pytest.raises(TclifError, match="is of a training with shift 0, not 1"):
        train(replace(once, shift=1))


def test_a_killed_training_on_shifted_images_resumes_to_the_same_bytes(tmp_path):
    write_mnist(tmp_path / "mnist")
    on = TrainConfig("smnist-rec", tmp_path / "mnist", tmp_path / "whole" / "m", epochs=3, shift=2, batch_size=16)
    whole = train(on)
    stopped = replace(on, out=tmp_path / "stopped" / "m")

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stopped, say=stop)
    assert_same_weights(weights(train(stopped).path), weights(whole.path))


@pytest.mark.parametrize(("model", "most", "message"), [
    ("smnist-ff-40", 1, r"shift is of square images, a pixel a step; .* has 49 steps of 40 features; leave it out"),
    ("mackey-glass", 1, r"shift is of square images, a pixel a step; .* has 250 steps of 1 feature; leave it out"),
    ("smnist-ff", 7, "shift is 7, and the images have 7 pixels a side; at most 6"),
])  # fmt: skip
def test_what_is_no_image_is_not_shifted(tmp_path, model, most, message):
    write_mnist(tmp_path / "mnist", side=7)
    folder = None if model == "mackey-glass" else tmp_path / "mnist"
    with pytest.raises(TclifError, match=message):
        train(TrainConfig(model, folder, tmp_path / "run" / "m", epochs=1, shift=most))
    assert not (tmp_path / "run").exists()


def test_targets_of_steps_and_uneven_samples_are_not_shifted():
    x = np.ones((3, 16, 1))
    with pytest.raises(TclifError, match="data has targets of task step-label, which would stay where they are"):
        Shifts(Dataset(x, np.zeros((3, 16), np.int64)), 1)
    with pytest.raises(TclifError, match="data has samples of different lengths; leave it out"):
        Shifts(Dataset(x, lengths=np.array([16, 3, 9])), 1)


def test_labels_are_smoothed_and_numbers_are_not():
    with pytest.raises(TclifError, match="label_smoothing is of labels"):
        train(TrainConfig("mackey-glass", None, Path("nowhere/m"), epochs=1, label_smoothing=0.1))


def test_a_killed_training_resumes_to_the_same_average(config):
    whole = train(replace(config, average=0.9, epochs=3, out=config.out.parent / "whole" / "m"))
    stopped = replace(config, average=0.9, epochs=3, out=config.out.parent / "stopped" / "m")

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stopped, say=stop)
    resumed = train(stopped)
    assert len(resumed.history) == 3
    for key, value in weights(whole.path).items():
        assert torch.equal(value, weights(resumed.path)[key])


def test_windows_stay_at_the_end():
    x = sliding_windows(np.arange(10).reshape(1, 10, 1), 4)
    assert x[0, 0].tolist() == [0, 1, 2, 3]
    assert x[0, 5:].tolist() == [[5, 6, 7, 8], [6, 7, 8, 9], [6, 7, 8, 9], [6, 7, 8, 9], [6, 7, 8, 9]]


def test_training_begins_with_given_weights(config):
    first = train(replace(config, epochs=1))
    continued = train(replace(config, epochs=1, lr=1e-12, start=first.path, out=config.out.parent / "on" / "model"))
    for key, value in weights(continued.path).items():
        torch.testing.assert_close(value, weights(first.path)[key], rtol=0, atol=1e-9)
    with pytest.raises(TclifError, match="start from the same model"):
        load_weights(first.path, build("shd-ff"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "mnist"}, "known: smnist-ff"),
        ({"data": Path("nowhere")}, "nowhere: no such folder; give the folder"),
        ({"model": "smnist-ff"}, "13 features a step; smnist-ff takes 1"),
        ({"data": None, "model": "smnist-ff"}, "--data DIR"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"validation": 160}, "160 of 160 training samples"),
        ({"start": Path("none.pt")}, "none.pt"),
    ],
)
def test_wrong_settings_are_named(config, change, message):
    with pytest.raises(TclifError, match=message):
        train(replace(config, **change))


def test_the_old_name_of_min_sample_probability_is_taken_and_given_with_a_warning():
    for make in (TuneSettings, lambda **arguments: TrainConfig("smnist-ff", **arguments)):
        with pytest.warns(DeprecationWarning, match=r"easy is min_sample_probability now; .* 0\.3"):
            settings = make(easy=0.2)
        assert settings.min_sample_probability == 0.2
        with pytest.warns(DeprecationWarning, match="easy is min_sample_probability now"):
            assert settings.easy == 0.2


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.0},
        {"epochs": 0},
        {"warmup": -1.0},
        {"patience": 3},
        {"min_sample_probability": 0.0},
        {"schedule": "linear"},
    ],
)
def test_settings_out_of_range_are_refused(config, change):
    with pytest.raises(TclifError, match=next(iter(change))):
        replace(config, **change)


def test_labels_out_of_range_and_missing_labels_are_named(config):
    path = config.data / "train.npz"
    data = dict(np.load(path))
    np.savez(path, **{**data, "y": data["y"] + 1})
    with pytest.raises(TclifError, match=r"labels lie in 1..10; digits-rec has the classes 0..9"):
        train(config)
    del data["y"]
    np.savez(path, **data)
    with pytest.raises(TclifError, match="has no labels"):
        train(config)


def test_a_state_of_another_run_is_refused(config):
    class Stop(Exception):
        pass

    def stop(line):
        raise Stop

    with pytest.raises(Stop):
        train(config, say=stop)
    with pytest.raises(
        TclifError, match=r"is of a training with lr 0.005, not 0.001; give the same settings to resume it, or"
    ):
        train(replace(config, lr=1e-3))
    args = config.out.with_name("args.json")
    args.unlink()
    config.out.unlink()
    with pytest.raises(TclifError, match=r"belongs to a training with lr 0.005, not 0.001"):
        train(replace(config, lr=1e-3))


def test_a_finished_training_of_other_settings_is_not_replaced(config):
    train(replace(config, epochs=1))
    kept = {path.name: path.read_bytes() for path in config.out.parent.iterdir()}
    with pytest.raises(
        TclifError, match=r"args.json: is of a training with seed 0, not 3; choose an --output in another"
    ):
        train(replace(config, epochs=1, seed=3))
    with pytest.raises(TclifError, match=r"args.json: is of a training with seed 0, not 3"):  # another name beside it
        train(replace(config, epochs=1, seed=3, out=config.out.with_name("other")))
    assert {path.name: path.read_bytes() for path in config.out.parent.iterdir()} == kept
    for epochs in (1, 3):  # of the same ones neither
        with pytest.raises(TclifError, match="holds a finished training of these settings; --start goes on from it"):
            train(replace(config, epochs=epochs))
    assert {path.name: path.read_bytes() for path in config.out.parent.iterdir()} == kept
    fit_again = replace(config, epochs=1, out=config.out.parent.with_name("again") / config.out.name)
    train(fit_again)
    assert fit_again.out.read_bytes() == kept[config.out.name]


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_kill_between_state_and_checkpoint_costs_neither(config, epochs):
    whole = replace(config, epochs=2, out=config.out.parent.with_name("whole") / config.out.name)
    train(whole)
    stopped = replace(config, epochs=2)
    stopped_state(stopped, epochs=epochs)
    config.out.unlink()  # the state is written first
    config.out.with_name(f"{config.out.name}.log").unlink()
    assert len(train(stopped).history) == 2
    for name in (config.out.name, "args.json"):
        assert config.out.with_name(name).read_bytes() == whole.out.with_name(name).read_bytes()


def test_an_empty_output_is_one_line(capsys):
    assert run(["train", "mackey-glass", "-o", ""]) == 2
    assert "error: --output is empty; give the checkpoint's file" in capsys.readouterr().err


def test_a_refused_training_changes_nothing(config):
    stopped_state(config, epochs=2)
    kept = {path.name: path.read_bytes() for path in config.out.parent.iterdir()}
    with pytest.raises(TclifError, match="2 epochs are done, --epochs asks for 1"):
        train(replace(config, epochs=1))
    assert {path.name: path.read_bytes() for path in config.out.parent.iterdir()} == kept
    resume_path(config.out).write_bytes(kept[resume_path(config.out).name][:100])
    kept = {path.name: path.read_bytes() for path in config.out.parent.iterdir()}
    with pytest.raises(TclifError, match="; remove the file to start anew"):
        train(replace(config, epochs=7))
    assert {path.name: path.read_bytes() for path in config.out.parent.iterdir()} == kept


def test_other_data_of_the_same_size_are_another_training(config):
    stopped_state(config)
    arrays = dict(np.load(config.data / "train.npz"))
    np.savez(config.data / "train.npz", **{**arrays, "y": np.roll(arrays["y"], 1)})
    with pytest.raises(TclifError, match=r"belongs to a training on other data than .*train.npz; give the same data"):
        train(config)
    np.savez(config.data / "train.npz", **arrays)
    assert len(train(config).history) == config.epochs


def test_a_training_that_diverges_late_keeps_the_last_good_epoch(config):
    late = replace(config, lr=160.0, warmup=4.0)
    hint = "holds epoch 1; try a smaller --lr or --clip, or a longer --warmup, with another --output"
    with pytest.raises(TclifError, match=rf"epoch 2.*: the last step was so large .*{hint}"):
        train(late)
    one = replace(late, out=config.out.parent.with_name("one") / config.out.name)
    stopped_state(one)
    assert_same_weights(weights(config.out), weights(one.out))


def test_a_checkpoint_of_somebody_else_is_not_replaced(config):
    config.out.parent.mkdir(exist_ok=True)
    config.out.write_bytes(b"mine")
    with pytest.raises(TclifError, match=r"is there already, and no args.json beside it says how it was trained"):
        train(replace(config, epochs=1))
    assert [path.name for path in config.out.parent.iterdir()] == [config.out.name]
    config.out.with_name("args.json").write_text("[1]")
    with pytest.raises(TclifError, match=r"args.json: is of no training"):
        train(replace(config, epochs=1))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("settings"), lambda state: state.update(settings=[1]),
        lambda state: state.update(state_dict=3), lambda state: state["state_dict"].popitem(),
        lambda state: state["state_dict"].update(x=torch.ones(2, dtype=torch.complex64)),
        lambda state: state.update(chances=torch.ones(7, 7)), lambda state: state.update(history=[{}]),
        lambda state: state["history"][0].update(epoch=torch.ones(3)), lambda state: state["history"][0].update(lr="x"),
        lambda state: state["history"][0].update(rates=3), lambda state: state["optimizer"].clear(),
        lambda state: state["optimizer"]["state"].update({0: torch.ones(2)}),
        lambda state: state["optimizer"]["state"][0].update(exp_avg=torch.ones(2, 2)),
        lambda state: state["optimizer"]["state"][0].pop("exp_avg_sq"),
    ],
)  # fmt: skip
def test_a_damaged_state_is_refused_in_one_line(config, change):
    state = stopped_state(config)
    change(state)
    torch.save(state, resume_path(config.out))
    with pytest.raises(TclifError, match=r"not a state to resume from .*; remove the file to start anew"):
        train(config)


def stopped_state(config, epochs=1):
    """What a training that was stopped after so many epochs left."""

    class Stop(Exception):
        pass

    lines = []

    def stop(line):
        lines.append(line)
        if len(lines) == epochs:
            raise Stop

    with pytest.raises(Stop):
        train(config, say=stop)
    return torch.load(resume_path(config.out), weights_only=True)


def test_the_command_prints_a_line_an_epoch_where_no_terminal_is(config, capsys):
    argv = ["train", config.model, "--data", str(config.data), "-o", str(config.out), "--batch-size", "32"]
    assert run([*argv, "--epochs", "2", "--warmup", "0.5"]) == 0
    printed = capsys.readouterr()
    assert [line[:9] for line in printed.err.splitlines() if line.startswith("epoch")] == ["epoch   1", "epoch   2"]
    assert printed.out.startswith(f"{config.out}: epoch 2, ")
