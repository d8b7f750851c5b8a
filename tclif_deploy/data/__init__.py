"""Data files: what a network is run on."""

from tclif_deploy.data.dataset import Dataset, load_data, load_npz

__all__ = ["Dataset", "load_data", "load_npz"]
