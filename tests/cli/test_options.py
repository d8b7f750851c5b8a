"""Options: they are the fields of the settings' dataclasses, mean the same everywhere, and old spellings still work."""

import json
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import pytest
import typer

from tclif_deploy import TclifError
from tclif_deploy.cli import options, spellings
from tclif_deploy.cli.commands import COMMANDS, app
from tclif_deploy.cli.main import run
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.nn.config import TrainConfig, TuneSettings
from tclif_deploy.quantization.settings import QuantizeSettings
from tclif_deploy.settings import Limits, Named, check_settings, settings_of
from tclif_deploy.target import Overrides
from tclif_deploy.verification.requirements import Requirements
from tclif_deploy.workflows.options import BuildOptions, CompileOptions
from tests.helpers import checkpoints

GROUP: Any = typer.main.get_command(app)
TAKEN = {
    "compile": (CompileOptions, Overrides),
    "finetune": (BuildOptions, TuneSettings, Overrides),
    "train": (TrainConfig,),
    "verify": (Requirements,),
    "check": (ReadOptions, QuantizeSettings, Overrides),
    "cost": (ReadOptions, QuantizeSettings, Overrides),
    "inspect": (ReadOptions,),
    "sweep": (ReadOptions, QuantizeSettings, Overrides),
    "export": (ReadOptions, QuantizeSettings, Overrides),
}
"""command -> the settings that it takes"""
WITHOUT = {
    "sweep": {"--bound-steps"}, "finetune": {"--bound-steps"},
    "verify": {"--max-energy", "--max-latency", "--max-cores"},
}  # fmt: skip
"""what would do nothing: they always have calibration data, or place nothing"""
NOT_OPTIONS = {(BuildOptions, "command"), (CompileOptions, "command"), (QuantizeSettings, "weight_bits")}
DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Settings:
    """Settings of nothing."""

    depth: Annotated[int, Limits(1, 9)] = 3
    """how deep it is,
    in ``layers``"""
    kinds: tuple[Literal["a", "b"], ...] = ("a", "b")
    mirrored: bool = True

    def __post_init__(self):
        check_settings(self)


def spelled(command: str) -> set[str]:
    """Every option of a command; arguments in capitals."""
    parameters = GROUP.commands[command].params
    return {
        name for p in parameters for name in (*p.opts, *([p.name.upper()] if p.param_type_name == "argument" else []))
    }


@pytest.mark.parametrize("command", TAKEN)
def test_every_field_of_the_settings_is_an_option_of_every_command_that_takes_them(command):
    def expect(cls):
        for field, setting in zip(fields(cls), settings_of(cls), strict=True):
            if is_dataclass(setting.type):
                yield from expect(setting.type)
            elif setting.option is None:
                assert (cls, field.name) in NOT_OPTIONS
            else:
                yield field.name.upper() if field.default is MISSING else setting.option

    for cls in TAKEN[command]:
        assert set(expect(cls)) - spelled(command) <= WITHOUT.get(command, set())
        assert not spelled(command) & WITHOUT.get(command, set())


def test_a_field_that_is_no_option_says_why():
    for cls, name in NOT_OPTIONS:
        extras = get_type_hints(cls, include_extras=True)[name].__metadata__
        assert any(isinstance(extra, Named) and extra.reason for extra in extras)


def test_a_new_field_is_an_option_with_its_docstring_its_limits_and_its_default(monkeypatch):
    received = []

    def body(*, settings: Settings):
        received.append(settings)

    monkeypatch.setattr(options, "registered", own := typer.Typer())
    options.command("one")(body)
    command: Any = typer.main.get_command(own)
    assert command.params[0].help == "How deep it is, in layers (1 to 9)."
    assert command.params[0].default == 3
    command(["--depth", "5", "--kinds", "b", "--no-mirrored"], standalone_mode=False)
    command(["--kinds", "none"], standalone_mode=False)
    assert received == [Settings(5, ("b",), False), Settings(3, (), True)]
    with pytest.raises(TclifError, match="--depth is 12; expected a whole number, 1 to 9"):
        command(["--depth", "12"], standalone_mode=False)
    with pytest.raises(TclifError, match="--kinds is 'c'; known: a, b"):
        command(["--kinds", "a,c"], standalone_mode=False)


