"""Kinds of damage to files, each drawn by a generator: what a disk, a copy, an editor or a stranger makes of a file."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz import arrays, checkpoints, hdf5, values
from tests.fuzz.values import DEEP, Rng, pick

Damage = Callable[[bytes, Rng], bytes]


def flip(content: bytes, rng: Rng) -> bytes:
    """A few bits changed."""
    changed = bytearray(content)
    for place in rng.integers(0, len(changed), int(rng.integers(1, 4))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(content: bytes, rng: Rng) -> bytes:
    """The end is missing, perhaps everything."""
    return content[: int(rng.integers(0, len(content))) if rng.random() < 0.9 else 0]


def grow(content: bytes, rng: Rng) -> bytes:
    """Something is put in somewhere."""
    place = int(rng.integers(0, len(content) + 1))
    return content[:place] + rng.bytes(int(rng.integers(1, 50))) + content[place:]


def zeros(content: bytes, rng: Rng) -> bytes:
    """A block that was never written, or written with something else."""
    place, length = int(rng.integers(0, len(content))), pick(rng, (1, 4, 8, 512, 4096))
    block = pick(rng, (b"\0", b"\xff")) * length if rng.random() < 0.7 else rng.bytes(length)
    return content[:place] + block[: len(content) - place] + content[place + length :]


def brackets(content: bytes, rng: Rng) -> bytes:
    """Another file: brackets without end."""
    return DEEP.encode()


PLACES = ("delete", "folder", "link to nowhere", "link to itself", "device", "pipe")
"""what stands at the place of the file"""
BYTES: tuple[Damage, ...] = (flip, cut, grow, zeros)
BY_SUFFIX: dict[str, tuple[Damage, ...]] = {
    ".json": (values.json_value,) * 8 + (values.json_deep, values.json_text),
    ".npz": (arrays.npz_array,) * 4 + (arrays.npz_header,) * 5 + (arrays.npy_header, arrays.npz_zip),
    ".npy": (arrays.npy_header,) * 4,
    ".nir": (hdf5.hdf5_value,) * 10,
    ".net": (hdf5.hdf5_value,) * 10,
    ".h5": (hdf5.hdf5_value,) * 8,
    ".toml": (values.toml_value,) * 6 + (values.toml_line,) * 4,
    ".pt": (checkpoints.torch_value,) * 8 + (checkpoints.torch_pickle,) * 3,
    "": (arrays.idx_header,) * 3,
    ".gz": (arrays.idx_header,) * 3,
    ".resume": (checkpoints.torch_value,) * 8 + (checkpoints.torch_pickle,) * 3,
}


def damaged(content: bytes, suffix: str, rng: Rng) -> tuple[str, bytes | None]:
    """(kind of damage, what it leaves of ``content``; None: the kind is one of `PLACES`)."""
    if rng.random() < 0.03:
        return pick(rng, PLACES), None
    if rng.random() < 0.01:
        return brackets.__name__, brackets(content, rng)
    kind = pick(rng, (*BYTES, *BY_SUFFIX.get(suffix, ()) * 2))
    return kind.__name__, kind(content, rng)
