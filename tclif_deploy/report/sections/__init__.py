"""The report's sections, one file each: a build in, a `Section` out."""

from collections.abc import Callable

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Section
from tclif_deploy.report.sections.backends import backends
from tclif_deploy.report.sections.fidelity import fidelity
from tclif_deploy.report.sections.findings import findings
from tclif_deploy.report.sections.hardware import hardware
from tclif_deploy.report.sections.network import network
from tclif_deploy.report.sections.provenance import provenance
from tclif_deploy.report.sections.quantization import quantization
from tclif_deploy.report.sections.spikes import spikes

SECTIONS: tuple[Callable[[Build], Section], ...] = (
    findings, network, quantization, fidelity, spikes, hardware, backends, provenance,
)  # fmt: skip
"""in the order in which a reader asks"""


def story(build: Build) -> tuple[Section, ...]:
    """Every section of a build."""
    return tuple(section(build) for section in SECTIONS)


__all__ = ["SECTIONS", "story"]
