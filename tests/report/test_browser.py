"""The page of the S-MNIST fixture as a person meets it: in a real browser, without a network."""

import base64
import json
import time
from pathlib import Path

import pytest

from tclif_deploy.builds import Build
from tclif_deploy.cli.main import run
from tests.helpers.browser import chromium
from tests.helpers.requirements import missing

ROOT = Path(__file__).parents[2]
AXE = ROOT / "build" / "node" / "node_modules" / "axe-core" / "axe.min.js"
LARGEST = 8_000_000
SLOWEST_MS = 2000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smnist") / "b"
    fixtures = ROOT / "fixtures"
    argv = ["compile", str(fixtures / "smnist_ff" / "checkpoint.pth.tar"), "--samples", "6", "-o", str(folder), "-q"]
    assert run([*argv, "--data", str(fixtures / "smnist_test.npz"), "--backend", "none"]) == 0
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def opened(browser, build):
    """The page, open at its top at the widest width, in light colours."""
    screen(browser, 1400)
    browser.get((build / "report.html").as_uri())
    return browser


def screen(driver, width: int, dark: bool = False) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})


def until(driver, script: str, seconds: float = 300):
    """The script's value as soon as it is truthy."""
    end = time.monotonic() + seconds
    while not (value := driver.execute_script(f"return {script}")):
        assert time.monotonic() < end, script
        time.sleep(0.05)
    return value


def scroll_through(driver) -> None:
    """Every plot is drawn when it comes near the window."""
    driver.execute_script("document.querySelectorAll('.plot').forEach(e => e.style.scrollMargin = '100px')")
    for n in range(driver.execute_script("return document.querySelectorAll('.plot').length")):
        plot = f"document.querySelectorAll('.plot')[{n}]"
        driver.execute_script(f"{plot}.scrollIntoView({{behavior: 'instant'}})")
        until(driver, f"{plot}.querySelector('svg.main-svg') !== null")


def raster(driver, what: str):
    return until(driver, f"document.querySelector('[data-raster] .plot').layout && {what}")


X_RANGE = "document.querySelector('[data-raster] .plot').layout.xaxis.range.map(Number)"
CAPTION = "document.querySelector('[data-raster] [data-do=caption]').textContent"


def press(driver, name: str) -> None:
    driver.execute_script(f"document.querySelector('[data-raster] [data-do={name}]').click()")


def pick(driver, name: str, index: int) -> None:
    driver.execute_script(
        f"const s = document.querySelector('[data-raster] [data-do={name}]'); s.value = {index};"
        "s.dispatchEvent(new Event('change'))"
    )


def test_the_page_is_small(build):
    assert (build / "report.html").stat().st_size < LARGEST


def test_it_opens_quickly_without_network_or_console_errors(opened):
    """Counted in the browser's own working time: the machine that tests may be busy with others."""
    opened.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    opened.get_log("browser")
    opened.refresh()
    metrics = {m["name"]: m["value"] for m in opened.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    assert 1000 * metrics["TaskDuration"] < SLOWEST_MS
    scroll_through(opened)
    assert opened.get_log("browser") == []
    assert opened.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []


def test_every_section_and_every_plot_is_there(opened, build):
    sections = opened.execute_script("return [...document.querySelectorAll('main > section')].map(e => e.id)")
    assert sections == [
        "fidelity",
        "findings",
        "hardware",
        "network",
        "quantization",
        "spikes",
        "neurobench",
        "backends",
        "provenance",
        "words",
    ]
    scroll_through(opened)
    empty = opened.execute_script(
        "return [...document.querySelectorAll('.plot')].filter(e => !e.data.length).map(e => e.dataset.plot)"
    )
    assert empty == []


def test_the_raster_zooms_and_pans(opened):
    opened.execute_script("document.querySelector('[data-raster]').scrollIntoView({behavior: 'instant'})")
    assert raster(opened, X_RANGE) == [-0.5, 783.5]
    press(opened, "in")
    assert until(opened, X_RANGE) == [195.5, 587.5]
    press(opened, "later")
    assert until(opened, X_RANGE) == [391.5, 783.5]
    press(opened, "earlier")
    press(opened, "out")
    assert until(opened, X_RANGE) == [-0.5, 783.5]
    press(opened, "in")
    press(opened, "all")
    assert until(opened, X_RANGE) == [-0.5, 783.5]


def test_the_pickers_show_every_stored_layer_and_sample_with_the_record_s_counts(opened, build):
    record = Build.open(build).record
    opened.execute_script("document.querySelector('[data-raster]').scrollIntoView({behavior: 'instant'})")
    raster(opened, CAPTION)
    layers = [layer for layer in record.layers if layer.spikes.shape[1]]
    for n, layer in enumerate(layers):
        pick(opened, "layer", n)
        for s, sample in enumerate(record.samples):
            pick(opened, "sample", s)
            a, b = layer.spikes[:, s]
            caption = opened.execute_script(f"return {CAPTION}")
            assert caption.startswith(f"Hidden {n + 1} ({layer.name}), sample {sample}: ")
            assert f"{(a & b).sum():,} spikes in both, {(a & ~b).sum():,} only in float" in caption


def test_controls_are_reached_by_keyboard(opened):
    from selenium.webdriver.common.keys import Keys

    names = []
    body = opened.find_element("tag name", "body")
    body.send_keys(Keys.TAB)
    for _ in range(60):
        active = opened.switch_to.active_element
        names.append(active.get_attribute("data-do") or active.get_attribute("class") or active.get_attribute("href"))
        active.send_keys(Keys.TAB)
    assert names[0] == "skip"
    controls = [name for name in names if name in ("layer", "sample", "earlier", "in", "out", "later", "all")]
    assert controls[:7] == ["layer", "sample", "earlier", "in", "out", "later", "all"]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 400, 1000, 1600])
