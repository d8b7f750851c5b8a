"""NIR's data (nir 1.0.8: ``nir.read_data``, ``nir.write_data``): samples on a grid of steps, or as events in time.

A file is HDF5: nodes, each with observables, each an array on a grid, or events with or without values. What NIR's data
have no word for (targets, lengths, the scale of integers) stands in a group beside, which other tools do not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import TASKS, Dataset, Task
from tclif_deploy.errors import TclifError
from tclif_deploy.hdf5 import DAMAGE, FileReader, write_hdf5
from tclif_deploy.text import count

Kind = Literal["grid", "events"]
EXPECTED = "expected NIR's data, as nir.write_data writes it: nodes, each with observables"
OWN = "tclif_deploy"
"""the group of what NIR's data do not say"""
INPUT_NODE = "input"
"""the node that is read where a file has several"""
ON_GRID = 1e-9
"""relative error of a time that is a whole number of steps"""
DEEPEST = 16
"""nodes within nodes"""
MOST_VALUES = 1 << 31
"""of events on a grid: samples times steps times features"""


def is_nir_data(path: Path) -> bool:
    """Whether an HDF5 file holds NIR's data, and no graph."""
    try:
        with h5py.File(path, "r") as file:
            return "nodes" in file and "node" not in file
    except DAMAGE:
        return False


def load_nir_data(path: Path, task: Task | None = None, dt: float | None = None) -> Dataset:
    """The samples of a file of NIR's data: what its node ``input`` has, or the only node, in one observable.

    Events become steps of ``dt``, of which the file must know none: an event at time t belongs to step floor(t/dt), as
    in nir's ``to_time_gridded``. Raises `TclifError` for damaged files and for events without a step.
    """
    with FileReader.opened(path, str(path), EXPECTED) as reader:
        where, group = _choose(str(path), dict(_observables(reader, reader.file, str(path), "")))
        x = _grid(reader, group, where, dt) if "data" in group else _events(reader, group, where, dt)
        own = _own(reader, str(path)) if OWN in reader.file else {}
    scale = float(own.pop("scale", 1.0))
    dtype = own.pop("dtype", None)
    if dtype is not None:
        with np.errstate(all="ignore"):
            whole = np.rint(x / scale).astype(dtype)
        if not np.allclose(whole * scale, x, rtol=ON_GRID, atol=0.0):
            raise TclifError(f"{path}: its values are no whole numbers of {scale:g}", "were they changed?")
        x = whole
    else:
        scale = 1.0
    given = own.pop("task", None)
    return Dataset(x, **own, scale=scale, name=str(path), task=task or given)


def step_of(path: Path) -> float | None:
    """Seconds of a step that a file of NIR's data says; None where it says none, and for any other file."""
    if not is_nir_data(path):
        return None
    with FileReader.opened(path, str(path), EXPECTED) as reader:
        where, group = _choose(str(path), dict(_observables(reader, reader.file, str(path), "")))
        return _attribute(group, "dt", where)


def dataset_of(data: Any, task: Task | None = None, name: str = "data") -> Dataset:
    """NIR's data in memory as a `Dataset`: a ``nir.TimeGriddedData``, or a ``nir.NIRGraphData`` with one in it."""
    if hasattr(data, "nodes"):
        found = dict(_within(data, ""))
    else:
        found = {f"{INPUT_NODE}.{key}": value for key, value in getattr(data, "observables", {"data": data}).items()}
    where, chosen = _choose(name, found)
    if not hasattr(chosen, "data"):
        raise TclifError(f"{where}: holds events in time", "give data.to_time_gridded(dt)")
    x = np.asarray(chosen.data)
    return Dataset(x, name=name, task=task)


