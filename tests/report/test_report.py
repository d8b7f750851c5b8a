"""The report: what a build stores for it, and what the page, the terminal and the figures say of it."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import tclif_deploy as tc
from tclif_deploy import mapping
from tclif_deploy.builds import record
from tclif_deploy.builds.record import Record, make_record, weight_edges
from tclif_deploy.builds.report import Report
from tclif_deploy.cli.main import run
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.formats.network_file import read_network, write_network
from tclif_deploy.mapping.summary import EnergySummary
from tclif_deploy.report import page
from tclif_deploy.report.content import Plots, Table
from tclif_deploy.report.figure import Figure, Panel, Series
from tclif_deploy.report.sections import report_content
from tclif_deploy.report.sections.quantization import quantization
from tclif_deploy.report.static import write_figures
from tclif_deploy.report.terminal.blocks import show_blocks, spark
from tclif_deploy.report.terminal.build import show
from tclif_deploy.report.terminal.tables import print_build
from tclif_deploy.report.tiles import tiles
from tclif_deploy.report.verdict_text import headline
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.text import number, percent, points
from tclif_deploy.verification import BackendCheck
from tclif_deploy.verification.verdict import Agreement
from tests.helpers import checkpoints

SECTIONS = [
    "fidelity",
    "findings",
    "hardware",
    "network",
    "quantization",
    "spikes",
    "neurobench",
    "backends",
    "provenance",
]
HOSTILE = "<img src=x onerror=alert(1)>&\"'</script><b>$"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(model, data, build folder) of a small recurrent network that fires."""
    folder = tmp_path_factory.mktemp("made")
    model = checkpoints.write_checkpoint(folder / "net", recurrent=(1,))
    data = checkpoints.write_data(folder / "data.npz", samples=12, time=60)
    assert run(["compile", str(model), "--data", str(data), "-o", str(folder / "b"), "--backend", "none", "-q"]) == 0
    return model, data, folder / "b"


@pytest.fixture(scope="module")
def kept(made):
    """(float network, fixed network, verified data, verdict, record) of that build."""
    model, data, build = made
    network, fixed, test = tc.load(model), FixedNetwork.load(build / "fixed.npz"), tc.load_data(data)[3:]
    return network, fixed, test, tc.verify(network, fixed, test), Record.load(build / "record.npz")


def rename(build: Path, folder: Path, old: str, new: str) -> Path:
    """A copy of ``build`` in which a layer has another name."""
    folder.mkdir()
    for name in ("manifest.json", "report.json"):
        content = json.loads((build / name).read_text())
        text = json.dumps(content).replace(json.dumps(old), json.dumps(new))
        (folder / name).write_text(text)

    def renamed(layers):
        return tuple(
            replace(
                layer,
                name=new if layer.name == old else layer.name,
                connections=tuple(replace(c, source=new if c.source == old else c.source) for c in layer.connections),
            )
            for layer in layers
        )

    network = read_network(build / "network.npz")
    write_network(replace(network, layers=renamed(network.layers)), folder / "network.npz")
    fixed, kept = FixedNetwork.load(build / "fixed.npz"), Record.load(build / "record.npz")
    replace(fixed, layers=renamed(fixed.layers)).save(folder / "fixed.npz")
    named = tuple(replace(layer, name=new) if layer.name == old else layer for layer in kept.layers)
    replace(kept, layers=named).save(folder / "record.npz")
    return folder


