"""MNIST's IDX files, plain or gzipped, as pixel sequences."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.files import UNPACKING, file_size

DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""the IDX format's type codes (LeCun, http://yann.lecun.com/exdb/mnist)"""
PARTS = {"train": "train", "test": "t10k"}
SOURCE = "the four files train-/t10k-images-idx3-ubyte and -labels-idx1-ubyte, plain or .gz, as MNIST is distributed"


def read_idx(path: Path | str) -> NDArray[Any]:
    """The array of an IDX file, gzipped or not (told by its content, not its name).

    Raises `TclifError` where the file is missing, of another format, or shorter or longer than its header says.
    """
    path = Path(path)
    try:
        most = file_size(path, f"expected {SOURCE}")
        with open(path, "rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
        with open(path, "rb") as plain, gzip.GzipFile(fileobj=plain) as unpacked:
            raw = _read(unpacked, UNPACKING * most) if packed else _read(plain, most)
    except (OSError, EOFError, zlib.error) as error:
        raise TclifError(f"{path}: cannot be read ({error})", "is the download complete?") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in DTYPES or len(raw) < 4 + 4 * raw[3]:
        raise TclifError(f"{path}: not an IDX file", f"expected {SOURCE}")
    shape = [int.from_bytes(raw[4 + 4 * n : 8 + 4 * n], "big") for n in range(raw[3])]
    dtype = np.dtype(DTYPES[raw[2]])
    expected, size = math.prod(shape) * dtype.itemsize, len(raw) - 4 - 4 * len(shape)
    if size != expected:
        raise TclifError(
            f"{path}: has {size} bytes of data, its header {tuple(shape)} says {expected}", "is the download complete?"
        )
    array = np.frombuffer(raw, dtype, offset=4 + 4 * len(shape)).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _read(file: BinaryIO | gzip.GzipFile, most: int) -> bytes:
    """The header of an IDX file and the bytes that it declares, at most ``most``; and one more, where there is one."""
    head = file.read(4)
    head += file.read(4 * head[3]) if len(head) == 4 else b""
    shape = [int.from_bytes(head[n : n + 4], "big") for n in range(4, len(head), 4)]
    return head + file.read(min(math.prod(shape) * 8, most) + 1)


def idx_dataset(images: Path, labels: Path | None) -> Dataset:
    """Images of an IDX file as sequences of single pixels: x uint8 (samples, pixels, 1), scale 1/255."""
    x = read_idx(images)
    if x.ndim < 2 or 0 in x.shape or x.dtype != np.uint8:
        raise TclifError(f"{images}: holds {x.dtype} of shape {x.shape}", "expected images of unsigned bytes")
    y = None
    if labels is not None:
        y = read_idx(labels)
        if y.shape != x.shape[:1]:
            raise TclifError(f"{labels}: has shape {y.shape}", f"expected one label for each of {len(x)} images")
    return Dataset(x.reshape(len(x), -1, 1), y, scale=1 / 255, name=str(images))


def labels_beside(images: Path) -> Path | None:
    """The label file that belongs to an image file by MNIST's naming, where there is one."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    for candidate in (name, f"{name}.gz", name.removesuffix(".gz")):
        path = images.with_name(candidate)
        if candidate != images.name and path.exists():
            return path
    return None


def load_mnist(folder: Path | str, part: str = "train") -> Dataset:
    """MNIST's ``train`` (60,000) or ``test`` (10,000) part from a folder of its IDX files, labels in 0..9."""
    folder = Path(folder)
    if part not in PARTS:
        raise TclifError(f"part is {part!r}", f"known: {', '.join(PARTS)}")
    if not folder.is_dir():
        raise TclifError(f"{folder}: no such folder", f"expected a folder with {SOURCE}")
    files = []
    for kind in ("images-idx3", "labels-idx1"):
        names = [f"{PARTS[part]}-{kind}-ubyte{end}" for end in ("", ".gz")]
        paths = [folder / name for name in names if (folder / name).is_file()]
        if not paths:
            raise TclifError(f"{folder}: has no {names[0]} or {names[1]}", f"expected {SOURCE}")
        files.append(paths[0])
    data = idx_dataset(*files)
    assert data.y is not None
    if data.y.min() < 0 or data.y.max() > 9:
        raise TclifError(f"{files[1]}: labels lie in {data.y.min()}..{data.y.max()}", "expected digits 0..9")
    return data