def write_nir_data(data: Dataset, path: Path | str, dt: float, kind: Kind = "grid") -> tuple[str, ...]:
    """Write samples as NIR's data of the node ``input``, steps of ``dt`` seconds; returns what there is to say.

    ``events`` writes zeros, and what lies behind a sample's end, not at all, ones as events, other values as valued
    events. ``nir.read_data`` reads the
    file; targets, lengths and the scale of integers stand in a group of our own, which it leaves out.
    """
    if not (np.isfinite(dt) and dt > 0):
        raise TclifError(f"{path}: a step of {dt:g}", "a positive number of seconds is needed")
    binary = bool(np.isin(data.x, (0, 1)).all()) and data.scale == 1.0
    values = data.x.astype(np.bool_) if binary else data.x if data.scale == 1.0 else data.values()
    valid, said = data.valid(), []
    if kind == "events":
        padding = int(np.count_nonzero(np.asarray(values)[~valid]))
        if padding:
            said.append(f"{count(padding, 'value')} behind the ends of their samples: left out")
        values = np.where(valid[:, :, None], values, np.zeros((), values.dtype))

    def fill(file: Any) -> None:
        file.attrs["__type__"] = "NIRGraphData"
        node = file.create_group(f"nodes/{INPUT_NODE}")
        node.attrs["__type__"] = "NIRNodeData"
        group = node.create_group(f"observables/{'spikes' if binary else 'values'}")
        if kind == "grid":
            group.attrs["__type__"], group.attrs["dt"] = "TimeGriddedData", float(dt)
            group.create_dataset("data", data=values, compression="gzip")
        else:
            group.attrs["__type__"] = "EventData" if binary else "ValuedEventData"
            group.attrs["n_neurons"], group.attrs["t_max"] = data.features, float(data.time * dt)
            group.attrs["dt"] = float(dt)  # NIR's events say no step, and without it none can be read back
            for name, array in _as_events(values, dt, binary).items():
                group.create_dataset(name, data=array, compression="gzip")
        own = file.create_group(OWN)
        for name in ("y", "lengths", "mask"):
            if getattr(data, name) is not None:
                own.create_dataset(name, data=getattr(data, name).astype(_stored(getattr(data, name))))
        if data.task is not None:
            own["task"] = TASKS.index(data.task)
        if data.x.dtype.kind in "iu":
            own["scale"], own["bits"], own["signed"] = data.scale, data.x.dtype.itemsize, data.x.dtype.kind == "i"

    write_hdf5(path, fill)
    lost = [name for name in ("y", "lengths", "mask") if getattr(data, name) is not None]
    if lost:
        said.append(f"{', '.join(lost)}: in a group of its own, which nir.read_data leaves out")
    return tuple(said)


def _stored(array: NDArray[Any]) -> Any:
    return np.uint8 if array.dtype == np.bool_ else array.dtype


def _as_events(values: NDArray[Any], dt: float, binary: bool) -> dict[str, NDArray[Any]]:
    """Rows of events, the shorter ones filled up as NIR does: index -1, time inf."""
    places = [np.argwhere(sample != 0) for sample in values]
    most = max(1, *(len(place) for place in places))
    arrays: dict[str, NDArray[Any]] = {
        "idx": np.full((len(values), most), -1, np.int64), "time": np.full((len(values), most), np.inf),
    }  # fmt: skip
    if not binary:
        arrays["value"] = np.zeros((len(values), most))
    for n, (sample, place) in enumerate(zip(values, places, strict=True)):
        arrays["idx"][n, : len(place)] = place[:, 1]
        arrays["time"][n, : len(place)] = place[:, 0] * dt
        if not binary:
            arrays["value"][n, : len(place)] = sample[place[:, 0], place[:, 1]]
    return arrays


