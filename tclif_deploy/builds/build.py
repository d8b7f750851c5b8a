"""A build: the folder that compile writes, as one value that every job on a build takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from tclif_deploy import json_form
from tclif_deploy.arguments import checked
from tclif_deploy.backends.rtl.synthesis import FILE as SYNTHESIS
from tclif_deploy.backends.rtl.synthesis import LATER as LATER_OF_CIRCUIT
from tclif_deploy.backends.rtl.synthesis import Synthesis, circuit
from tclif_deploy.builds.attribution import FILE as ATTRIBUTION
from tclif_deploy.builds.attribution import Attribution
from tclif_deploy.builds.folder import AGAIN, MANIFEST, check_is_build, is_build
from tclif_deploy.builds.manifest import Manifest
from tclif_deploy.builds.record import Record
from tclif_deploy.builds.report import Report
from tclif_deploy.comparison import equal
from tclif_deploy.data import Dataset
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path
from tclif_deploy.fixed import LATER_RULES, FixedNetwork, check_same_layers
from tclif_deploy.formats.network_file import read_network
from tclif_deploy.mapping.summary import PlacementSummary
from tclif_deploy.network import Network
from tclif_deploy.outputs import recover
from tclif_deploy.quantization import QuantizeSettings
from tclif_deploy.quantization.calibration import Calibration
from tclif_deploy.target import Target
from tclif_deploy.text import NONE, count
from tclif_deploy.verification import Requirements, Verdict

REPORT, FIXED, NETWORK, RECORD, MAPPING = "report.json", "fixed.npz", "network.npz", "record.npz", "mapping.json"
SYNTHESIZE = "tclif synth writes it again"
T = TypeVar("T")


LATER = frozenset({
    "readout", "min_r2", "max_rmse", "max_smape", "min_r2_to_float", "max_rmse_to_float", "max_smape_to_float",
    "max_energy", "max_latency", "max_cores", "answers_changed", "task", "judged", "rule", "r2", "rmse", "smape",
    "rule_loss", "undecided", "uncertain", "limited", "numbers", "figures", "verified_on", "choices",
    "device", "luts", "flip_flops", "block_rams", "multipliers",
    "threshold_step", "comparator", "neurobench", "growing_factors", "bias_exponent", "shift_decays", "adaptation",
    "dilated_kernel_size", "leaky_u", "proof", "unproven", "mismatch", "learn", "distil", "temperature", "widths",
    "changed_decisions", "stored_weight_bits", "auto_bits_max_memory", "auto_bits_max_cores",
    "rtl_lanes", "rtl_pipelines", "separate_outputs", "agreement_quantized",
    *LATER_RULES,
})  # fmt: skip
"""keys of manifest and report that builds of earlier versions lack: they ask for, and say, what the defaults are"""


@dataclass(frozen=True, eq=False, repr=False)
class Build(Shown):
    """A finished compilation: what `compile` returns, and what `Build.open` reads back from its folder.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> test, quick = tc.load_data("fixtures/spoken_digits/test.npz")[:8], tc.QuantizeSettings(passes=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile("fixtures/spoken_digits/checkpoint.pth.tar", data=test, output=f"{folder}/build",
    ...                        options=tc.CompileOptions(quantize=quick, backend="none"))
    ...     again = tc.Build.open(f"{folder}/build")
    >>> again == build, again.report.samples, str(again.calibration)
    (True, 8, 'fixtures/spoken_digits/calibration.npz (64 samples)')
    """

    folder: Path
    """where it lies"""
    manifest: Manifest
    """what it was made of"""
    report: Report
    """what was measured"""
    network: Network
    """the float network"""
    fixed: FixedNetwork
    """its integers"""
    verdict: Verdict | None = None
    """float against fixed on the data; None where none were given, and nothing was verified"""

    @classmethod
    @checked
    def open(cls, folder: Path | str) -> Build:
        """Read a build folder.

        Raises `TclifError`, one line that names the file, where ``folder`` is no build, or where manifest, report,
        network or integers are damaged. Damaged side files are done without.
        """
        folder = as_path(folder, "expected a build folder")
        recover(folder, is_build)
        check_is_build(folder)
        manifest = json_form.read(Manifest, folder / MANIFEST, AGAIN, LATER)
        report = json_form.read(Report, folder / REPORT, AGAIN, LATER)
        verdict = report.verdict() if report.verified else None
        network, fixed = read_network(folder / NETWORK), FixedNetwork.load(folder / FIXED)
        bits = manifest.settings.weight_bits
        if bits and len(bits) != len(fixed.layers):
            raise TclifError(f"{folder / MANIFEST}: settings.weight_bits is not of {len(fixed.layers)} layers", AGAIN)
        check_same_layers(network, fixed, f"{folder}: {NETWORK} and {FIXED} are of different networks", AGAIN)
        return cls(folder, manifest, report, network, fixed, verdict)

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same, to the last bit, wherever they lie."""
        if not isinstance(other, Build):
            return NotImplemented
        return (
            self.manifest == other.manifest
            and self.report == other.report
            and equal(self.network, other.network)
            and equal(self.fixed, other.fixed)
        )

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    @property
    def target(self) -> Target:
        """The machine whose integers these are."""
        return self.manifest.target

    @property
    def settings(self) -> QuantizeSettings:
        """How it was quantized."""
        return self.manifest.settings

    @property
    def calibration(self) -> Calibration:
        """Which data set its scales; ``.load()`` gives them where they are still there."""
        return self.manifest.calibration

    @property
    def requirements(self) -> Requirements:
        """What was asked of the verdict."""
        return self.manifest.requirements

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """Which requirements the verdict misses, and which backends differ from the reference."""
        return self.report.shortfalls

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know."""
        return self.report.notices

    @property
    def record(self) -> Record | None:
        """Spikes, states and decisions that are kept for the page; None where they are missing or damaged."""
        return self._record[0]

    @property
    def placement(self) -> PlacementSummary | None:
        """Which neurons lie on which core; None where the network does not fit."""
        return self._placement[0]

    @property
    def attribution(self) -> Attribution | None:
        """Where the error comes from; None until ``tclif explain`` has found out."""
        return self._attribution[0]

    @property
    def synthesis(self) -> Synthesis | None:
        """The circuit as it was placed in an FPGA; None until ``tclif synth`` has done it, and after the circuit was
        emitted anew."""
        return self._synthesis[0]

    @property
    def damaged(self) -> tuple[str, ...]:
        """A line for each file that is done without because it is damaged."""
        files = (self._record, self._placement, self._attribution, self._synthesis)
        return tuple(line for _, line in files if line is not None)

    @cached_property
    def _record(self) -> tuple[Record | None, str | None]:
        return _side_file(Record.load, self.folder / RECORD, lambda record: record.check(self.fixed, self.weight_bits))

    @cached_property
    def _placement(self) -> tuple[PlacementSummary | None, str | None]:
        def read(path: Path) -> PlacementSummary:
            return json_form.read(PlacementSummary, path, AGAIN)

        return _side_file(read, self.folder / MAPPING, lambda placement: placement.check(self.fixed))

    @cached_property
    def _attribution(self) -> tuple[Attribution | None, str | None]:
        def read(path: Path) -> Attribution:
            return json_form.read(Attribution, path, "tclif explain writes it again")

        return _side_file(read, self.folder / ATTRIBUTION, lambda found: found.check(self.fixed))

    @cached_property
    def _synthesis(self) -> tuple[Synthesis | None, str | None]:
        folder = self.folder / "rtl"

        def read(path: Path) -> Synthesis:
            return json_form.read(Synthesis, path, SYNTHESIZE, LATER_OF_CIRCUIT)

        def check(found: Synthesis) -> None:
            if found.circuit != circuit(folder):
                raise TclifError("is of another circuit than the one in its folder", SYNTHESIZE)

        return _side_file(read, folder / SYNTHESIS, check)

    def unseen(self, data: Dataset) -> Dataset:
        """``data`` without the samples that set this build's scales, if they are the first of them.

        Raises `TclifError` where none are left.
        """
        count = self.calibration.samples
        if self.calibration.kind != "first_quarter" or not self.calibration.covers(data):
            return data
        if data.samples <= count:
            raise TclifError(f"{data.name}: all {data.samples} samples set the scales of this build", "give others too")
        return data[count:]

    def _brief(self) -> Brief:
        rows = [
            ("network", self.network._brief().line),
            ("integers", self.fixed._brief().line),
            ("verdict", "nothing was verified" if self.verdict is None else self.verdict._brief().line),
            ("missed", "; ".join(self.shortfalls) or NONE),
            ("to know", f"{count(len(self.report.findings), 'finding')}, {count(len(self.notices), 'notice')}"),
        ]
        source = f"{self.manifest.model.path} for {self.target.name}, calibrated on {self.calibration}"
        return Brief(f"Build {self.folder}: {source}", ("", ""), rows)

    @property
    def weight_bits(self) -> tuple[int, ...]:
        """The width of each layer's weights: the target's, where no others were chosen."""
        return self.settings.weight_bits or (self.target.weight_bits.value,) * len(self.fixed.layers)


def _side_file(read: Callable[[Path], T], path: Path, check: Callable[[T], None]) -> tuple[T | None, str | None]:
    """What a file holds that a build can do without, or why it is done without; neither where there is none."""
    try:
        if not os.path.lexists(path):
            return None, None
        value = read(path)
        try:
            check(value)
        except TclifError as error:
            raise TclifError(f"{path}: {error.what}", error.hint) from error
        return value, None
    except TclifError as error:
        return None, f"{error}; done without"