def test_help_is_the_docstring_under_the_field():
    (parameter,) = [p for p in GROUP.commands["finetune"].params if p.name == "headroom"]
    assert parameter.help == (
        "States may grow to this multiple of what calibration saw before they overflow (1 to 1,024)."
    )
    inherited = [p for p in GROUP.commands["finetune"].params if p.name == "epochs"]
    assert [p.help for p in inherited] == ["Times that the training data are shown (1 or more)."]
    for command in GROUP.commands.values():
        for parameter in command.params:
            assert parameter.help, (command.name, parameter.name)


@pytest.mark.parametrize(
    ("option", "commands"),
    [
        ("--weight-bits", {"compile", "finetune", "sweep", "export", "check", "cost"}),
        ("--coefficient-bits", {"compile", "finetune", "sweep", "export", "check", "cost"}),
        ("--passes", {"compile", "finetune", "sweep", "export", "check", "cost"}),
        (
            "--output",
            {
                "compile",
                "finetune",
                "sweep",
                "export",
                "export-data",
                "train",
                "report",
                "rebuild",
                "robust",
                "analyse",
            },
        ),
        ("--min-agreement", {"compile", "finetune", "verify"}),
        ("--train-samples", {"finetune"}),
    ],
)
def test_one_thing_has_one_name(option, commands):
    assert {name for name in COMMANDS if option in spelled(name)} == commands


def test_no_old_spelling_is_an_option_of_today():
    for command, old in spellings.OPTIONS:
        assert old not in spelled(command)
        assert spellings.OPTIONS[command, old][0] in spelled(command)
        assert f"tclif {command}" in (DOCS / "cli.md").read_text(encoding="utf-8")
        assert old in (DOCS / "cli.md").read_text(encoding="utf-8")


# -- what is refused


@pytest.fixture
def model(tmp_path) -> Path:
    return checkpoints.write_checkpoint(tmp_path / "net")


@pytest.fixture
def data(tmp_path) -> Path:
    return checkpoints.write_data(tmp_path / "data.npz")


@pytest.fixture
def build(model, tmp_path) -> Path:
    assert run(["compile", str(model), "-o", str(tmp_path / "build"), "--backend", "none", "-q"]) == 0
    return tmp_path / "build"


def refused(capsys, *argv) -> str:
    """The one line that a refused command prints, with exit code 2."""
    capsys.readouterr()
    assert run([str(a) for a in argv]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["compile", "MODEL", "--samples", "3"], "--samples needs --data; leave --samples out"),
        (["compile", "MODEL", "--engine", "reference"], "--engine needs --data"),
        (
            ["compile", "MODEL", "--data", "DATA", "--backend", "none", "--backend-samples", "2"],
            "--backend-samples has no",
        ),
        (
            ["compile", "MODEL", "--data", "DATA", "--backend-batched", "--backend-samples", "2"],
            "--backend-samples has no",
        ),
        (["compile", "MODEL", "--auto-max-drop", "0.1"], "--auto-max-drop without --weight-bits auto"),
        (["compile", "MODEL", "-q", "-v"], "--quiet and --verbose were both given"),
        (["compile", "MODEL", "--min-agreement", "95"], "--min-agreement is 95.0; expected a number, 0 to 1"),
        (["compile", "MODEL", "--rounding", "up"], "--rounding is 'up'; known: toward_zero, floor, nearest"),
        (["compile", "MODEL", "--threshold", "-1"], "--threshold is -1.0; expected a number, 1e-30 to 1e+30"),
        (["finetune", "MODEL", "--epochs", "0"], "--epochs is 0; expected a whole number, 1 or more"),
        (["train", "digits-rec", "--schedule", "linear"], "--schedule is 'linear'; known: cosine, constant"),
        (["train", "digits-rec", "--patience", "3"], "--patience without validation"),
        (["check", "MODEL", "--samples", "3"], "--samples needs --data"),
        (["check", "BUILD", "--convention", "nowhere"], "--convention is for a model file, BUILD is a build; leave"),
        (["check", "BUILD", "--bound-steps", "9"], "--bound-steps is for a model file"),
        (["cost", "BUILD", "--data", "DATA", "--dt", "-1"], "--dt is -1.0"),
        (["cost", "BUILD", "--data", "DATA", "--dt", "1"], "--dt is for a model file"),
        (["cost", "BUILD", "--data", "DATA", "--headroom", "2"], "--headroom is for a model file"),
        (
            ["cost", "MODEL", "--data", "DATA", "--target", "loihi2", "--compare", "loihi1", "loihi2"],
            "--target and --compare",
        ),
        (["export", "MODEL", "--to", "nir", "--target", "nowhere"], "--target is for --to onnx or netx"),
        (["export", "MODEL", "--to", "torch", "--headroom", "2"], "--headroom is for --to onnx or netx"),
        (["export", "MODEL", "--to", "onnx", "--export-dt", "1"], "--export-dt is for --to nir"),
        (["verify", "BUILD"], "Missing option '--data'"),
        (["verify", "BUILD", "--data", "UNLABELLED", "--min-accuracy", "0.5"], "no labels, but --min-accuracy asks"),
        (["sweep", "MODEL", "--data", "DATA", "--bound-steps", "9"], "No such option"),
        (["simulate", "BUILD", "--data", "DATA", "--states", "features.1"], "--states without --trace"),
    ],
)
def test_an_option_that_would_do_nothing_or_cannot_be_is_refused_in_one_line(
    argv, message, model, data, build, tmp_path, capsys
):
    unlabelled = checkpoints.write_data(tmp_path / "unlabelled.npz", labels=False)
    places = {"MODEL": model, "DATA": data, "BUILD": build, "UNLABELLED": unlabelled}
    line = refused(capsys, *(places.get(word, word) for word in argv))
    assert message.replace("BUILD", str(build)) in line