def _within(data: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every observable of NIR's data in memory, by its path."""
    for name, node in data.nodes.items():
        if hasattr(node, "nodes"):
            yield from _within(node, f"{path}{name}/")
        else:
            yield from ((f"{path}{name}.{observable}", value) for observable, value in node.observables.items())


def _observables(reader: FileReader, group: Any, where: str, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every observable of a file, by its path."""
    nodes = reader.child(group, "nodes", h5py.Group, where)
    if depth > DEEPEST:
        raise TclifError(f"{where}: nodes lie more than {DEEPEST} deep in one another", EXPECTED)
    for name in nodes:
        node = reader.child(nodes, name, h5py.Group, where)
        if "nodes" in node:
            yield from _observables(reader, node, f"{where}: {name}", f"{path}{name}/", depth + 1)
            continue
        observables = reader.child(node, "observables", h5py.Group, f"{where}: node {name}")
        for observable in observables:
            inside = f"{where}: node {name}"
            yield f"{path}{name}.{observable}", reader.child(observables, observable, h5py.Group, inside)


def _choose(where: str, found: dict[str, Any]) -> tuple[str, Any]:
    """(where it is, the observable that is the input) of what a file holds by their paths."""
    inputs = [name for name in found if name.rpartition(".")[0] == INPUT_NODE]
    chosen = inputs if inputs else list(found)
    if not found:
        raise TclifError(f"{where}: holds no observable", EXPECTED)
    if len(chosen) > 1:
        raise TclifError(
            f"{where}: holds {', '.join(chosen):.200}: which one is the input?",
            f"keep one, or call its node {INPUT_NODE}",
        )
    return f"{where}: {chosen[0]}", found[chosen[0]]


def _array(reader: FileReader, group: Any, name: str, where: str, kinds: str) -> NDArray[Any]:
    data = reader.child(group, name, h5py.Dataset, where)
    if data.dtype.kind not in kinds or data.dtype.itemsize > 8:
        raise TclifError(f"{where}: {name} has type {data.dtype}", "expected numbers of at most 64 bits")
    reader.count_bytes(data, name, where)
    return np.asarray(data[()])


def _attribute(group: Any, name: str, where: str) -> float | None:
    """A number beside an observable, or None where there is none."""
    if name not in group.attrs:
        return None
    stored = group.attrs.get_id(name)
    if stored.dtype.kind not in "fiu" or stored.shape != ():
        raise TclifError(f"{where}: {name} is {stored.dtype} of shape {stored.shape}", "expected a number")
    value = float(group.attrs[name])
    if not np.isfinite(value) or value <= 0:
        raise TclifError(f"{where}: {name} is {value:g}", "expected a positive number")
    return value


def _grid(reader: FileReader, group: Any, where: str, dt: float | None) -> NDArray[Any]:
    own = _attribute(group, "dt", where)
    if dt is not None and own is not None and abs(own - dt) > ON_GRID * dt:
        raise TclifError(f"{where}: has steps of {own:g}, not of {dt:g}", "leave dt out: it is for events")
    return _array(reader, group, "data", where, "biuf")


def _events(reader: FileReader, group: Any, where: str, dt: float | None) -> NDArray[Any]:
    """Events, with or without values, on a grid: as nir's ``to_time_gridded`` puts them there."""
    idx = _array(reader, group, "idx", where, "iu").astype(np.int64)
    time = _array(reader, group, "time", where, "fiu").astype(np.float64)
    value = _array(reader, group, "value", where, "biuf") if "value" in group else None
    if idx.ndim != 2 or any(other.shape != idx.shape for other in (time, value) if other is not None):
        raise TclifError(f"{where}: idx has shape {idx.shape}, time {time.shape}", "expected (samples, events) of each")
    own = _attribute(group, "dt", where)
    step = own if dt is None else dt
    if step is None:
        raise TclifError(
            f"{where}: holds events in time, and no step",
            "say one: tclif export-data FILE --dt DT, or load_data(path, dt=DT)",
        )
    count, end = _attribute(group, "n_neurons", where), _attribute(group, "t_max", where)
    if count is None or end is None or count != int(count):
        raise TclifError(f"{where}: n_neurons or t_max is missing or not whole", EXPECTED)
    steps = int(np.ceil(_rounded(np.asarray(end / step))))
    if len(idx) * steps * count > MOST_VALUES:
        raise TclifError(
            f"{where}: {len(idx)} samples of {steps:,} steps of {int(count):,} features are more than {MOST_VALUES:,}",
            "a longer dt makes fewer steps",
        )
    there = idx != -1
    sample = np.nonzero(there)[0]
    neurons, times = idx[there], time[there]
    for wrong, what in (
        ((neurons < 0) | (neurons >= count), f"is of neuron {{}}, expected 0..{int(count) - 1}, or -1 for none"),
        (~((times >= 0) & (times < end)), f"is at time {{}}, expected 0 to less than {end:g}"),
    ):
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            shown = f"{times[place]:g}" if "time" in what else str(neurons[place])
            raise TclifError(f"{where}: an event of sample {sample[place]} {what.format(shown)}", "is it damaged?")
    x: NDArray[Any] = np.zeros((len(idx), steps, int(count)), np.bool_ if value is None else np.float64)
    x[sample, np.floor(_rounded(times / step)).astype(np.int64), neurons] = True if value is None else value[there]
    return x


def _rounded(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times in steps, whole where they are but for the error of a product and a quotient."""
    nearest = np.rint(steps)
    return np.where(np.abs(steps - nearest) <= ON_GRID * np.maximum(1.0, np.abs(steps)), nearest, steps)


def _own(reader: FileReader, path: str) -> dict[str, Any]:
    """What our own group says."""
    group = reader.child(reader.file, OWN, h5py.Group, path)
    where = f"{path}: {OWN}"
    own: dict[str, Any] = {name: _array(reader, group, name, where, "biuf") for name in ("y", "lengths", "mask")
                           if name in group}  # fmt: skip
    numbers = {}
    for name in ("task", "scale", "bits", "signed"):
        if name in group:
            numbers[name] = float(_array(reader, group, name, where, "biuf").reshape(-1)[0])
    if "task" in numbers:
        if numbers["task"] not in range(len(TASKS)):
            raise TclifError(f"{where}: task is {numbers['task']:g}", f"expected 0..{len(TASKS) - 1}")
        own["task"] = TASKS[int(numbers["task"])]
    if "scale" in numbers:
        if numbers.get("bits") not in (1, 2, 4, 8) or not 0 < numbers["scale"] < np.inf:
            raise TclifError(f"{where}: integers of {numbers.get('bits')} bytes, scale {numbers['scale']:g}", EXPECTED)
        own["scale"] = numbers["scale"]
        own["dtype"] = np.dtype(f"{'i' if numbers.get('signed') else 'u'}{int(numbers['bits'])}")
    return own
