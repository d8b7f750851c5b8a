"""A build folder as one value: read back equal, damaged files named, schemas that hold, one calibration policy."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tclif_deploy as tc
from tclif_deploy.builds.schema import FORMS, path_of, schema
from tclif_deploy.cli.main import run
from tclif_deploy.comparison import equal
from tclif_deploy.formats.network_file import read_network, write_network
from tclif_deploy.network import INPUT, Connection, Layer, Network
from tclif_deploy.nn import TCLIF
from tests.helpers.requirements import needs_module
from tests.helpers.tclif_networks import tclif_network

FIXTURES = Path(__file__).parents[2] / "fixtures"
FILES = ("manifest.json", "report.json", "network.npz", "fixed.npz")
"""every build has them, whole"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(model, data) of a tiny network; no calibration data beside it."""
    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(1)
    tc.save(torch.nn.Sequential(torch.nn.Linear(2, 6), TCLIF(threshold=0.5), torch.nn.Linear(6, 3)), folder / "m.pt")
    rng = np.random.default_rng(0)
    np.savez(folder / "d.npz", x=rng.integers(0, 200, (12, 30, 2)), y=rng.integers(0, 3, 12), scale=1 / 255)
    return folder / "m.pt", folder / "d.npz"


@pytest.fixture(scope="module")
def build(small, tmp_path_factory):
    model, data = small
    folder = tmp_path_factory.mktemp("built") / "b"
    options = tc.CompileOptions(backend="c", samples=8, requirements=tc.Requirements(min_agreement=0.0))
    return tc.compile(model, data=data, output=folder, options=options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smnist_ff", "smnist_rec", "psmnist_ff", "psmnist_rec", "spoken_digits"])
def test_the_build_of_every_fixture_is_read_back_equal(name, tmp_path):
    folder = FIXTURES / name
    options = tc.CompileOptions(samples=2, backend="none")
    made = tc.compile(folder / "checkpoint.pth.tar", data=folder / "test.npz", output=tmp_path / "b", options=options)
    again = tc.Build.open(tmp_path / "b")
    assert again == made
    assert equal(again.network, tc.load(folder / "checkpoint.pth.tar"))
    assert again.verdict == made.verdict
    assert again.calibration.kind == "beside_model"
    assert np.array_equal(again.calibration.load().x, tc.load_data(folder / "calibration.npz").x)


def test_builds_that_differ_in_one_number_are_not_equal(build):
    layer = build.fixed.layers[0]
    other = replace(layer, threshold=layer.threshold + 1)
    changed = replace(build.fixed, layers=(other, *build.fixed.layers[1:]))
    assert replace(build, fixed=changed) != build
    assert replace(build, report=replace(build.report, samples=9)) != build
    assert replace(build, folder=Path("elsewhere")) == build


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "other"])
def test_a_damaged_build_names_its_file(build, tmp_path, name, damage):
    folder = Path(shutil.copytree(build.folder, tmp_path / "b"))
    content = (folder / name).read_bytes()
    if damage == "missing":
        (folder / name).unlink()
    else:
        bad = {"truncated": content[: len(content) // 2], "empty": b"", "other": b'{"format": "tclif-build"}'}
        (folder / name).write_bytes(bad[damage])
    with pytest.raises(tc.TclifError, match=r"manifest\.json|not a build|build format" if name == FILES[0] else name):
        tc.Build.open(folder)


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("report.json", "samples", "many"), ("report.json", "layers", {}), ("report.json", "surprise", 1),
        ("report.json", "agreement", {"argmax": 1e999}), ("manifest.json", "settings", {"headroom": 0.1}),
        ("manifest.json", "target", {"name": "x"}), ("manifest.json", "calibration", "a sentence"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_named(build, tmp_path, name, where, value):
    folder = Path(shutil.copytree(build.folder, tmp_path / "b"))
    content = json.loads((folder / name).read_text()) | {where: value}
    (folder / name).write_text(json.dumps(content).replace("Infinity", "1e999"))
    with pytest.raises(tc.TclifError, match=f"{name}: ") as refused:
        tc.Build.open(folder)
    assert len(str(refused.value).splitlines()) == 1
    assert "compile the model again" in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["record.npz", "mapping.json", "report.html", "network.nir"])
def test_a_damaged_side_file_is_done_without(build, tmp_path, name, capsys):
    folder = Path(shutil.copytree(build.folder, tmp_path / "b"))
    (folder / name).write_bytes(b"\0")
    again = tc.Build.open(folder)
    assert again == build
    assert {"record.npz": again.record, "mapping.json": again.placement}.get(name) is None
    assert run(["show", str(folder)]) == 0
    assert run(["report", str(folder)]) == 0


def test_a_file_that_somebody_put_into_a_build_is_not_replaced_with_it(build, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(build.folder, copy)
    (copy / "mine.txt").write_text("mine")
    with pytest.raises(tc.TclifError, match=r"copy: holds mine\.txt, which no build has.*move it away"):
        tc.compile(tclif_network(), output=copy, options=tc.CompileOptions(backend="none"))
    assert (copy / "mine.txt").read_text() == "mine"
    (copy / "mine.txt").unlink()
    tc.compile(tclif_network(), output=copy, options=tc.CompileOptions(backend="none"))


def test_a_build_of_the_version_before_is_refused_in_one_line(build, tmp_path):
    folder = Path(shutil.copytree(build.folder, tmp_path / "b"))
    content = json.loads((folder / "manifest.json").read_text()) | {"version": 1, "calibration": "beside the model"}
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(tc.TclifError, match=r"manifest\.json: build format 1, expected 2; compile the model again"):
        tc.Build.open(folder)


def test_how_the_model_was_read_stands_in_the_manifest(tmp_path):
    model = FIXTURES / "spoken_digits" / "checkpoint.pth.tar"
    (tmp_path / "m.pth.tar").write_bytes(model.read_bytes())
    read = tc.ReadOptions(args=model.parent / "args.json", comparator=">", reset="hard")
    options = tc.CompileOptions(read=read, backend="none")
    made = tc.compile(tmp_path / "m.pth.tar", output=tmp_path / "b", options=options)
    again = tc.Build.open(tmp_path / "b")
    assert (again.manifest.model.read.comparator, again.manifest.model.read.reset) == (">", "hard")
    assert again.manifest.model.read.args == read.args
    assert again.network.layers[0].neuron.reset == "hard"
    assert again.network.layers[0].neuron.strict
    assert again == made


def test_the_float_network_of_any_neuron_is_kept_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(3)
    hidden = tc.neurons.alif_yin(5, alpha=0.9, rho=0.95, beta=0.2, threshold=0.3)  # has a q, which NIR lacks
    weight = rng.normal(size=(5, 2))
    weight[0, 0] = -0.0
    connections = (Connection(INPUT, weight), Connection("h", rng.normal(size=(5, 5)), delay=2))
    network = Network(2, (Layer("h", hidden, connections),), ("a notice",))
    write_network(network, tmp_path / "n.npz")
    again = read_network(tmp_path / "n.npz")
    assert equal(again, network)
    assert again.notices == network.notices
    write_network(again, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "n.npz").read_bytes()


# --- schemas


@pytest.mark.parametrize("name", sorted(FORMS))
def test_the_shipped_schema_is_that_of_the_class(name):
    shipped = json.loads(path_of(name).read_text(encoding="utf-8"))
    assert shipped == schema(name), "python -m tclif_deploy.builds.schema writes it again"


@pytest.mark.parametrize("name", sorted(FORMS))
def test_real_builds_follow_the_schema(build, name):
    jsonschema = needs_module("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(path_of(name).read_text(encoding="utf-8")))
    content = json.loads((build.folder / f"{name}.json").read_text())
    validator.validate(content)
    assert not validator.is_valid(content | {"surprise": 1})
    assert not validator.is_valid({key: value for key, value in content.items() if key != "target"})


# --- one calibration policy


def outcome(capsys, *arguments):
    """What the command says that it calibrated on, and its JSON where it prints any."""
    assert run([*map(str, arguments)]) in (0, 1)
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if "calibrated on" in line]
    return " ".join(lines), printed.out


@pytest.fixture
def moved(small, tmp_path):
    """(model, data, calibration file) in a folder with nothing beside the model."""
    model, data = (Path(shutil.copy(path, tmp_path / path.name)) for path in small)
    content = np.load(data)
    np.savez(tmp_path / "scales.npz", x=content["x"][:5], scale=content["scale"])
    return model, data, tmp_path / "scales.npz"


COMMANDS = {
    "compile": ("compile", "{model}", "--data", "{data}", "--backend", "none", "-o", "{out}"),
    "check": ("check", "{model}", "--data", "{data}", "--samples", "2"),
    "cost": ("cost", "{model}", "--data", "{data}", "--samples", "2"),
    "compare": ("cost", "{model}", "--data", "{data}", "--samples", "2", "--compare", "loihi2", "ideal"),
    "sweep": ("sweep", "{model}", "--data", "{data}", "-o", "{out}.csv", "--jobs", "1"),
    "export": ("export", "{model}", "--to", "onnx", "-o", "{out}"),
}
"""every command that quantizes a model, on all of its data"""


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(COMMANDS))
@pytest.mark.parametrize("case", ["given", "beside", "data"])
def test_every_command_calibrates_alike(moved, tmp_path, capsys, command, case):
    model, data, scales = moved
    words = [w.format(model=model, data=data, out=tmp_path / "out") for w in COMMANDS[command]]
    beside = model.parent / "calibration.npz"
    if case != "data":
        shutil.copy(scales, beside)
    if case == "given":
        words += ["--calibration", str(scales)]
    printed, _ = outcome(capsys, *words)
    expected = {
        "given": f"{scales} (5 samples)", "beside": f"{beside} (5 samples)",
        "data": "nothing: worst-case bound" if command == "export" else f"the first 3 of 12 samples of {data}",
    }[case]  # fmt: skip
    assert expected in " ".join(printed.split())


def test_check_and_cost_look_at_the_integers_that_compile_makes(moved, tmp_path):
    from tclif_deploy.workflows.integers import integers_for

    model, data, _ = moved
    made = tc.compile(model, data=data, output=tmp_path / "b", options=tc.CompileOptions(backend="none"))
    integers = integers_for(model, made.target, data)
    assert equal(integers.fixed, made.fixed)
    assert integers.calibration == made.calibration
    assert integers.data.samples == made.report.samples


def test_a_build_s_settings_and_calibration_serve_for_another_target(moved, tmp_path):
    from tclif_deploy.workflows.integers import integers_for

    model, data, _ = moved
    options = tc.CompileOptions(backend="none", quantize=tc.QuantizeSettings(headroom=4.0, passes=()))
    made = tc.compile(model, data=data, output=tmp_path / "b", options=options)
    other = made.target.override(state_bits=20)
    integers = integers_for(made.folder, other)
    expected = tc.quantize(made.network, other, made.calibration.load(), made.settings)
    assert equal(integers.fixed, expected)
    assert not equal(integers.fixed, tc.quantize(made.network, other, made.calibration.load()))


def test_calibration_data_that_changed_are_not_taken_for_the_same(moved, tmp_path):
    model, data, scales = moved
    made = tc.compile(
        model, data=data, calibration=scales, output=tmp_path / "b", options=tc.CompileOptions(backend="none")
    )
    assert made.calibration.load().samples == 5
    np.savez(scales, x=np.load(data)["x"][5:10], scale=1 / 255)
    with pytest.raises(tc.TclifError, match="no longer holds the samples"):
        made.calibration.load()
    scales.unlink()
    with pytest.raises(tc.TclifError, match="file not found"):
        made.calibration.load()


def test_batched_backends_are_compared_in_batches(moved, tmp_path, monkeypatch):
    from tclif_deploy.workflows import backend_runs

    model, data, scales = moved
    monkeypatch.setattr(backend_runs, "BATCH", 5)
    options = tc.CompileOptions(backend="engine", backend_batched=True)
    made = tc.compile(model, data=data, calibration=scales, output=tmp_path / "b", options=options)
    check = made.report.backends["engine"]
    neurons = sum(layer.size for layer in made.fixed.layers)
    assert (check.samples, check.neuron_steps, check.equal) == (12, 12 * 30 * neurons, True)


@pytest.mark.slow
def test_opening_a_build_loads_neither_torch_nor_a_plotting_library(build):
    code = (
        "import sys, tclif_deploy as tc; tc.Build.open(sys.argv[1]); "
        "print([name for name in ('torch', 'plotly', 'matplotlib', 'onnx', 'lava') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(build.folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fixed.npz", "network.npz", "record.npz"])
def test_a_flipped_byte_is_one_line_or_does_no_harm(build, tmp_path, name):
    content = (build.folder / name).read_bytes()
    folder = Path(shutil.copytree(build.folder, tmp_path / "b"))
    refused = 0
    for place in np.random.default_rng(1).integers(0, len(content), 150):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(place) % 8
        (folder / name).write_bytes(flipped)
        try:
            again = tc.Build.open(folder)
            again.record  # noqa: B018  (done without where it is damaged)
        except tc.TclifError as error:
            refused += name in str(error)
    assert refused > 20 or name == "record.npz"


def test_a_manifest_of_brackets_is_no_build(tmp_path):
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(tc.TclifError, match=r"manifest\.json: damaged"):
        tc.Build.open(tmp_path)


def test_files_of_two_builds_in_one_folder_are_refused(build, tmp_path):
    folder = Path(shutil.copytree(build.folder, tmp_path / "b"))
    tc.quantize(tc.load(FIXTURES / "spoken_digits" / "checkpoint.pth.tar"), "loihi2").save(folder / "fixed.npz")
    with pytest.raises(tc.TclifError, match="different networks"):
        tc.Build.open(folder)


def test_what_set_the_scales_is_left_out_and_said_where_nothing_else_is_there(small, tmp_path):
    made = tc.compile(
        small[0], data=small[1], output=tmp_path / "b", options=tc.CompileOptions(samples=8, backend="none")
    )
    data = tc.load_data(small[1])
    assert (made.calibration.samples, made.report.samples) == (2, 6)
    assert made.unseen(data).samples == 10
    assert made.unseen(data[3:]).samples == 9
    with pytest.raises(tc.TclifError, match="all 2 samples set the scales"):
        made.unseen(data[:2])


@pytest.mark.parametrize("words", [["--data", "absent.npz"], ["--data", "{data}", "--calibration", "absent.npz"]])
def test_a_missing_file_is_bad_input_to_a_comparison_too(small, words, capsys):
    model, data = small
    given = [word.format(data=data) for word in words]
    assert run(["cost", str(model), *given, "--compare", "loihi2", "ideal"]) == 2
    assert "absent.npz: file not found" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "cost", "compare", "sweep"])
