"""Data: what a network is run on."""

from tclif_deploy.data.accept import DataLike, as_dataset
from tclif_deploy.data.dataset import Dataset
from tclif_deploy.data.npz import load_npz
from tclif_deploy.data.read import load_data

__all__ = ["DataLike", "Dataset", "as_dataset", "load_data", "load_npz"]