def test_netx_of_its_own_neurons_takes_no_target(tmp_path, capsys):
    from tclif_deploy.formats import export_nir
    from tests.helpers.cuba_networks import cuba_network

    export_nir(cuba_network(), tmp_path / "in.nir")
    argv = ["export", tmp_path / "in.nir", "--to", "netx", "-o", tmp_path / "out.net", "--weight-bits", "4"]
    assert "--weight-bits is for integers" in refused(capsys, *argv)
    assert not (tmp_path / "out.net").exists()


# -- old spellings


def test_verify_with_a_backend_is_fuzz(build, capsys):
    argv = ["verify", str(build), "--backend", "engine", "--fuzz", "2", "--steps", "20"]
    assert run(argv) == 0
    printed = capsys.readouterr()
    assert "engine: equal" in printed.out
    assert printed.err.splitlines()[-1] == (
        "notice: tclif verify on random inputs is now tclif fuzz, --fuzz 2 is now --samples 2; "
        "the old spelling goes with version 0.3"
    )
    assert run([*argv, "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert run(["verify", str(build), "--backend", "spinnaker", "--fuzz", "2"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")


@pytest.mark.slow
def test_the_drop_that_auto_may_cost_was_in_points(model, data, tmp_path, capsys):
    argv = [
        "compile",
        str(model),
        "--data",
        str(data),
        "--backend",
        "none",
        "-o",
        str(tmp_path / "b"),
        "--weight-bits",
        "auto",
    ]
    assert run([*argv, "--min-accuracy-drop", "50"]) in (0, 1)  # the data are random, and so may the verdict be
    printed = capsys.readouterr()
    assert "at most 50 % lost" in printed.out
    assert "notice: --min-accuracy-drop 50 is now --auto-max-drop 0.5; " in printed.err
    command = json.loads((tmp_path / "b" / "manifest.json").read_text())["command"]
    assert command.endswith("--weight-bits auto --backend none --auto-max-drop 0.5")


@pytest.mark.parametrize(
    ("words", "now"),
    [
        (
            ["sweep", "m", "--coef-bits", "8", "--out=s.csv"],
            ["sweep", "m", "--coefficient-bits", "8", "--output", "s.csv"],
        ),
        (["train", "m", "--out", "x"], ["train", "m", "--output", "x"]),
        (["finetune", "m", "--samples", "9"], ["finetune", "m", "--train-samples", "9"]),
        (["train", "m", "--easy", "0.2"], ["train", "m", "--min-sample-probability", "0.2"]),
        (["compile", "m", "--min-accuracy-drop=1"], ["compile", "m", "--auto-max-drop", "0.01"]),
        (["compile", "m", "--min-accuracy-drop", "few"], ["compile", "m", "--auto-max-drop", "few"]),
        (["compile", "m", "--min-accuracy-drop"], ["compile", "m", "--auto-max-drop"]),
        (["verify", "b", "--fuzz", "3"], ["fuzz", "b", "--samples", "3"]),
        (["verify", "b", "--backend", "all"], ["fuzz", "b", "--backend", "all"]),
    ],
)
def test_an_old_spelling_is_read_as_todays(words, now):
    read, hints = spellings.modernize(words)
    assert read == now
    assert hints


@pytest.mark.parametrize(
    "words",
    [
        ["compile", "m", "--samples", "3"],
        ["verify", "b", "--data", "d", "--backend", "c"],
        ["--help"],
        [],
    ],
)
def test_todays_spelling_is_left_alone(words):
    assert spellings.modernize(words) == (words, [])


# -- verify


def test_verify_says_what_python_says(build, data, capsys):
    from tclif_deploy import load, load_data, verify
    from tclif_deploy.fixed import FixedNetwork

    assert run(["verify", str(build), "--data", str(data), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    verdict = verify(load(build / "network.nir"), FixedNetwork.load(build / "fixed.npz"), load_data(data))
    assert printed["agreement"]["argmax"] == verdict.agreement_argmax
    assert printed["layers"] == json.loads(json.dumps(verdict.to_json()["layers"]))
    assert 0.01 < printed["layers"][0]["spike_rate_fixed"] < 0.6
    assert run(["verify", str(build), "--data", str(data), "--samples", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 3


def test_verify_that_falls_short_exits_1_and_says_by_what(build, data, capsys):
    assert run(["verify", str(build), "--data", str(data), "--min-jaccard", "1", "-q"]) == 1
    printed = capsys.readouterr().out
    assert "falls short: spike overlap (Jaccard) of hidden" in printed
    assert "Float against fixed, by layer" in printed
    assert run(["verify", str(build), "--data", str(data), "--min-jaccard", "0", "-q"]) == 0


@pytest.mark.slow
def test_check_and_cost_quantize_a_model_as_they_are_told(model, data, capsys):
    def costs(*argv) -> str:
        assert run(["cost", str(model), "--data", str(data), "--json", *argv]) == 0
        return capsys.readouterr().out

    narrow = costs("--weight-bits", "3")
    assert costs("--weight-bits", "8") == costs() != narrow
    assert costs("--weight-bits", "3", "--passes", "none") != narrow
    assert run(["check", str(model), "--data", str(data), "-q"]) == 0
    assert run(["check", str(model), "--data", str(data), "--coefficient-bits", "1", "--state-bits", "4", "-q"]) == 1


@pytest.mark.parametrize("command", sorted(set(GROUP.commands) - {"doctor", "train"}))
def test_a_name_that_no_system_takes_is_one_line_in_every_command(command, capsys):
    name = "x" * 5000
    arguments = [p for p in GROUP.commands[command].params if p.param_type_name == "argument" and p.required]
    words = [command, *([name] * max(len(arguments), 1))]
    for parameter in GROUP.commands[command].params:
        if parameter.required and parameter.param_type_name == "option":
            words += [parameter.opts[0], name]
    line = refused(capsys, *words)
    assert len(line) < 1000


@pytest.mark.parametrize("command", sorted(set(GROUP.commands) - {"doctor"}))
def test_what_is_no_number_is_quoted_beside_what_was_expected(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [p for p in GROUP.commands[command].params if p.param_type_name == "argument" and p.required]
    taken = [p for p in GROUP.commands[command].params if p.param_type_name == "option" and not p.is_flag]
    told = []
    for parameter in taken:
        words = [command, *(["nowhere"] * max(len(arguments), 1))]
        for other in taken:
            words += [other.opts[0], "nowhere"] * (other.required and other is not parameter)
        assert run([*words, parameter.opts[0], "1e!"]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert "Input should be" not in line
        told += [parameter.opts[0]] if "'1e!'" in line else []
    numbers = {"train": 12, "finetune": 20, "compile": 25, "fuzz": 2, "anytime": 2}
    assert len(told) >= numbers.get(command, 0), told


def test_a_number_beyond_an_option_s_limits_is_told_with_the_limit(capsys):
    line = "--points is {}; expected {}; see tclif anytime --help"
    assert line.format(1, "2 or more") in refused(capsys, "anytime", "nowhere", "--points", 1)
    assert line.format(2000, "1000 at most") in refused(capsys, "anytime", "nowhere", "--points", 2000)