def test_nothing_overflows_at_any_width(opened, width, dark):
    screen(opened, width, dark)
    opened.refresh()
    scroll_through(opened)
    assert opened.execute_script("return document.documentElement.scrollWidth") == width
    beyond = opened.execute_script(
        "return [...document.querySelectorAll('h1, h2, p, figure, svg.drawing, .table, .plot, button, select')]"
        f".filter(e => e.getBoundingClientRect().right > {width} + 0.5).map(e => e.outerHTML.slice(0, 80))"
    )
    assert beyond == []
    paper = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(21, 24, 27)" if dark else "rgb(255, 255, 255)")


@pytest.mark.parametrize("width", [400, 1000, 1600])
def test_tables_scroll_inside_their_box_and_cut_no_heading_or_word(opened, width):
    screen(opened, width)
    opened.refresh()
    boxes = opened.execute_script(
        "return [...document.querySelectorAll('.table')].map(b => [b.scrollWidth > b.clientWidth,"
        "getComputedStyle(b).overflowX, b.getBoundingClientRect().right])"
    )
    assert any(wide for wide, _, _ in boxes) == (width == 400)
    assert all(overflow == "auto" and right <= width for _, overflow, right in boxes)
    cut = opened.execute_script(
        "return [...document.querySelectorAll('.table-title, thead th, tbody th, .tiles *')]"
        f".filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth || (e.matches('.table-title, .tiles *')"
        f" && e.getBoundingClientRect().right > {width})).map(e => e.textContent)"
    )
    assert cut == []
    names = opened.execute_script(
        "return [...document.querySelectorAll('tbody th.left')].filter(e => /^hidden \\d \\(/.test(e.textContent))"
        ".map(e => e.getClientRects()[0].height / parseFloat(getComputedStyle(e).lineHeight))"
    )
    assert names
    rows = "[...document.querySelectorAll('.network tbody th')].map(e => e.getBoundingClientRect().width)"
    assert min(opened.execute_script(f"return {rows}")) > 80  # a layer's name breaks at its space, not within a word


@pytest.mark.parametrize("width", [400, 1000, 1600])
def test_the_first_screen_shows_the_verdict_and_the_tiles(opened, width):
    screen(opened, width)
    opened.refresh()
    below = opened.execute_script(
        "return Math.max(...[...document.querySelectorAll('.tiles div')].map(e => e.getBoundingClientRect().bottom))"
    )
    assert below < 900
    order = opened.execute_script(
        "return ['.verdict', '.tiles', '#fidelity'].map(s => document.querySelector(s).getBoundingClientRect().top)"
    )
    assert order == sorted(order)


def test_plots_follow_a_change_to_dark_colours(opened):
    scroll_through(opened)
    ink = "document.querySelector('.plot .xtick text').style.fill"
    before = opened.execute_script(f"return {ink}")
    screen(opened, 1400, dark=True)
    until(opened, f"{ink} !== '{before}'")


def test_it_prints_every_plot_on_white_paper(opened, tmp_path):
    screen(opened, 1400, dark=True)
    opened.refresh()
    result = opened.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    pdf = base64.b64decode(result["data"])
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 100_000
    plots = "[...document.querySelectorAll('.plot')]"
    drawn = opened.execute_script(f"return {plots}.filter(e => e.querySelector('svg.main-svg')).length")
    assert drawn == opened.execute_script(f"return {plots}.length")


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(opened, dark):
    if not AXE.exists():
        missing("axe-core")
    screen(opened, 1400, dark)
    opened.refresh()
    scroll_through(opened)
    opened.execute_script(AXE.read_text(encoding="utf-8"))
    violations = opened.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run().then(r => done(r.violations.map("
        "v => [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 120))])), e => done(String(e)))"
    )
    assert isinstance(violations, list), violations
    assert [v for v in violations if v[0] in ("serious", "critical")] == [], json.dumps(violations, indent=1)
