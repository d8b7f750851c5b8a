"""Writes the schema files."""

from tclif_deploy.builds.schema import write

write()
