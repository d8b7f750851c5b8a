"""JSON schemas of ``report.json`` and ``manifest.json``, as files of the package.

``python -m tclif_deploy.builds.schema`` writes them again after a change of `Report` or `Manifest`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tclif_deploy import json_form
from tclif_deploy.builds.manifest import Manifest
from tclif_deploy.builds.report import Report
from tclif_deploy.outputs import write_file

FORMS: dict[str, type[Report] | type[Manifest]] = {"report": Report, "manifest": Manifest}


def schema(name: str) -> dict[str, Any]:
    """The schema of the file ``report.json`` or ``manifest.json``, from the class that reads it."""
    form = FORMS[name]
    title = f"tclif-build {name}, version {form.version}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **json_form.schema(form), "title": title}


def path_of(name: str) -> Path:
    """Its file in the package."""
    return Path(__file__).parent / f"{name}.schema.json"


def write() -> None:
    """Write both files."""
    for name in FORMS:
        write_file(path_of(name), (json.dumps(schema(name), indent=2) + "\n").encode())
