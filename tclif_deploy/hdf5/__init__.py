"""HDF5, which NIR and netx files are: read with care, written whole or not at all."""

from tclif_deploy.hdf5.file import DAMAGE, FileReader, write_hdf5

__all__ = ["DAMAGE", "FileReader", "write_hdf5"]
