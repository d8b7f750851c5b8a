"""Examples in docstrings: all of them run, and everything that the page on Python documents shows one."""

from __future__ import annotations

import ast
import doctest
import inspect
import json
import types
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tclif_deploy.builds.schema import FORMS, schema
from tests.package.api_page import ROOT, documented, entries, found, has_example, members, without_example

ALONE = ROOT / "tclif_deploy" / "backends" / "lava" / "template"
"""Runs without this package, where Lava is installed."""
DOCUMENTED = documented()
SLOW = {
    "nn.quantized.QuantizedNetwork", "simulation.partially_quantized.simulate_mixed", "simulation.trace_file.TraceFile",
    "verification.error_attribution.attribute_error", "workflows.finetune.finetune", "workflows.explain.explain",
    "builds.attribution.Attribution", "report.static.write_figures",
}  # fmt: skip
"""examples that take more than about half a second"""


class Example(NamedTuple):
    """A docstring with lines to type."""

    module: str
    name: str
    """in the module; empty where it is the module's own"""
    text: str
    line: int

    @property
    def path(self) -> str:
        """Its dotted name."""
        return f"{self.module}.{self.name}".rstrip(".")


def examples_of(module: str, source: str) -> list[Example]:
    """Found in the source, not by importing: decorated functions too, and at no cost while tests are collected."""
    examples = []

    def visit(node: ast.AST, names: tuple[str, ...]) -> None:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node, clean=True) or ""
            if ">>>" in text:
                line = node.body[0].lineno  # type: ignore[attr-defined]
                examples.append(Example(module, ".".join(names), text, line))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
                visit(child, (*names, child.name))

    visit(ast.parse(source), ())
    return examples


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


EXAMPLES = [
    example
    for file in sorted((ROOT / "tclif_deploy").rglob("*.py"))
    if not file.is_relative_to(ALONE)
    for example in examples_of(module_name(file), file.read_text(encoding="utf-8"))
]
PUBLIC = {
    f"{value.__module__}.{value.__qualname__}"
    for value in DOCUMENTED.values()
    if callable(value) or inspect.isclass(value)
}
"""where what the page documents is defined"""


def is_public(example: Example) -> bool:
    """Whether the page shows it: the example of a name on it, or of a class's method."""
    return example.path in PUBLIC or example.path.rpartition(".")[0] in PUBLIC


def run(example: Example) -> str:
    """What differs from what the example says, empty where nothing does.

    An example of the page runs by itself, as a reader would copy it; others see the names of their module.
    """
    names = {"__name__": "__main__"} if is_public(example) else vars(found(example.module)).copy()
    test = doctest.DocTestParser().get_doctest(example.text, names, example.path, example.module, example.line)
    report: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    return "".join(report)


def each(example: Example) -> Any:
    """As a parameter of a test, called by its name."""
    name = example.path.removeprefix("tclif_deploy.")
    return pytest.param(example, id=name, marks=[pytest.mark.slow] if name in SLOW else [])


@pytest.mark.parametrize("example", map(each, EXAMPLES))
def test_the_example_prints_what_it_says(example, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert run(example) == ""


def test_everything_that_the_page_documents_shows_an_example():
    assert without_example(DOCUMENTED) == []


def test_a_module_on_the_page_says_which_of_its_names_are_meant():
    modules = {
        name: members(options) for name, options in entries().items() if isinstance(found(name), types.ModuleType)
    }
    assert modules.keys() >= {"tclif_deploy.network", "tclif_deploy.backends"}
    assert [name for name, names in modules.items() if names is None] == []


def test_the_walk_sees_functions_classes_and_methods_and_names_those_without_an_example():
    def bare():
        """Nothing to type."""

    def shown():
        """>>> 1
        1
        """

    class Bare:
        """No method of its own shows anything."""

        def method(self):
            """Nothing."""

        _hidden = shown

    class Heir(Bare):
        """An inherited example would not be its own."""

    class ByMethod(Bare):
        """One of its own methods does."""

        make = classmethod(lambda cls: cls())
        method = shown

    objects = {"bare": bare, "shown": shown, "Bare": Bare, "Heir": Heir, "ByMethod": ByMethod, "A_CONSTANT": ">>>"}
    assert without_example(objects) == ["bare", "Bare", "Heir"]


def test_the_walk_finds_what_a_page_names_alone_and_within_modules():
    page = """
::: tclif_deploy.neurons.growth_notice
::: tclif_deploy.network
    options: {members: [Network, check_topology]}
::: tclif_deploy.fixed
    options: {members: false}
::: tclif_deploy.CompileOptions
    options: {inherited_members: true}
"""
    assert list(documented(page)) == [
        "tclif_deploy.neurons.growth_notice", "tclif_deploy.network.Network", "tclif_deploy.network.check_topology",
        "tclif_deploy.CompileOptions",
    ]  # fmt: skip
    assert without_example(documented(page)) == [
        "tclif_deploy.neurons.growth_notice", "tclif_deploy.network.check_topology",
    ]  # fmt: skip
    assert members(entries("::: tclif_deploy.network")["tclif_deploy.network"]) is None


def test_examples_are_found_on_modules_classes_methods_and_decorated_functions():
    source = '"""A module.\n\n>>> 1\n1\n"""\n@wrapped\ndef f():\n    """>>> 2"""\nclass C:\n    """>>> 3"""\n'
    source += '    def m(self):\n        """>>> 4"""\n    def n(self):\n        """Nothing."""\n'
    found_examples = [(example.path, example.line) for example in examples_of("package.module", source)]
    assert found_examples == [
        ("package.module", 1), ("package.module.f", 8), ("package.module.C", 10), ("package.module.C.m", 12),
    ]  # fmt: skip
    assert {name for name, value in DOCUMENTED.items() if callable(value) and has_example(value)} >= {
        "tclif_deploy.load", "tclif_deploy.neurons.tclif", "tclif_deploy.network.Network",
    }  # fmt: skip
    assert {example.path for example in EXAMPLES} >= {f"tclif_deploy.{name}" for name in SLOW} | {
        "tclif_deploy.neurons.standard.tclif", "tclif_deploy.convolution.LinearMap.matrix",
        "tclif_deploy.quantization.quantizer.quantize", "tclif_deploy.text.count",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (">>> 1 + 1\n2\n", ""),
        (">>> 1 + 1\n3\n", "Expected:\n    3\nGot:\n    2"),
        (">>> nothing\n", "NameError"),
        (">>> Network\n", "name 'Network' is not defined"),
    ],
)
def test_an_example_that_is_wrong_or_cannot_be_copied_fails(text, says):
    report = run(Example("tclif_deploy.network", "Network", text, 1))
    assert (says in report) if says else report == ""


def test_an_example_inside_the_package_sees_the_names_of_its_module():
    assert run(Example("tclif_deploy.network", "layers_brief", ">>> Network.__name__\n'Network'\n", 1)) == ""


def test_the_schemas_of_a_build_s_files_describe_classes_without_their_examples():
    text = json.dumps([schema(name) for name in FORMS])
    assert "A machine's arithmetic, its memories and its costs" in text
    assert ">>>" not in text
    assert "Examples" not in text
