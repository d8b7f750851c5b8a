"""The four files of MNIST, tiny and random."""

import gzip

import numpy as np


def idx_bytes(array, code=8):
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


def write_mnist(folder, count=30, side=4, labels=None, end=".gz"):
    """The four files of a tiny MNIST; returns the training images."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for part in ("t10k", "train"):
        images = rng.integers(0, 256, (count, side, side), np.uint8)
        y = np.arange(count, dtype=np.uint8) % 10 if labels is None else np.asarray(labels, np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", y)):
            raw = idx_bytes(array)
            path = folder / f"{part}-{name}-ubyte{end}"
            path.write_bytes(gzip.compress(raw) if end else raw)
    return images