class Elements(HTMLParser):
    """Every start tag with its attributes, and all text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.inside = "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text += data


def printed(build: tc.Build | Path, width: int = 200, show=show) -> str:
    console = Console(width=width, record=True, force_terminal=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    show(console, build if isinstance(build, tc.Build) else tc.Build.open(build))
    return console.export_text()


# --- what a build stores


def test_the_stored_spikes_are_those_of_both_networks(kept):
    network, fixed, test, _, stored = kept
    assert len(stored.samples) == 4
    for n, sample in enumerate(stored.samples.tolist()):
        one = test[sample : sample + 1]
        a, b = simulate_float(network, one.values()), tc.simulate(fixed, one, spikes=True)
        for layer in fixed.layers[:-1]:
            spikes = stored.layer(layer.name).spikes[:, n]
            assert 0.01 < spikes.mean() < 0.6
            assert (spikes[0] == a.spikes[layer.name][0]).all()
            assert (spikes[1] == b.spikes[layer.name][0]).all()


def test_a_window_shows_the_first_divergence_at_its_step(kept):
    *_, verdict, stored = kept
    diverging = [layer for layer in verdict.layers if layer.first_divergence is not None]
    assert diverging
    for layer in diverging:
        w = stored.layer(layer.name).window
        assert w.at == layer.first_divergence
        here = w.at.step - w.start
        assert (w.spikes[0] != w.spikes[1]).argmax() == here
        fires, silent = (0, 1) if w.spikes[0, here] else (1, 0)
        assert w.v[fires, here] >= w.threshold - w.lsb
        assert w.v[silent, here] < w.threshold + w.lsb


def test_the_confusion_counts_every_verified_sample(kept):
    *_, test, verdict, stored = kept
    assert stored.confusion.sum() == test.samples
    assert np.trace(stored.confusion) == round(verdict.agreement_argmax * test.samples)
    assert stored.classes[0].tolist() == [verdict.decisions[0][n] for n in stored.samples]


def test_histograms_count_every_weight_and_every_state_of_the_samples(kept):
    _, fixed, test, _, stored = kept
    for layer in fixed.layers:
        layer_record = stored.layer(layer.name)
        assert layer_record.weights.sum() == sum(c.weight.size for c in layer.connections)
        totals = layer_record.states.sum(axis=-1)
        assert (totals == totals[0, 0]).all()
        assert totals[0, 0] % (test.time * layer.size) == 0
        assert totals[0, 0] >= 4 * test.time * layer.size


def test_each_layers_weights_are_drawn_over_their_own_width(made, tmp_path):
    model, data, usual = made
    assert len(set(tc.Build.open(usual).weight_bits)) == 1
    widths = (4, *tc.Build.open(usual).weight_bits[1:])
    options = tc.CompileOptions(backend="none", quantize=tc.QuantizeSettings(weight_bits=widths))
    build = tc.compile(model, data=data, output=tmp_path / "b", options=options)
    assert build.weight_bits == widths
    for bits, layer in zip(widths, build.record.layers, strict=True):
        assert layer.weights.size == weight_edges(bits).size - 1
    section = quantization(build)
    assert f"{', '.join(map(str, widths))}-bit (by layer) weights" in section.caption
    first = next(block for block in section.blocks if isinstance(block, Plots)).figure
    assert first.panels[0].shade == (-7.5, 7.5)


@pytest.mark.parametrize("bits", range(2, 17))
def test_weight_bins_are_symmetric_and_hold_equally_many_integers(bits):
    edges = weight_edges(bits)
    assert (edges == -edges[::-1]).all()
    assert len({*np.diff(edges)}) == 1
    assert (edges[0] + 0.5).is_integer()
    assert edges[-1] > 2 ** (bits - 1) - 1


def test_a_record_reads_back_what_was_saved(kept, tmp_path):
    stored = kept[-1]
    stored.save(tmp_path / "r.npz")
    again = Record.load(tmp_path / "r.npz")
    for a, b in zip(stored.layers, again.layers, strict=True):
        assert a.name == b.name
        assert (a.spikes == b.spikes).all()
        assert (a.states == b.states).all()
        assert (a.window is None) == (b.window is None)
        assert a.window is None or (a.window.v == b.window.v).all()
    assert (stored.confusion == again.confusion).all()


def test_long_samples_are_cut_so_that_memory_stays_bounded(kept, monkeypatch):
    network, fixed, test, verdict, _ = kept
    neurons = sum(layer.size for layer in fixed.layers)
    monkeypatch.setattr(record, "MAX_NEURON_STEPS", 20 * neurons)
    made_record = make_record(network, fixed, (8,) * len(fixed.layers), test, verdict)
    assert made_record.layers[0].spikes.shape[1:3] == (1, 20)


def test_a_broken_record_is_named(made, tmp_path):
    (tmp_path / "record.npz").write_bytes((made[2] / "record.npz").read_bytes()[:-300])
    with pytest.raises(TclifError, match=r"record\.npz: not a record"):
        Record.load(tmp_path / "record.npz")


# --- the page


def test_the_page_loads_nothing_from_anywhere(made):
    elements = Elements((made[2] / "report.html").read_text())
    assert not [tag for tag, _ in elements.tags if tag in ("link", "iframe", "object", "base")]
    for tag, attributes in elements.tags:
        assert "src" not in attributes, tag
        target = attributes.get("href")
        assert target is None or target.startswith("#"), target
    policy = next(a["content"] for _, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_every_section_stands_on_the_page_in_order_with_a_line_that_explains_it(made):
    elements = Elements((made[2] / "report.html").read_text())
    assert [a["id"] for tag, a in elements.tags if tag == "section"] == [*SECTIONS, "words"]
    for section in report_content(tc.Build.open(made[2])):
        assert section.caption in elements.text
        assert len(section.caption) > 30


def test_the_verdict_comes_first_with_its_word_and_numbers(made):
    build = tc.Build.open(made[2])
    text = Elements((made[2] / "report.html").read_text()).text
    assert text.index("VERIFIED") < text.index("Network")
    assert f"agreement {100 * build.report.agreement.argmax:.2f} % on 9 samples" in text


def test_below_the_verdict_stand_tiles_with_the_figures_that_were_measured(made, tmp_path):
    build = tc.Build.open(made[2])
    priced = replace(build.report, figures="Loihi 1", energy=EnergySummary(5200.0, 9400.0, {}, None, None, {}, None))
    shown = {tile.name: tile for tile in tiles(replace(build, report=priced)).tiles}
    original, fixed = build.report.accuracy.original, build.report.accuracy.quantized
    assert shown["accuracy, float → fixed"].figure == f"{percent(original)} → {percent(fixed)}"
    assert shown["accuracy, float → fixed"].note == f"{points(fixed - original)}; allowed −1.00 points (by default)"
    assert shown["agreement"].note == "of 9 samples; at least 95 % (by default)"
    assert shown["energy of an inference"].figure == "5.2 to 9.4 µJ"
    assert shown["energy of an inference"].note == "modelled from Loihi 1 figures"
    bits = sum(core.used["core_memory"] for core in build.placement.cores)
    assert shown["memory"].figure == f"{number(-(-bits // 8) / 1024, 3)} KiB"
    loose = tc.Requirements(min_agreement=0, max_accuracy_drop=1)
    asked = tiles(replace(build, manifest=replace(build.manifest, requirements=loose))).tiles[:2]
    assert all(tile.note.endswith("; no limit (asked for)") for tile in asked)
    text = Elements((made[2] / "report.html").read_text()).text
    assert (
        text.index("accuracy, float → fixed") < text.index("memory") < text.index("latency of") < text.index("Fidelity")
    )
    bare = replace(build, report=Report(model="m", target="loihi2", verified=False))
    assert [tile.name for tile in tiles(bare).tiles] == ["memory"]


def test_a_table_s_title_stands_outside_the_box_that_scrolls(made):
    text = (made[2] / "report.html").read_text()
    titles, boxes = (re.findall(f"<{what}", text) for what in ('p class="table-title"', 'div class="table"'))
    assert len(titles) == len(boxes) > 5
    assert "<caption" not in text


def test_a_layer_s_name_stands_once_beside_all_its_rows(made):
    elements = Elements((made[2] / "report.html").read_text())
    table = Table("", ("layer", "n"), (("a", "1"), ("a", "2"), ("b", "3"), ("", "4"), ("", "5")), left=("layer",))
    assert table.spans == (2, 0, 1, 1, 1)
    assert replace(table, left=()).spans == (1,) * 5
    assert all(int(a["rowspan"]) > 1 and a["scope"] == "rowgroup" for _, a in elements.tags if "rowspan" in a)


def test_no_chart_of_the_page_repeats_a_table_but_papers_get_it(made):
    build = tc.Build.open(made[2])
    drawn = {f.name for section in report_content(build) for f in section.figures}
    text = (made[2] / "report.html").read_text()
    on_page = {name for name in drawn if f'figure id="{name}"' in text}
    assert drawn - on_page == {"fidelity-layers", "core-map"} | ({"energy"} & drawn)
    for name in drawn - on_page:
        assert f'"{name}-0"' not in text


def test_each_figure_has_one_legend_that_explains_every_mark(made):
    build = tc.Build.open(made[2])
    figures = {f.name: f for section in report_content(build) for f in section.figures}
    assert dict(figures["distributions-0"].key) == {
        "steps fixed": "fixed", "steps float": "float", "shade": "what the width can hold",
    }  # fmt: skip
    divergence = next(f for name, f in figures.items() if name.startswith("divergence"))
    assert {"threshold", "the step where they first differ", "float", "fixed"} <= {text for _, text in divergence.key}
    assert not figures["confusion"].key
    elements = Elements((made[2] / "report.html").read_text())
    looks = [a["class"] for tag, a in elements.tags if tag == "span" and "swatch" in (a.get("class") or "")]
    assert "swatch level" in looks
    assert "swatch mark" in looks


@pytest.mark.parametrize(
    ("change", "word", "level"),
    [
        ({}, "VERIFIED", "good"),
        ({"shortfalls": ("argmax agreement is 0.5, required at least 0.9",)}, "FALLS SHORT", "bad"),
        (
            {"findings": (mapping.Finding("cores", "error", "loihi2", "200", "128", "prune"),)},
            "VERIFIED, but DOES NOT FIT loihi2",
            "bad",
        ),
        (
            {"findings": tuple(mapping.Finding("silent_layer", "error", n, "", "", "", kind="network") for n in "ab")},
            "VERIFIED, but SILENT LAYER: a, b",
            "bad",
        ),
        ({"verified": False, "agreement": Agreement()}, "COMPILED, NOT VERIFIED", "open"),
    ],
)
def test_the_verdict_is_a_word_and_a_colour(made, change, word, level):
    build = tc.Build.open(made[2])
    verdict = headline(replace(build, report=replace(build.report, **change)))
    assert (verdict.word, verdict.level) == (word, level)
    for line in change.get("shortfalls", ()):
        assert line in verdict.sentence


@pytest.mark.parametrize(
    ("change", "word", "level"),
    [
        ({"uncertain": ("agreement is 94.00 %, ...",)}, "UNCERTAIN", "open"),
        ({"limited": False}, "COMPARED", "plain"),
    ],
)
def test_what_is_not_sure_is_not_green(made, change, word, level):
    build = tc.Build.open(made[2])
    verdict = headline(replace(build, report=replace(build.report, **change)))
    assert (verdict.word, verdict.level) == (word, level)
    for line in change.get("uncertain", ()):
        assert line in verdict.sentence


def test_report_makes_the_same_page_again(made, tmp_path, capsys):
    assert run(["report", str(made[2]), "-o", str(tmp_path / "again.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == (made[2] / "report.html").read_bytes()


@pytest.mark.slow
def test_hostile_layer_names_are_text_on_the_page_on_the_terminal_and_in_figures(made, tmp_path):
    old = FixedNetwork.load(made[2] / "fixed.npz").layers[0].name
    build = rename(made[2], tmp_path / "hostile", old, HOSTILE)
    text = page.render(tc.Build.open(build))
    elements = Elements(text)
    assert not [tag for tag, _ in elements.tags if tag in ("img", "b")]
    assert HOSTILE in elements.text
    assert text.count("</script>") == 4
    plots = re.search(r'<script type="application/json" id="plots">(.*?)</script>', text, re.DOTALL)
    assert "<" not in plots.group(1)
    assert HOSTILE not in plots.group(1)
    figures = {f.name: f for section in report_content(tc.Build.open(build)) for f in section.figures}
    drawn = json.dumps(page._plots("", figures["fidelity-layers"])).replace('\\"', '"')
    assert page.escape_html(HOSTILE) in drawn
    assert HOSTILE not in drawn
    assert HOSTILE in printed(build).replace("\n", "")
    with pytest.raises(TclifError, match=r"layer name .* has unprintable characters"):
        rename(made[2], tmp_path / "coded", old, "a\x1b[31mb")
    assert write_figures(tc.Build.open(build), tmp_path / "figures")


def test_without_data_every_gap_is_said_in_words(made, tmp_path):
    assert run(["compile", str(made[0]), "-o", str(tmp_path / "b"), "-q", "--backend", "none"]) == 0
    text = Elements((tmp_path / "b" / "report.html").read_text()).text
    for words in (
        "COMPILED, NOT VERIFIED", "only weights are drawn", "Not measured: no data were given",
        "Nothing to show: no data were given", "No backend ran", "Energy and latency were not computed",
    ):  # fmt: skip
        assert words in text, words
    assert "data-raster=" not in text


def without_side_files(build, folder):
    """A copy of a build that holds only what every build must hold."""
    shutil.copytree(build, folder)
    for name in ("mapping.json", "record.npz"):
        (folder / name).unlink()
    return tc.Build.open(folder)


def test_a_build_without_placement_says_why(made, tmp_path):
    build = without_side_files(made[2], tmp_path / "bare")
    text = Elements(page.render(build)).text
    assert "No placement on cores: this build stores none" in text
    error = mapping.Finding("cores", "error", "loihi2", "200", "128", "prune")
    text = Elements(page.render(replace(build, report=replace(build.report, findings=(error,), energy=None)))).text
    assert "No placement on cores: the network does not fit" in text


def test_backends_stand_on_the_page_with_what_they_compared(made):
    build = tc.Build.open(made[2])
    check = BackendCheck(2, 60, 3120, 0, 0)
    broken = replace(check, spike_mismatches=7)
    mixed = replace(build.report, backends={"lava": check, "c": broken})
    text = Elements(page.render(replace(build, report=mixed))).text
    assert "lava equals the reference in every bit of 3,120 neuron steps" in text
    assert "c DIFFERS from the reference" in text
    both = replace(build, report=replace(build.report, backends={"c": check, "lava": check}))
    assert "c, lava equal the reference in every bit of 6,240 neuron steps" in headline(both).sentence
    assert "not silicon" in text


def test_placement_findings_and_cost_stand_on_the_page(made, tmp_path):
    build, target, test = tc.Build.open(made[2]), tc.load_target("loihi2"), tc.load_data(made[1])[3:]
    placement = mapping.place(build.fixed, target)
    cost = mapping.cost(build.fixed, target, placement, mapping.measure(build.fixed, test))
    finding = mapping.Finding("weight_bits", "error", "layer x", "9 bit", "8 bit", "quantize again")
    report = replace(build.report, findings=(finding,), **vars(mapping.hardware_summary(placement, cost)))
    text = Elements(page.render(replace(build, report=report))).text
    assert "1 core on 1 chip" in text
    assert "quantize again" in text
    assert cost.energy.evidence in text
    for source in cost.energy.sources.values():
        assert source in text
    assert f"TC-LIF {number(cost.formula_45nm.tclif / 1000, 3)}" in text
    assert text.count("modelled from Loihi 1 figures") == 4  # of energy and of latency, in a tile and in a table each
    assert " nJ" not in text.split("Hardware")[1]


def test_a_finding_stands_once_on_the_page_once_in_show_and_once_after_compile(made, tmp_path):
    build = tc.Build.open(made[2])
    fit = mapping.Finding("fan_in", "error", "layer x", "19 synapses", "10 synapses", "prune this")
    dead = mapping.Finding("silent_layer", "error", "layer y", "no spike at all", "", "more bits", kind="network")
    known = mapping.Finding("near_capacity", "info", "neurons", "97 %", "100", "another core")
    build = replace(build, report=replace(build.report, findings=(fit, dead, known)))
    page_text = Elements(page.render(build)).text
    for shown, findings in ((page_text, (fit, dead, known)), (printed(build), (fit, dead, known)),
                            (printed(build, show=print_build), (fit, dead))):  # fmt: skip
        lines = [f"{f.severity}: {f.rule}: {f.subject}: {f.value}" for f in findings]
        assert [shown.count(line) for line in lines] == [1] * len(lines)
        assert "but DOES NOT FIT loihi2 and SILENT LAYER: layer y" in shown
    assert "another core" not in printed(build, show=print_build)


def test_page_show_and_compile_print_the_same_verdict_and_layers(made):
    build = tc.Build.open(made[2])
    sentence = headline(build).sentence
    layer = build.report.layers[0]
    for shown in (Elements(page.render(build)).text, printed(build), printed(build, show=print_build)):
        assert sentence in " ".join(shown.split())
        assert shown.count(f"{layer.jaccard:.4f}") == 1


def test_compile_leaves_the_page_out_with_a_notice_where_the_libraries_are_missing(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(page, "NEEDS", ("jinja2", "no_such_plotting_library"))
    assert run(["compile", str(made[0]), "-o", str(tmp_path / "b"), "--backend", "none"]) == 0
    assert "no_such_plotting_library not installed; get it with: pip install" in capsys.readouterr().out
    assert not (tmp_path / "b" / "report.html").exists()
    assert (tmp_path / "b" / "report.json").exists()
    assert run(["report", str(tmp_path / "b")]) == 2
    assert "no_such_plotting_library" in capsys.readouterr().err


# --- two builds


@pytest.mark.slow
def test_two_builds_stand_side_by_side_with_what_differs(made, tmp_path, capsys):
    other = tmp_path / "other"
    argv = ["compile", str(made[0]), "--data", str(made[1]), "-o", str(other), "--backend", "none", "-q"]
    assert run([*argv, "--weight-bits", "4", "--rounding", "nearest"]) == 0
    assert run(["report", "--compare", str(made[2]), str(other), "-o", str(tmp_path / "c.html")]) == 0
    elements = Elements((tmp_path / "c.html").read_text())
    assert [a["id"] for tag, a in elements.tags if tag == "section"] == ["differences", *SECTIONS, "words"]
    for folder in (made[2], other):
        assert elements.text.count(f": {folder}") > len(SECTIONS)
    start = elements.text.index("Settings that differ")
    assert start < elements.text.index("Figures", start) < elements.text.index("memory, KiB")
    ids = [a["id"] for _, a in elements.tags if "id" in a and a["id"] != "arrow"]
    assert len(ids) == len(set(ids))
    capsys.readouterr()
    assert run(["show", str(made[2]), str(other)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["arithmetic:", "rounding", "toward_zero", "nearest"] in rows
    assert ["target:", "weight_bits", "8", "4"] in rows


# --- figures and terminal


@pytest.mark.slow
def test_figures_are_written_as_png_and_svg_and_are_the_same_each_time(made, tmp_path):
    build = tc.Build.open(made[2])
    first, second = (write_figures(build, tmp_path / name) for name in "ab")
    names = {path.name for path in first}
    assert {"fidelity-layers.png", "confusion.svg", "distributions-0.svg", "raster-0-sample-0.png"} <= names
    assert any(name.startswith("divergence-") for name in names)
    for a, b in zip(first, second, strict=True):
        assert a.stat().st_size > 1000
        assert a.read_bytes() == b.read_bytes(), a.name


def test_show_prints_every_section_of_the_page_on_a_terminal(made):
    text = printed(made[2])
    for section in report_content(tc.Build.open(made[2])):
        assert section.title in text
    build = tc.Build.open(made[2])
    for layer in build.report.layers:
        assert f"{layer.jaccard:.4f}" in text
    assert re.search("[▁▂▃▄▅▆▇█]{3}", text)


@pytest.mark.parametrize("width", [40, 80])
def test_show_fits_its_terminal(made, width):
    lines = printed(made[2], width).splitlines()
    assert all(len(line) <= width or " " not in line.strip() for line in lines)  # one word is never broken


def test_sparklines_of_one_figure_begin_at_the_same_column():
    series = tuple(
        Series(label, np.arange(5), np.arange(5.0)) for label in ("a", "a much longer name than the first one")
    )
    figure = Figure("f", "Title", "Caption", (Panel("steps", "", "", series),))
    console = Console(width=120, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    show_blocks(console, [Plots(figure)])
    lines = [line for line in console.export_text().splitlines() if "█" in line]
    assert len(lines) == 2
    assert lines[0].index("▂") == lines[1].index("▂")


def test_sparklines_show_the_shape():
    assert spark(np.array([0, 1, 2, 4])) == " ▂▄█"
    assert spark(np.zeros(3)) == "   "
    assert len(spark(np.arange(500), 40)) == 40


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["report"], "needs one build folder, or --compare with two"),
        (["report", "nowhere"], "nowhere: not a build folder"),
        (["show", "nowhere"], "nowhere: not a build folder"),
    ],
)
def test_what_is_no_build_is_refused_in_one_line(argv, says, capsys):
    assert run(argv) == 2
    err = capsys.readouterr().err
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_show_and_explain_measure_the_fixed_soma_from_the_same_integer_threshold(made, tmp_path):
    build = tc.Build.open(shutil.copytree(made[2], tmp_path / "b"))
    first = tc.explain(build, made[1], jobs=1).divergence
    index = next(n for n, layer in enumerate(build.record.layers) if layer.name == first.layer)
    at = build.record.layers[index].window.at
    assert (at.sample, at.step, at.neuron) == (first.sample, first.step, first.neuron)
    figures = {f.name: f for section in report_content(build) for f in section.figures}
    shown = [
        float(n.replace(",", "")) for n in re.findall(r"([+-][\d,.]+) LSB", figures[f"divergence-{index}"].caption)
    ]
    assert shown == pytest.approx([first.margin_float, first.margin_fixed], abs=0.06)
