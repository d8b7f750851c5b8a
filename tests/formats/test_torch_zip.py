"""Zip checkpoints read without torch: what torch reads from them, bit for bit, or left to torch."""

from __future__ import annotations

import argparse
import io
import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tclif_deploy import TclifError
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.frontends.reader import read_model
from tclif_deploy.pickle_scan import check_zip
from tclif_deploy.torch_zip import NotPlain, read_zip

DTYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16, torch.int32,
    torch.int64, torch.bool,
)  # fmt: skip
ROOT = Path(__file__).parents[2]


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def by_torch(data: bytes) -> Any:
    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def raw(tensor: torch.Tensor) -> Any:
    """A tensor as numpy shows it, a bfloat16 by its bits."""
    tensor = tensor.detach()
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def assert_same(ours: Any, theirs: Any, seen: frozenset[int] = frozenset()) -> None:
    """The same objects, tensors by dtype, shape, strides and bits."""
    assert type(ours).__name__ == type(theirs).__name__
    if id(ours) in seen:
        return
    seen |= {id(ours)}
    if isinstance(theirs, torch.Tensor):
        expected = raw(theirs)
        assert ours.dtype == str(theirs.dtype).removeprefix("torch.")
        assert ours.stored.shape == expected.shape
        assert not ours.stored.size or ours.stored.strides == tuple(n * theirs.element_size() for n in theirs.stride())
        assert ours.stored.tobytes() == expected.tobytes()
        if ours.is_floating_point:
            with np.errstate(invalid="ignore"):
                np.testing.assert_array_equal(ours.float64(), theirs.detach().to(torch.float64).numpy())
    elif isinstance(theirs, dict):
        assert repr(list(ours)) == repr(list(theirs))
        for one, other in zip(ours.values(), theirs.values(), strict=True):
            assert_same(one, other, seen)
        if isinstance(theirs, OrderedDict):
            assert_same(vars(ours), vars(theirs), seen)
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other, seen)
    elif isinstance(theirs, argparse.Namespace):
        assert_same(vars(ours), vars(theirs), seen)
    else:
        assert repr(ours) == repr(theirs)


def read(data: bytes) -> bool:
    """Whether a file is read without torch; if it is, torch reads the same."""
    try:
        check_zip(data, "file")
        ours = read_zip(data)
    except (TclifError, NotPlain):
        return False
    assert_same(ours, by_torch(data))
    return True


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Any dtype and shape; the whole of a storage or a part of it, in any order."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    elements = int(np.prod(shape, dtype=int))
    seed = draw(st.integers(0, 2**32 - 1))
    bits = np.random.default_rng(seed).integers(0, 2 if dtype is torch.bool else 256, elements * dtype.itemsize)
    tensor = torch.frombuffer(bytearray(bits.astype(np.uint8).tobytes()) or bytearray(8), dtype=dtype)
    tensor = tensor[:elements].reshape(shape)
    kind = draw(st.sampled_from(("whole", "transposed", "slice", "parameter", "requires_grad")))
    if kind == "transposed":
        tensor = tensor.permute(tuple(reversed(range(tensor.ndim))))
    elif kind == "slice" and tensor.ndim:
        tensor = tensor[draw(st.integers(0, 2)) :: draw(st.integers(1, 2))]
    elif kind == "parameter":
        return torch.nn.Parameter(tensor, requires_grad=tensor.is_floating_point() and draw(st.booleans()))
    elif kind == "requires_grad" and tensor.is_floating_point():
        tensor.requires_grad_()
    return tensor


NAMES = st.text(max_size=8)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300)


@st.composite
def contents(draw: st.DrawFn) -> Any:
    """What training scripts save: state_dicts, tied weights and views of one storage, settings, optimizers."""
    pool = draw(st.lists(tensors(), min_size=1, max_size=4))
    tied = [*pool, *(tensor.detach()[:1] for tensor in pool if tensor.ndim)]
    leaves = st.sampled_from(tied) | PLAIN
    state = OrderedDict(draw(st.lists(st.tuples(NAMES, st.sampled_from(tied)), max_size=5)))
    if draw(st.booleans()):
        state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    inner = st.recursive(
        leaves,
        lambda part: (
            st.lists(part, max_size=3)
            | st.lists(part, max_size=4).map(tuple)
            | st.dictionaries(NAMES | st.integers(-2, 300) | st.booleans() | st.none(), part, max_size=3)
            | st.dictionaries(NAMES, part, max_size=3).map(OrderedDict)
            | st.dictionaries(st.sampled_from("abcd"), part, max_size=3).map(lambda d: argparse.Namespace(**d))
        ),
        max_leaves=6,
    )
    return {"state_dict": state, "epoch": draw(PLAIN), "more": draw(inner)} if draw(st.booleans()) else state


def archive(records: dict[str, bytes]) -> bytes:
    """A file with these records as torch's own writer lays it out."""
    buffer = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(buffer)
    for name, content in records.items():
        if name not in ("version", ".data/serialization_id"):  # it writes these itself
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    return buffer.getvalue()


def records_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name.partition("/")[2]: file.read(name) for name in file.namelist()}


LONG = settings(suppress_health_check=list(HealthCheck), deadline=None)


@LONG
@given(contents())
def test_what_torch_saves_is_read_as_torch_reads_it(content: Any) -> None:
    assert read(saved(content))


