"""Traces on disk, written as they come: bit-packed spikes, and the states of chosen layers."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.outputs import check_file_place, new_file
from tclif_deploy.simulation.result import Result


class TraceFile:
    """An HDF5 file that grows by a batch at a time.

    ``spikes/<layer>`` is uint8 (samples, time, ceil(neurons / 8)): `numpy.packbits` over neurons, most significant
    bit first, with the attribute ``neurons``; where a neuron may fire several times a step, it is how often each did,
    (samples, time, neurons). ``states/<layer>`` is int32 (samples, 2, time, neurons): u and v after each step, for the
    layers in ``states``. ``classes`` and ``readout`` have one row a sample.

    The file stands under its name when the block has ended well; none of ``inputs``, files that are read meanwhile, may
    be it. Raises `TclifError`.

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

    def __init__(
        self,
        path: Path | str,
        network: FixedNetwork,
        *,
        states: Collection[str] = (),
        inputs: Iterable[object] = (),
    ) -> None:
        self.path, self.network, self.states = Path(path), network, tuple(states)
        for name in self.states:
            network.layer(name)
        check_file_place(self.path, inputs)
        self._stack = ExitStack()
        self._place = new_file(self.path, inputs=inputs)

    def add(self, data: Dataset, result: Result) -> None:
        """Append one batch, run with ``spikes=True`` and ``traces`` of the layers in ``states``."""
        for name, spikes in result.spikes.items():
            # how often a neuron fired, where that may be several times a step, takes a byte of each
            group = self._append(
                f"spikes/{_key(name)}", spikes if spikes.dtype == np.uint8 else np.packbits(spikes, axis=2)
            )
            group.attrs["neurons"] = spikes.shape[2]
        for name in self.states:
            self._append(f"states/{_key(name)}", result.traces[name].transpose(1, 0, 2, 3).astype(np.int32))
        self._append("classes", result.classes)
        self._append("readout", result.readout)
        if data.y is not None:
            self._append("y", data.y)

        self._sink.check()

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
        part = self._stack.enter_context(self._place)
        self._sink = self._stack.enter_context(_Sink(part))
        self.file = self._stack.enter_context(h5py.File(self._sink, "w"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


class _Sink(io.FileIO):
    """A file for HDF5, to which a write that fails looks like one that did not.

    HDF5 ends in a segmentation fault where a file cannot be closed because the disk is full. So the first error is
    kept, for `check` and the end of the block to raise, and what comes after it is dropped.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the error of the first write that failed."""
        if self.error is not None:
            raise self.error

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                done += super().write(view[done:])
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if error[0] is None:
            self.check()


def _key(layer: str) -> str:
    """A layer's name as an HDF5 key: the slash would open a group."""
    return layer.replace("/", "|")