def test_tables_and_json_name_what_calibrated(moved, tmp_path, capsys, command):
    model, data, _ = moved
    words = [w.format(model=model, data=data, out=tmp_path / "out") for w in COMMANDS[command]]
    _, shown = outcome(capsys, *words, "-q")
    assert "the first 3 of 12 samples" in " ".join(shown.split())
    _, shown = outcome(capsys, *words, "--json")
    result = json.loads(shown)
    printed = result[0] if isinstance(result, list) else result
    assert printed["calibration"]["kind"] == "first_quarter"


def test_a_failed_compilation_leaves_no_folder_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["compile", "absent.pth", "-q"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_build_given_as_a_model_is_named_as_one(build, capsys):
    assert run(["inspect", str(build.folder)]) == 2
    assert "is a build, not a model; tclif show" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["name", "kind"])
def test_a_network_of_other_names_or_kinds_than_its_integers_is_refused(build, tmp_path, change):
    folder = Path(shutil.copytree(build.folder, tmp_path / "b"))
    *others, last = build.network.layers
    spiking = replace(last.neuron, spiking=not last.neuron.spiking, threshold=np.ones(last.size))
    changed = replace(last, name="other") if change == "name" else replace(last, neuron=spiking)
    network = Network(build.network.input_size, (*others, changed))
    write_network(network, folder / "network.npz")
    with pytest.raises(tc.TclifError, match=r"are of different networks: layer .* in the one, layer .* in the other"):
        tc.Build.open(folder)
    with pytest.raises(tc.TclifError, match="network and fixed are different: layer"):
        tc.verify(network, build.fixed, np.zeros((2, 5, network.input_size)))
