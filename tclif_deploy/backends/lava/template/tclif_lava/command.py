"""The command line of an emitted network."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compat import MISSING_HINT, prepare
from .structure import Network

BATCH = 200
"""samples at once where batched: enough that Lava's millisecond a step no longer counts"""


class InputError(Exception):
    """Something about the input or the machine that the user can mend; one line."""


def main(structure: Network, folder: Path, arguments: list[str] | None = None) -> int:
    """Parse, run, print or save; the exit code."""
    parser = argparse.ArgumentParser(description="Run this network on Lava's CPU simulation (not on silicon).")
    parser.add_argument(
        "--input", type=Path, default=folder / "example.npz", metavar="X.npz",
        help="x (samples, time, features); optionally scale, lengths and y; default: the example.npz beside this file",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="OUT.npz", help="where spikes, states and readout are written")
    parser.add_argument("--samples", type=int, metavar="N", help="only the first N samples")
    parser.add_argument(
        "--batched", action="store_true",
        help="many samples at once by a Dense process that only a simulation can have (default: Lava's own Dense)",
    )  # fmt: skip
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help=f"samples at once (default {BATCH})")
    parser.add_argument("--integers", action="store_true", help="x holds the network's integers already: no scale")
    parser.add_argument("--supervised", action="store_true", help="progress as lines; end when the parent has gone")
    given = parser.parse_args(arguments)
    try:
        return run(structure, folder, given)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run(structure: Network, folder: Path, given: argparse.Namespace) -> int:
    """Everything after the arguments are parsed."""
    x, lengths, y = read_input(given.input, structure, given.integers)
    if given.samples is not None:
        if given.samples < 1:
            raise InputError(f"--samples is {given.samples}, at least 1 is needed")
        x, lengths, y = x[: given.samples], lengths[: given.samples], y if y is None else y[: given.samples]
    if structure.readout and structure.readout.most_steps and x.shape[1] > structure.readout.most_steps:
        raise InputError(f"{given.input}: the readout's sum over {x.shape[1]} steps can exceed 64 bits")
    if given.batch < 1:
        raise InputError(f"--batch is {given.batch}, at least 1 is needed")
    try:
        prepare()
        from .simulation import simulate
    except ImportError as error:
        raise InputError(f"lava-nc cannot be imported ({error}); {MISSING_HINT}") from None
    with np.load(folder / "weights.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    batch = min(given.batch, len(x)) if given.batched else None
    show = say_progress if given.supervised else draw_progress
    outcome = simulate(structure, arrays, x, lengths, batch=batch, progress=show, supervised=given.supervised)
    if given.output:
        saved: dict[str, Any] = {"readout": outcome.readout, "classes": outcome.classes}
        for key in ("spikes", "u", "v", "overflows"):
            saved |= {f"{key}.{name}": array for name, array in getattr(outcome, key).items()}
        np.savez(given.output, **saved)
    if given.supervised:
        return 0
    for name, spikes in outcome.spikes.items():
        print(f"{name}: fires in {spikes.mean():.2%} of its neuron steps, {outcome.overflows[name].sum()} overflows")
    print("classes:", *outcome.classes[:20], *(["..."] if len(x) > 20 else []))
    if y is not None:
        print(f"accuracy: {np.mean(outcome.classes == y):.2%} of {len(x)} samples")
    return 0


def read_input(
    path: Path, structure: Network, integers: bool = False
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[Any] | None]:
    """(x, lengths, y or None) of an ``.npz``: x (samples, time, features), integers for a fixed-point network."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("x", "scale", "lengths", "y") if key in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected an .npz with x") from None
    size = structure.input.size
    if "x" not in arrays:
        raise InputError(f"{path}: no array 'x'")
    x = arrays["x"]
    if x.ndim != 3 or 0 in x.shape or x.shape[2] != size:
        raise InputError(f"{path}: x has shape {x.shape}, expected (samples, time, {size})")
    x = x.astype(np.uint8) if x.dtype == np.bool_ else x
    if not np.issubdtype(x.dtype, np.number) or np.iscomplexobj(x) or not np.isfinite(x).all():
        raise InputError(f"{path}: x is {x.dtype} or not finite, expected finite real numbers")
    scale = np.asarray(arrays.get("scale", 1.0), dtype=np.float64)
    if scale.size != 1 or not np.isfinite(scale).all() or (scale <= 0).any():
        raise InputError(f"{path}: scale must be one positive number")
    samples, time, _ = x.shape
    lengths = np.asarray(arrays.get("lengths", np.full(samples, time)), dtype=np.int64)
    if lengths.shape != (samples,) or lengths.min() < 1 or lengths.max() > time:
        raise InputError(f"{path}: lengths must be ({samples},) with values in 1..{time}, the steps of x")
    y = arrays.get("y")
    if y is not None and y.shape != (samples,):
        raise InputError(f"{path}: y has shape {y.shape}, expected ({samples},)")
    if integers and structure.precision == "fixed_pt":
        max_input = int(np.abs(x).max())
        if max_input > structure.input.limit:
            raise InputError(f"{path}: x reaches {max_input}, the payload is {structure.input.bits} bits")
        return x.astype(np.int64), lengths, y
    return encode(x, float(scale.reshape(())), structure), lengths, y


def encode(x: NDArray[Any], scale: float, structure: Network) -> NDArray[Any]:
    """What the network sees: x*scale in floating point, ``clip(rint(x*scale/lsb))`` in fixed point."""
    if structure.precision == "floating_pt":
        return x.astype(np.float64) * scale
    limit = structure.input.limit
    if np.issubdtype(x.dtype, np.integer) and scale == structure.input.lsb:
        return np.clip(x.astype(np.int64), -limit, limit)
    scaled: NDArray[np.float64] = np.clip(np.rint(x.astype(np.float64) * (scale / structure.input.lsb)), -limit, limit)
    return scaled.astype(np.int64)


def say_progress(done: int, total: int) -> None:
    """For the process that supervises this one."""
    print("progress", done, total, flush=True)


def draw_progress(done: int, total: int) -> None:
    """For a person at a terminal."""
    if sys.stderr.isatty():
        print(f"\rLava step {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
