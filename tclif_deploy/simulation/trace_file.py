"""Traces on disk, written as they come: bit-packed spikes, and the states of chosen layers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import cannot_write
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.simulation.result import Result


class TraceFile:
    """An HDF5 file that grows by a batch at a time.

    ``spikes/<layer>`` is uint8 (samples, time, ceil(neurons / 8)): `numpy.packbits` over neurons, most significant
    bit first, with the attribute ``neurons``. ``states/<layer>`` is int32 (samples, 2, time, neurons): u and v after
    each step, for the layers in ``states``. ``classes`` and ``readout`` have one row a sample.

    Examples
    --------
    >>> import tempfile
    >>> from tclif_deploy import load, load_data, quantize, simulate
    >>> test = load_data("fixtures/smnist_test.npz")[:2]
    >>> fixed = quantize(load("fixtures/smnist_ff/checkpoint.pth.tar"), "loihi2", test)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with TraceFile(f"{folder}/trace.h5", fixed, states=("features.1",)) as trace:
    ...         trace.add(test, simulate(fixed, test, spikes=True, traces=("features.1",)))
    ...     with h5py.File(f"{folder}/trace.h5") as file:
    ...         file["spikes/features.1"].shape, file["states/features.1"].shape
    ((2, 784, 8), (2, 2, 784, 64))
    """

    def __init__(self, path: Path | str, network: FixedNetwork, *, states: Collection[str] = ()) -> None:
        self.path, self.network, self.states = Path(path), network, tuple(states)
        for name in self.states:
            network.layer(name)
        try:
            self.file = h5py.File(self.path, "w")
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def add(self, data: Dataset, result: Result) -> None:
        """Append one batch, run with ``spikes=True`` and ``traces`` of the layers in ``states``."""
        for name, spikes in result.spikes.items():
            group = self._append(f"spikes/{_key(name)}", np.packbits(spikes, axis=2))
            group.attrs["neurons"] = spikes.shape[2]
        for name in self.states:
            self._append(f"states/{_key(name)}", result.traces[name].transpose(1, 0, 2, 3).astype(np.int32))
        self._append("classes", result.classes)
        self._append("readout", result.readout)
        if data.y is not None:
            self._append("y", data.y)

    def _append(self, name: str, values: np.ndarray) -> h5py.Dataset:
        if name not in self.file:
            shape = (0, *values.shape[1:])
            chunks = (1, *values.shape[1:]) if values.ndim > 1 else (1024,)
            self.file.create_dataset(name, shape, values.dtype, maxshape=(None, *values.shape[1:]), chunks=chunks)
        dataset = self.file[name]
        start = dataset.shape[0]
        dataset.resize(start + values.shape[0], axis=0)
        dataset[start:] = values
        return dataset

    def __enter__(self) -> TraceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        if kind is not None:
            self.path.unlink(missing_ok=True)


def _key(layer: str) -> str:
    """A layer's name as an HDF5 key: the slash would open a group."""
    return layer.replace("/", "|")
