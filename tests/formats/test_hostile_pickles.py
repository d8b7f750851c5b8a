"""Short pickles that would take forever to hash, print, copy or multiply: one line each, and at once."""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from typing import Any

import pytest
import torch

from tclif_deploy import TclifError
from tclif_deploy.pickle_scan import LEGACY_MAGIC
from tclif_deploy.torch_file import read_checkpoint

DEEP = 60
STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01t"
TENSOR, DICT = b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n"
BUILT = STORAGE + b"QK\x00"
"""A storage of one number, and the offset of a tensor in it."""
WHOLE = b"\x8a\x09" + b"\0" * 8 + b"\x01"
"""2^64"""


def shared(leaf: bytes, pair: bytes) -> bytes:
    """Memo 0 is the ``leaf``, and each of the next 60 is a pair of the one before it."""
    steps = (b"h%ch%c%bq%c0" % (n, n, pair, n + 1) for n in range(DEEP))
    return leaf + b"q\0" + b"0" + b"".join(steps)


TUPLES = shared(b")", b"\x86")
TOP = b"h%c" % DEEP
LISTS = b"]q\0" + b"0" + b"".join(b"]q%c(h%ch%ce0" % (n + 1, n, n) for n in range(DEEP))
DICTS = b"}q\0" + b"0" + b"".join(b"}q%c(K\0h%cK\1h%cu0" % (n + 1, n, n) for n in range(DEEP))
MANY = b"(" + b"K\1" * 30_000 + b"tq\0" + b"0"
"""Memo 0 is a tuple of 30,000 numbers."""

PICKLES = {
    "its pickle has a tuple in a key": {
        "key": TUPLES + b"}" + TOP + b"K\1s",
        "key of several": TUPLES + b"}(" + TOP + b"K\1u",
        "key of a dict by its items": TUPLES + b"(" + TOP + b"K\1d",
        "key of an OrderedDict": TUPLES + DICT + b")R" + TOP + b"K\1s",
        "key of an OrderedDict made of pairs": TUPLES + DICT + b"](" + TOP + b"K\1\x86e\x85R",
        "item of a set": TUPLES + b"\x8f(" + TOP + b"\x90",
        "item of a frozenset": TUPLES + b"(" + TOP + b"\x91",
    },
    "more than 64 bits as a key": {
        "key longer than 64 bits": b"}" + WHOLE + b"K\1s",
    },
    "holds a pickled tuple": {
        "pid": TUPLES + TOP + b"Q",
        "first of a pid": TUPLES + b"(" + TOP + b"K\1K\1K\1K\1tQ",
    },
    "of unknown type a tuple": {
        "class of a pid": TUPLES + STORAGE.replace(b"ctorch\nFloatStorage\n", TOP) + b"Q",
    },
    "storage a tuple of unknown type": {
        "key of a pid": TUPLES + STORAGE.replace(b"X\x01\0\0\x000", TOP) + b"Q",
    },
    "at a tuple": {
        "place of a pid": TUPLES + STORAGE.replace(b"X\x03\0\0\0cpu", TOP) + b"Q",
    },
    "a tuple where a size was expected": {
        "size of a pid": TUPLES + STORAGE.replace(b"K\x01t", TOP + b"t") + b"Q",
        "size": TUPLES + TENSOR + b"(" + BUILT + b"(" + TOP + b"tK\1\x85\x89" + DICT + b")RtR",
        "stride": TUPLES + TENSOR + b"(" + BUILT + b"K\1\x85(" + TOP + b"t\x89" + DICT + b")RtR",
        "offset": TUPLES + TENSOR + b"(" + STORAGE + b"Q" + TOP + b"K\1\x85K\1\x85\x89" + DICT + b")RtR",
    },
    "a tensor in a tuple": {
        "storage": TUPLES + TENSOR + b"(" + TOP + b"K\0K\1\x85K\1\x85\x89" + DICT + b")RtR",
    },
    "a tensor of 30000 dimensions": {
        "size of many dimensions": MANY + TENSOR + b"(" + BUILT + b"h\0h\0\x89" + DICT + b")RtR",
    },
    "more than 64 bits where a size": {
        "size beyond 64 bits": TENSOR + b"(" + BUILT + WHOLE + b"\x85K\1\x85\x89" + DICT + b")RtR",
    },
    "the same arguments again and again": {
        "arguments again and again": MANY + (b"cargparse\nNamespace\nh\0R0" * 4000) + b"}",
        "arguments of a new object": MANY + (b"cargparse\nNamespace\nh\0\x810" * 4000) + b"}",
    },
    "attributes of a Storage": {
        "attributes of a storage": STORAGE + b"Q}X\x08\0\0\0elementsK\x05sb",
    },
    "share others more often": {
        "tuples": TUPLES + TOP,
        "lists": LISTS + TOP,
        "dicts": DICTS + TOP,
        "tuples in a namespace": TUPLES + b"cargparse\nNamespace\n)\x81}X\1\0\0\0a" + TOP + b"sb",
        "tuples in an attribute": TUPLES + DICT + b")R}X\x09\0\0\0_metadata" + TOP + b"sb",
    },
    "a list that holds itself": {
        "a list of itself": b"]q\0h\0a",
    },
}


