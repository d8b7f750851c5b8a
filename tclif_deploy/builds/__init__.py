"""The build folder: what compile writes, and what every command that works on a build reads."""

from tclif_deploy.builds.build import Build
from tclif_deploy.builds.manifest import Manifest
from tclif_deploy.builds.report import Report

__all__ = ["Build", "Manifest", "Report"]
