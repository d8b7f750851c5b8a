"""Data files: what a network is run on."""

from tclif_deploy.data.dataset import Dataset, as_dataset, load_data, load_npz

__all__ = ["Dataset", "as_dataset", "load_data", "load_npz"]