def zipped(pickled: bytes) -> bytes:
    buffer = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(buffer)
    for name, record in {"data.pkl": pickled, "byteorder": b"little", "data/0": b"\0" * 4}.items():
        writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return buffer.getvalue()


def legacy(pickled: bytes, keys: bytes = pickle.dumps(["0"], 2)) -> bytes:
    """A file of torch's format before 1.6."""
    head = b"".join(pickle.dumps(part, 2) for part in (LEGACY_MAGIC, 1001, {"little_endian": True}))
    return head + pickled + keys + struct.pack("<q", 1) + b"\0" * 4


def refusal(data: bytes) -> str:
    with pytest.raises(TclifError) as refused:
        read_checkpoint(data, "file")
    line = str(refused.value)
    assert line.startswith("file: ")
    assert "\n" not in line
    assert len(line) < 400
    return line


@pytest.mark.parametrize(("reason", "name"), [(reason, name) for reason in PICKLES for name in PICKLES[reason]])
@pytest.mark.parametrize("form", [zipped, legacy])
def test_a_short_pickle_without_end_is_refused(form: Any, reason: str, name: str) -> None:
    assert reason in refusal(form(b"\x80\x02" + PICKLES[reason][name] + b"."))


@pytest.mark.parametrize("keys", [TUPLES + b"](" + TOP + b"e", b"]K\0a", b"]]a"], ids=["shared", "number", "list"])
def test_a_list_of_storages_that_is_none_of_names_is_refused(keys: bytes) -> None:
    content = b"\x80\x02" + TENSOR + b"(" + BUILT.replace(b"K\1t", b"K\1Nt") + b"K\1\x85K\1\x85\x89" + DICT + b")RtR."
    assert isinstance(read_checkpoint(legacy(content), "file"), torch.Tensor)
    refusal(legacy(content, b"\x80\x02" + keys + b"."))


@pytest.mark.parametrize("zipped", [True, False])
def test_what_training_scripts_share_is_read(zipped: bool) -> None:
    """The same weights under two names, the same settings beside each epoch."""
    state = OrderedDict((f"{n}.weight", torch.zeros(1)) for n in range(1000))
    state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    settings = {"lr": 0.1, "betas": (0.9, 0.999), 3: None, 0.5: "x", True: "a long remark " * 10}
    content = {"state_dict": state, "best": state, "epochs": [settings] * 1000}
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(buffer.getvalue(), "file")
    assert list(read["best"]) == list(state)
    assert read["epochs"] == content["epochs"]


def test_ordered_dicts_of_python_2_are_read() -> None:
    """They are pickled by their list of pairs."""
    pickled = b"\x80\x02" + DICT + b"](](X\1\0\0\0aK\1e](X\1\0\0\0bK\2ee\x85R."
    assert read_checkpoint(zipped(pickled), "file") == OrderedDict(a=1, b=2)


def test_torchs_advice_to_run_what_is_in_the_file_is_not_passed_on() -> None:
    """torch takes no bytes of protocol 3, and says to load without its check; the rest of what it says stays."""
    line = refusal(zipped(b"\x80\x03C\1x."))
    assert "weights_only" not in line
    assert "rerun" not in line.lower().replace("-", "")
    assert "Unsupported operand 67" in line


@pytest.mark.parametrize(
    "beside",
    [
        {(0, 1): 2, ("a", None): 3},
        [
            {"loss": 0.5, "cfg": shared_cfg}
            for shared_cfg in [{f"option{n}": n for n in range(60)}]
            for _ in range(10_000)
        ],
    ],
    ids=["tuples of plain values as keys", "a log whose lines share their settings"],
)
def test_what_people_keep_beside_their_weights_is_read(beside: Any) -> None:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"0.weight": torch.ones(2, 2)}, "beside": beside}, buffer)
    assert "0.weight" in read_checkpoint(buffer.getvalue(), "file")["state_dict"]