@LONG
@given(contents(), st.data())
def test_no_damaged_byte_is_read_otherwise_than_by_torch(content: Any, data: st.DataObject) -> None:
    file = bytearray(saved(content))
    for _ in range(data.draw(st.integers(1, 3))):
        # headers are at both ends of the file and of each record, where padding of zeros is not
        places = np.flatnonzero(np.frombuffer(bytes(file), np.uint8)) if data.draw(st.booleans()) else range(len(file))
        file[int(places[data.draw(st.integers(0, len(places) - 1))])] ^= 1 << data.draw(st.integers(0, 7))
    read(bytes(file[: data.draw(st.sampled_from((None, len(file) // 2, -1)))]))


@LONG
@given(contents(), st.data())
def test_no_damaged_pickle_is_read_otherwise_than_by_torch(content: Any, data: st.DataObject) -> None:
    """The archive is sound, so that nothing but the pickle decides."""
    records = records_of(saved(content))
    pickled = bytearray(records["data.pkl"])
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(pickled) - 1))
        kind = data.draw(st.sampled_from(("bit", "byte", "op", "cut")))
        if kind == "bit":
            pickled[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del pickled[place]
            pickled = pickled or bytearray(b".")
        else:
            codes = sorted(pickle._Unpickler.dispatch) if kind == "op" else range(256)  # type: ignore[attr-defined]
            pickled[place] = data.draw(st.sampled_from(codes))
    records["data.pkl"] = bytes(pickled)
    read(archive(records))


@LONG
@given(contents(), st.data())
def test_no_damaged_record_is_read_otherwise_than_by_torch(content: Any, data: st.DataObject) -> None:
    records = records_of(saved(content))
    name = data.draw(st.sampled_from(sorted(records)))
    kind = data.draw(st.sampled_from(("missing", "shorter", "longer", "other", "more")))
    record = records.pop(name)
    if kind == "more":
        records |= {name: record, data.draw(st.sampled_from(("x", "data/x", "version/x", "data/0/1"))): record}
    elif kind != "missing":
        records[name] = {"shorter": record[:-1], "longer": record + b"\0", "other": b"big"}[kind]
    read(archive(records))


WEIGHT = torch.arange(6.0).reshape(2, 3)


class Hidden(OrderedDict[str, Any]):
    """Pickled as an OrderedDict whose attribute stands before one of its methods."""

    def __reduce__(self) -> Any:
        return OrderedDict, (), {"keys": 5}


@pytest.mark.parametrize(
    ("content", "taken_by_torch"),
    [
        ({"w": WEIGHT.to(torch.complex64)}, True),
        ({"w": WEIGHT.to_sparse()}, True),
        ({"w": WEIGHT.to("meta")}, True),
        ({"w": WEIGHT.to(torch.float8_e4m3fn)}, True),
        ({"w": torch.Size([2, 3])}, True),
        ({"w": torch.float32}, True),
        ({"w": torch.FloatStorage}, True),
        ({"w": {1, 2}}, True),
        ({"w": OrderedDict}, True),
        ({("a", 1): WEIGHT}, True),
        (Hidden(), True),
        ({"w": b"bytes"}, True),
        ({"w": np.float64(1.0)}, False),
        ({"w": print}, False),
    ],
)
def test_what_is_not_plain_is_left_to_torch(content: Any, taken_by_torch: bool) -> None:
    data = saved(content)
    with pytest.raises(NotPlain):
        read_zip(data)
    if taken_by_torch:
        by_torch(data)
    else:
        with pytest.raises(pickle.UnpicklingError):
            by_torch(data)


def test_an_attribute_over_a_method_is_refused() -> None:
    with pytest.raises(TclifError, match="an OrderedDict whose 'keys' is hidden"):
        check_zip(saved({"state_dict": Hidden()}), "file")


@pytest.mark.parametrize("order", [b"big", b"medium"])
def test_an_archive_of_another_byte_order_is_left_to_torch(order: bytes) -> None:
    records = records_of(saved({"w": WEIGHT}))
    assert read(archive(records))
    with pytest.raises(NotPlain):
        read_zip(archive(records | {"byteorder": order}))
    del records["byteorder"]  # as older torch wrote it
    assert read(archive(records))


def test_an_archive_that_another_tool_packed_is_left_to_torch() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, record in records_of(saved({"w": WEIGHT})).items():
            file.writestr(f"archive/{name}", record)
    with pytest.raises(NotPlain):
        read_zip(buffer.getvalue())
    np.testing.assert_array_equal(by_torch(buffer.getvalue())["w"], WEIGHT)


def fixtures() -> list[Path]:
    return sorted((ROOT / "fixtures").glob("*/*.pth.tar"))


@pytest.mark.parametrize("path", fixtures(), ids=lambda path: path.parent.name)
def test_a_fixture_is_the_same_network_by_torch(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = read_model(path, ReadOptions())
    monkeypatch.setattr("tclif_deploy.torch_file.read_zip", _left_to_torch)
    theirs = read_model(path, ReadOptions())
    assert ours[0] == theirs[0]
    assert ours[1].notices == theirs[1].notices
    connections = ([c for layer in network.layers for c in layer.connections] for _, network in (ours, theirs))
    for one, other in zip(*connections, strict=True):
        assert one.weight.tobytes() == other.weight.tobytes()
        assert one.weight.strides == other.weight.strides


def _left_to_torch(data: bytes) -> Any:
    raise NotPlain
