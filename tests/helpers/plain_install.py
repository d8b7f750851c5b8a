"""Runs ``tclif`` as after a plain ``pip install .``: what pyproject's dependencies do not bring cannot be imported.

``python tests/helpers/plain_install.py compile MODEL ...``
"""

from __future__ import annotations

import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def distributions() -> set[str]:
    """Names of what a plain install brings, ours among them, as the installed packages' metadata say."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names, left = {project["name"]}, [Requirement(text) for text in project["dependencies"]]
    while left:
        requirement = left.pop()
        name = canonical(requirement.name)
        if name in names or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        names.add(name)
        try:
            left += [Requirement(text) for text in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:  # of another system
            continue
    return names


def canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def hidden() -> set[str]:
    """Modules that are installed here and would not be there."""
    plain = distributions()
    return {
        module
        for module, owners in metadata.packages_distributions().items()
        if not {canonical(owner) for owner in owners} & plain
    }


class Absent:
    """Finds nothing of what is hidden."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Absent(hidden()))  # type: ignore[arg-type]
    from tclif_deploy.cli.start import main

    sys.argv[0] = "tclif"
    main()
