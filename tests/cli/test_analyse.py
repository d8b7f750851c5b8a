"""``tclif analyse``: every kind of figure, tables and JSON, what goes on after an interruption, what is refused."""

import json
import shutil

import numpy as np
import pytest

from tclif_deploy.analysis import loss_surface
from tclif_deploy.cli.analyse import OPTIONS
from tclif_deploy.cli.main import run
from tests.helpers import checkpoints
from tests.helpers.requirements import needs_package

LOGS = ("fixtures/smnist_ff/train.log", "fixtures/smnist_rec/train.log")
QUICK = {
    "gradients": ("--samples", "2"),
    "landscape": ("--points", "3"),
    "quadrants": ("--points", "1", "--neurons", "4", "--epochs", "1"),
    "dynamics": ("--steps", "9"),
}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A build whose scales were set by labelled samples, and one that no samples made."""
    needs_package("matplotlib")
    folder = tmp_path_factory.mktemp("analyse")
    model, data = checkpoints.write_checkpoint(folder / "net"), checkpoints.write_data(folder / "data.npz")
    common = ("compile", str(model), "--backend", "none", "--passes", "none", "-q")
    assert run([*common, "--calibration", str(data), "-o", str(folder / "build")]) == 0
    assert run([*common, "-o", str(folder / "bound")]) == 0
    return folder / "build"


def words(what, build, output, *more) -> list[str]:
    given = LOGS if what == "convergence" else (str(build),)
    return ["analyse", what, *given, *QUICK.get(what, ()), "-o", str(output), "-q", *more]


@pytest.mark.parametrize("what", OPTIONS)
def test_every_analysis_writes_both_kinds_of_figure_with_a_table_or_json(what, build, tmp_path, capsys):
    assert run(words(what, build, tmp_path / "figure.svg")) == 0
    assert "────" in capsys.readouterr().out
    assert f"tclif analyse {what}" in (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert run(words(what, build, tmp_path / "figure.PNG", "--json")) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)
    assert (tmp_path / "figure.PNG").read_bytes().startswith(b"\x89PNG")
    assert run(words(what, build, tmp_path / "figure.PNG")) == 0
    kept = {path.name for path in tmp_path.iterdir() if path.suffix == ".json"}
    assert kept == (
        {"figure.svg.points.json", "figure.PNG.points.json"} if what in ("landscape", "quadrants") else set()
    )


def test_layers_that_only_have_numbers_are_called_by_their_place(build, tmp_path, capsys):
    assert run(words("dynamics", build, tmp_path / "d.svg")) == 0
    assert "hidden 1 (features.1)" in capsys.readouterr().out
    assert "hidden 1" in (tmp_path / "d.svg").read_text(encoding="utf-8")


def test_a_layer_that_never_fires_is_named(build, tmp_path, capsys):
    np.savez(tmp_path / "quiet.npz", x=np.zeros((2, 5, 3), np.int16), y=np.array([0, 1]), scale=1.0)
    more = ("--data", str(tmp_path / "quiet.npz"))
    assert run(words("gradients", build, tmp_path / "g.svg", *more)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "silent: hidden 1 (features.1) never fires on these samples" in out
    assert "the gradients of all weights that lead from it are 0" in out


def test_interrupted_it_says_what_is_kept_and_goes_on(build, tmp_path, monkeypatch, capsys):
    real, measured = loss_surface.loss_of, []

    def interrupted(*given):
        if len(measured) == 4:
            raise KeyboardInterrupt
        measured.append(given)
        return real(*given)

    monkeypatch.setattr(loss_surface, "loss_of", interrupted)
    assert run(words("landscape", build, tmp_path / "l.svg")) == 130
    assert "l.svg.points.json; run the same command again to go on" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["l.svg.points.json"]
    monkeypatch.setattr(loss_surface, "loss_of", lambda *given: measured.append(given) or real(*given))
    assert run(words("landscape", build, tmp_path / "l.svg")) == 0
    assert len(measured) == 9


def refused(capsys, argv) -> str:
    assert run(argv) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("what", "more", "says"),
    [
        ("dynamics", ("--data", "x.npz"), "--data is not for tclif analyse dynamics"),
        ("gradients", ("--points", "3"), "--points is not for tclif analyse gradients"),
        ("sensitivity", ("--points", "3"), "--points is not for tclif analyse sensitivity"),
        ("convergence", ("--seed", "3"), "--seed is not for tclif analyse convergence"),
        ("gradients", ("--data", "nowhere.npz"), "nowhere.npz: file not found"),
        ("landscape", ("--points", "0"), "--points"),
        ("landscape", ("--points", "8"), "an odd number is needed"),
        ("quadrants", ("--seeds", "0"), "--seeds"),
        (
            "elsewhere",
            (),
            "WHAT is 'elsewhere'; known: gradients, convergence, landscape, quadrants, dynamics, sensitivity",
        ),
    ],
)
def test_what_an_analysis_cannot_use_is_one_line(what, more, says, build, tmp_path, capsys):
    assert says in refused(capsys, [*words(what, build, tmp_path / "f.svg"), *more])
    assert list(tmp_path.iterdir()) == []


def test_builds_that_an_analysis_cannot_be_of_are_one_line(build, tmp_path, capsys):
    assert "no samples set its scales; give samples: --data FILE" in refused(
        capsys, words("gradients", build.parent / "bound", tmp_path / "f.svg")
    )
    bare = checkpoints.write_data(tmp_path / "bare.npz", labels=False)
    for what in ("landscape", "quadrants"):
        line = refused(capsys, words(what, build, tmp_path / "f.svg", "--data", str(bare)))
        assert "bare.npz: has no labels (y)" in line
    shutil.copytree(build, tmp_path / "damaged")
    (tmp_path / "damaged" / "network.npz").unlink()
    assert "network.npz" in refused(capsys, words("dynamics", tmp_path / "damaged", tmp_path / "f.svg"))
    assert "2 paths were given" in refused(capsys, [*words("dynamics", build, tmp_path / "f.svg"), str(build)])
    assert "give two logs or more" in refused(
        capsys, ["analyse", "convergence", LOGS[0], "-o", str(tmp_path / "f.svg")]
    )
    assert {path.name for path in tmp_path.iterdir()} == {"bare.npz", "damaged"}


def test_places_that_are_no_figure_s_are_one_line_and_stay_as_they_are(build, tmp_path, capsys):
    assert "f.pdf: no figure is called so; choose a name that ends in .png or .svg" in refused(
        capsys, words("dynamics", build, tmp_path / "f.pdf")
    )
    assert run(words("dynamics", build, tmp_path / "d.svg")) == 0
    (tmp_path / "mine.png").write_bytes(b"mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    for name in ("d.svg", "mine.png"):
        line = refused(capsys, words("gradients", build, tmp_path / name))
        assert f"{name}: is there already, and is no figure of tclif analyse gradients" in line
    (tmp_path / "folder.svg").mkdir()
    assert "folder.svg: is a folder" in refused(capsys, words("dynamics", build, tmp_path / "folder.svg"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
