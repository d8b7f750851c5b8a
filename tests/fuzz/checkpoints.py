"""Damage to torch files: checkpoints, bare state dicts, and what `tclif_deploy.save` writes."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from typing import Any

import numpy as np
import torch

from tests.fuzz.arrays import change_array, members_of, zip_of
from tests.fuzz.values import Rng, change_values, near, odd, pick


class Runs:
    """Calls something when it is unpickled by whoever lets it."""

    def __reduce__(self) -> Any:
        return print, ("a stranger's code ran",)


def torch_value(content: bytes, rng: Rng) -> bytes:
    """A tensor or plain value changed, missing, renamed, of another dtype, layout or class."""
    value = torch.load(io.BytesIO(content), weights_only=True)
    holders = [value] if isinstance(value, dict) else []
    for holder in holders:
        holders += [item for item in holder.values() if isinstance(item, dict)]
    spots = [(holder, key) for holder in holders for key in holder]
    if not spots:
        return content[:-1]
    holder, key = pick(rng, spots)
    old = holder[key]
    kind = pick(rng, ("delete", "rename", "odd", "more") + ("tensor",) * 8 + ("plain",) * 4)
    if kind == "delete":
        del holder[key]
    elif kind == "rename":
        names = ("x", "", 3, f"module.{key}", "é", "x" * 3000, "a\nb", str(key).replace("features", "other"), None)
        holder[pick(rng, names)] = holder.pop(key)
    elif kind == "more":
        holder[f"{key}.more"] = old
    elif isinstance(old, torch.Tensor) and kind != "odd":
        holder[key] = _other_tensor(old, rng)
    elif isinstance(old, (dict, list, str, int, float)) and kind == "plain" and not _tensors(old):
        holder[key] = (
            pick(rng, (odd(rng), near(old, rng))) if isinstance(old, (str, int, float)) else change_values(old, rng)
        )
    else:
        holder[key] = pick(
            rng, (odd(rng), torch.zeros(0), {}, OrderedDict(x=torch.ones(3)), torch.nn.Parameter(torch.ones(2)))
        )
    return _saved(value)


def _tensors(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, torch.Tensor) or any(map(_tensors, items))


def _other_tensor(old: torch.Tensor, rng: Rng) -> Any:
    kind = pick(rng, ("array", "array", "array", "dtype", "sparse", "meta", "view", "expanded", "quantized", "complex"))
    if kind == "array":
        changed = change_array(old.detach().float().numpy(), rng)
        if changed.dtype.kind not in "biufc" or changed.dtype.itemsize > 8 or changed.dtype.byteorder == ">":
            changed = np.ones(3)
        return torch.from_numpy(np.ascontiguousarray(changed))
    if kind == "dtype":
        return old.to(pick(rng, (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64, torch.bool)))
    if kind == "sparse":
        return old.to_sparse() if old.ndim else old
    if kind == "meta":
        return old.to("meta")
    if kind == "view":
        return torch.zeros(50)[7:9].expand(2)
    if kind == "expanded":
        return torch.zeros(1).expand(pick(rng, (2**20, 2**40)), *([1] * (old.ndim - 1)))
    if kind == "quantized":
        return old.to(torch.float8_e4m3fn)
    return old.to(torch.complex64)


def _saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        torch.save(value, buffer)
    except Exception:  # torch cannot write everything either
        return b"PK"
    return buffer.getvalue()


def torch_pickle(content: bytes, rng: Rng) -> bytes:
    """The pickle in the zip: another one, cut, changed, of something that runs code; or the records around it."""
    members = members_of(content)
    name = next(name for name in members if name.endswith("data.pkl"))
    kind = pick(rng, ("other", "cut", "flip", "runs", "record", "missing", "bare", "legacy", "class"))
    if kind == "other":
        members[name] = pickle.dumps(odd(rng) if rng.random() < 0.5 else {"state_dict": odd(rng)}, 2)
    elif kind == "cut":
        members[name] = members[name][: int(rng.integers(len(members[name])))]
    elif kind == "flip":
        changed = bytearray(members[name])
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
        members[name] = bytes(changed)
    elif kind == "runs":
        members[name] = pickle.dumps({"state_dict": {"features.0.weight": Runs()}}, 2)
    elif kind == "class":
        members[name] = pickle.dumps(pick(rng, (OrderedDict, {"a": np.float64(1)}, {1, 2}, b"x", range(3))), 2)
    elif kind in ("record", "missing"):
        record = pick(rng, sorted(members))
        members[record] = members[record][: len(members[record]) // 2]
        if kind == "missing":
            del members[record]
    elif kind == "bare":
        return pickle.dumps({"state_dict": {}}, pick(rng, (0, 2, 4)))
    else:
        buffer = io.BytesIO()
        torch.save(torch.load(io.BytesIO(content), weights_only=True), buffer, _use_new_zipfile_serialization=False)
        return buffer.getvalue()[: None if rng.random() < 0.5 else int(rng.integers(len(buffer.getvalue())))]
    return zip_of(members, pick(rng, (zipfile.ZIP_STORED,) * 4 + (zipfile.ZIP_DEFLATED,)))
