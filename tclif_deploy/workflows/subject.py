"""What a command looks at: a model quantized for a target, or the integers of a finished build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tclif_deploy.builds import folder as buildfolder
from tclif_deploy.data.dataset import Dataset, load_data
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.frontends import ReadOptions, load
from tclif_deploy.mapping.activity import measure
from tclif_deploy.mapping.cost import Cost, cost
from tclif_deploy.mapping.placement import Placement, place
from tclif_deploy.network import Network
from tclif_deploy.quantization import quantize
from tclif_deploy.target import Target, load_target

DEFAULT_TARGET = "loihi2"


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, and where its integers come from."""

    path: Path
    read: ReadOptions = ReadOptions()
    calibration: Dataset | None = None
    """sets the state scales where the network is quantized"""

    @property
    def is_build(self) -> bool:
        """Whether the path is a build folder of ours."""
        return self.path.is_dir()

    def own_target(self) -> Target:
        """A build's target; `DEFAULT_TARGET` for a model."""
        if not self.is_build:
            return load_target(DEFAULT_TARGET)
        return buildfolder.manifest_target(self.path, buildfolder.read_manifest(self.path))

    def network(self) -> Network:
        """The float network."""
        return load(self.path / "network.nir" if self.is_build else self.path, self.read)

    def integers(self, target: Target) -> FixedNetwork:
        """A build's integers where ``target`` is its own; else the network quantized for ``target``.

        Raises `TclifError` where the target cannot hold the network's numbers.
        """
        if self.is_build and target == self.own_target():
            return FixedNetwork.load(self.path / "fixed.npz")
        return quantize(self.network(), target, self.calibration)

    def compiled(self) -> FixedNetwork:
        """A build's integers as they are."""
        return FixedNetwork.load(self.path / "fixed.npz")


def subject(path: Path | str, read: ReadOptions, calibration: Path | str | None, data: Dataset | None) -> Subject:
    """A model file or a build folder. Calibration: as given, else beside the model, else ``data``."""
    path = Path(path)
    if path.is_dir():
        buildfolder.read_manifest(path)
    beside = path.parent / "calibration.npz"
    if calibration is not None:
        scales: Dataset | None = load_data(calibration)
    elif not path.is_dir() and beside.exists():
        scales = load_data(beside)
    else:
        scales = data
    return Subject(path, read, scales)


def assess(found: Subject, target: Target, data: Dataset, strategy: str = "greedy") -> tuple[Placement, Cost]:
    """Placement and cost of a network on ``target``; raises `TclifError` where it does not fit."""
    fixed = found.integers(target)
    placement = place(fixed, target, strategy)
    return placement, cost(fixed, target, placement, measure(fixed, data))


def compare(
    found: Subject, targets: tuple[Target, ...], data: Dataset, strategy: str = "greedy"
) -> list[tuple[str, Placement, Cost] | tuple[str, TclifError]]:
    """What if: `assess` for each target; one that does not fit is told, and stops no other.

    Examples
    --------
    >>> loihi2 = load_target("loihi2")
    >>> data = load_data("fixtures/smnist_test.npz")[:2]
    >>> model = Subject(Path("fixtures/smnist_ff/checkpoint.pth.tar"), calibration=data)
    >>> wide, narrow = compare(model, (loihi2, loihi2.override(weight_bits=4)), data)
    >>> narrow[1].utilization()["synaptic_memory"]["peak"] < wide[1].utilization()["synaptic_memory"]["peak"]
    True
    """
    results: list[tuple[str, Placement, Cost] | tuple[str, TclifError]] = []
    for target in targets:
        try:
            results.append((target.name, *assess(found, target, data, strategy)))
        except TclifError as error:
            results.append((target.name, error))
    return results
