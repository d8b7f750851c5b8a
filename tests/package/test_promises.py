"""What is promised is said alike everywhere: Pythons, systems, what Lava needs, the checks before a commit."""

import re
import tomllib
from pathlib import Path

import yaml

from tclif_deploy import extras
from tclif_deploy.backends.lava import install_commands
from tclif_deploy.workflows.doctor import TESTED_PYTHONS
from tests.helpers.requirements import INSTALLED_BY

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(text("pyproject.toml"))["project"]


def test_pythons_are_the_same_in_metadata_doctor_workflow_and_pages():
    classified = [c.split(" :: ")[-1] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert tuple(classified) == TESTED_PYTHONS
    assert PROJECT["requires-python"] == f">={TESTED_PYTHONS[0]}"
    (job,) = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"].values()
    assert tuple(job["strategy"]["matrix"]["python"]) == TESTED_PYTHONS
    listed = f"{', '.join(TESTED_PYTHONS[:-1])} and {TESTED_PYTHONS[-1]}"
    assert f"Promised are Python {listed} on Linux x86-64" in text("README.md")
    assert f"Promised Pythons are {TESTED_PYTHONS[0]} to {TESTED_PYTHONS[-1]} on Linux x86-64" in text(
        "CONTRIBUTING.md"
    )
    for page in ("README.md", "docs/index.md", "Makefile"):
        assert f"Python {TESTED_PYTHONS[0]} or newer" in text(page), page


def test_the_workflow_runs_what_anyone_can_run():
    (job,) = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_the_hooks_before_a_commit_are_those_of_make_lint():
    (local,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    hooks = [hook["entry"].removeprefix(".venv/bin/").replace(" --fix", "") for hook in local["hooks"]]
    recipe = text("Makefile").split("\nlint:")[1].split("\n\n")[0]
    linted = re.findall(r"\$\(BIN\)/(\w+(?: \w+)?)", recipe)
    assert hooks == linted


def test_the_readme_names_every_package_without_which_a_test_is_skipped():
    table = text("README.md").split("\n## Tests\n")[1].split("\n## ")[0]
    for name, command in INSTALLED_BY.items():
        if command.startswith("apt-get install "):
            for package in command.removeprefix("apt-get install ").split():
                assert re.search(rf"[` ]{re.escape(package)}[` ]", table), (name, package)
        elif command.startswith("npm"):
            assert command in table
        elif command == "make oracles":
            assert name in table
        else:
            assert command == "make test"
            assert name in (*table.replace(",", " ").replace("(", " ").replace(")", " ").split(), "lava")


def test_the_readme_names_every_extra_and_what_it_is_for():
    for module, package in extras.OPTIONAL.items():
        assert f"`pip install '.[{package.extra}]'`" in text("README.md"), module
        assert module in " ".join(PROJECT["optional-dependencies"][package.extra])
    named = {package.extra for package in extras.OPTIONAL.values()}
    assert PROJECT["optional-dependencies"].keys() - named == {"lava", "docs", "dev", "report"}


def test_what_lava_needs_is_the_extra_of_that_name():
    needed = set(PROJECT["optional-dependencies"]["lava"])
    first, second = install_commands()
    assert set(first.replace('"', "").removeprefix("pip install ").split()) == needed
    assert second.endswith(" lava-nc==0.10.0")
