"""Checkpoints of other neurons of the family, read by the names of their parameters."""

from tclif_deploy.formats.families.recognise import OF_FAMILIES, family_network

__all__ = ["OF_FAMILIES", "family_network"]
