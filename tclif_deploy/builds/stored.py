"""A build folder, read back for showing: nothing here computes anything new."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tclif_deploy.builds import folder as buildfolder
from tclif_deploy.builds.record import Record
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork

Json = dict[str, Any]


@dataclass(frozen=True, eq=False)
class StoredBuild:
    """What a build folder holds; None where it holds no such part."""

    folder: Path
    manifest: Json
    report: Json
    fixed: FixedNetwork
    record: Record | None
    mapping: Json | None
    """``mapping.json``: cores and what they use"""
    account: Json | None
    """``explain.json``: where the error comes from"""

    @property
    def model(self) -> str:
        """The model's file, as it was named to the compiler."""
        return str(self.manifest["model"]["path"])

    @property
    def target(self) -> str:
        """The target's name."""
        return str(self.manifest["target"]["name"])

    @property
    def verified(self) -> bool:
        """Whether float and fixed were compared on data."""
        return bool(self.report.get("verified"))

    def limit(self, name: str) -> Any:
        """The value of one of the target's limits, None where it states none."""
        found = self.manifest["target"].get(name)
        return found.get("value") if isinstance(found, dict) else found

    @property
    def weight_bits(self) -> list[int]:
        """The width of each layer's weights: the target's, where no others were chosen."""
        chosen: list[int] = self.manifest["settings"]["weight_bits"]
        return chosen or [int(self.limit("weight_bits"))] * len(self.fixed.layers)


def load_build(folder: Path | str) -> StoredBuild:
    """Read a build folder. Raises `TclifError` where it is none, or where a part that every build has is broken."""
    folder = Path(folder)
    manifest = buildfolder.read_manifest(folder)
    return StoredBuild(
        folder=folder,
        manifest=manifest,
        report=_json(folder / "report.json"),
        fixed=FixedNetwork.load(folder / "fixed.npz"),
        record=Record.load(folder / "record.npz") if (folder / "record.npz").exists() else None,
        mapping=_json(folder / "mapping.json") if (folder / "mapping.json").exists() else None,
        account=_json(folder / "explain.json") if (folder / "explain.json").exists() else None,
    )


def _json(path: Path) -> Json:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TclifError(f"{path}: cannot be read ({error})", "compile the model again") from error
    if not isinstance(found, dict):
        raise TclifError(f"{path}: holds no JSON object", "compile the model again")
    return found
