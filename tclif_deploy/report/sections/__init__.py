"""The report's sections, one file each: a build in, a `Section` out."""

from collections.abc import Callable

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Section, label_section
from tclif_deploy.report.sections.backends import backends
from tclif_deploy.report.sections.fidelity import fidelity
from tclif_deploy.report.sections.findings import findings
from tclif_deploy.report.sections.hardware import hardware
from tclif_deploy.report.sections.network import network
from tclif_deploy.report.sections.neurobench import neurobench
from tclif_deploy.report.sections.provenance import provenance
from tclif_deploy.report.sections.quantization import quantization
from tclif_deploy.report.sections.spikes import spikes
from tclif_deploy.text import layer_labels

SECTIONS: tuple[Callable[[Build], Section], ...] = (
    fidelity, findings, hardware, network, quantization, spikes, neurobench, backends, provenance,
)  # fmt: skip
"""in the order in which a reader asks"""


def report_content(build: Build) -> tuple[Section, ...]:
    """Every section of a build, for people: layers by their labels."""
    labels = layer_labels([layer.name for layer in build.fixed.layers])
    return tuple(label_section(section(build), labels) for section in SECTIONS)


__all__ = ["SECTIONS", "report_content"]
