"""What is damaged: a small trained network in every format, data, targets, and builds of it; all from fixed seeds."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import nir
import numpy as np
import torch

import tclif_deploy as tc
from tclif_deploy.cli.main import run
from tclif_deploy.convolution import Conv, Kernel
from tclif_deploy.formats import write_netx
from tests.helpers.cuba_networks import cuba_network

TUNE = ["finetune", "saved.pt", "--data", "f", "--task", "mine", "--epochs", "1", "--no-control", "--threads", "1"]
TUNE += ["--batch-size", "4", "--backend", "none", "-o", "tuned", "-q"]
STATE = "tuned.tuning/tuned/checkpoint.pth.tar.resume"
"""what a fine-tuning that was stopped left to go on from"""


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in ``folder`` until the block ends."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def silent() -> Iterator[io.StringIO]:
    """What is written to standard error meanwhile; nothing reaches the terminal."""
    stderr = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(stderr):
        yield stderr


def make(folder: Path) -> None:
    """Write everything into the empty ``folder``."""
    with inside(folder), silent() as stderr:
        rng = np.random.default_rng(0)
        said = []
        for place in (".", "k"):  # the same with calibration data beside it, and its args.json
            Path(place).mkdir(exist_ok=True)
            torch.save({"epoch": 3, "best": 0.9, "state_dict": state(3, np.random.default_rng(0))}, f"{place}/m.pt")
            values = {"threshold": 1.0, "gamma": 0.5, "neuron": "tclif", "hard_reset": False, "model": "mine"}
            Path(place, "args.json").write_text(json.dumps(values))
        x = rng.integers(0, 256, (8, 30, 3)).astype(np.uint8)
        data = {"x": x, "scale": 1 / 255, "y": rng.integers(0, 4, 8), "lengths": rng.integers(5, 31, 8)}
        np.savez("d.npz", **data)
        np.savez("k/calibration.npz", **data)
        np.save("x.npy", x)
        header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (4, 3, 5))
        Path("images-idx3-ubyte").write_bytes(header + rng.bytes(4 * 3 * 5))
        Path("images-idx3-ubyte.gz").write_bytes(gzip.compress(Path("images-idx3-ubyte").read_bytes()))
        spikes(Path("s.h5"), rng)
        Path("t.toml").write_text(
            'inherits = "loihi2"\nname = "chip"\ndescription = "a chip"\n'
            'weight_bits = { value = 7, unit = "bit", source = "here", evidence = "assumed" }\n'
            "state_bits = 20\nthreshold_bits = 20\nreset_bits = 20\nbias_bits = 20\nneurons_per_core = 8\n"
            "energy_synapse = [1.0, 2.5]\n"
        )
        said.append(run(["targets", "loihi2", "--json"]))
        said.append(run(["compile", "m.pt", "--data", "d.npz", "-o", "b", "--backend", "c", "-q"]))
        said.append(run(["explain", "b", "--data", "d.npz", "--samples", "2", "-q"]))
        for features in (1, 700):
            torch.save({"state_dict": state(features, np.random.default_rng(1))}, "other.pt")
            said.append(run(["compile", "other.pt", "-o", f"b{features}", "--backend", "none", "-q"]))
        Path("other.pt").unlink()
        points = ["sweep", "m.pt", "--data", "d.npz", "--weight-bits", "7,8", "-o", "w.csv", "--jobs", "1", "-q"]
        said.append(run(points))
        models(rng)
        Path("f").mkdir()
        for part in ("train", "test"):
            np.savez(f"f/{part}.npz", **data)
        with mock.patch("tclif_deploy.workflows.finetune._keep_checkpoint", side_effect=tc.TclifError("stopped")):
            assert run(TUNE) == 2, stderr.getvalue()
        assert not any(said), (said, stderr.getvalue())


def state(features: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """The state dict of a network of ``features`` inputs, 12 and 10 TC-LIF neurons and 4 classes."""
    tensors: dict[str, torch.Tensor] = {}
    sizes = (features, 12, 10, 4)
    for n in range(3):
        m, k = sizes[n], sizes[n + 1]
        arrays = {"weight": rng.normal(0.03, 0.9 / m**0.5, (k, m)), "bias": rng.normal(0.02, 0.03, k)}
        tensors |= {
            f"features.{2 * n}.{key}": torch.tensor(array, dtype=torch.float32) for key, array in arrays.items()
        }
        if n < 2:
            decay = torch.tensor(rng.normal(0, 0.5, (1, 2)), dtype=torch.float32)
            tensors[f"features.{2 * n + 1}.decay_factor"] = decay
    return tensors


def models(rng: np.random.Generator) -> None:
    """NIR of ours, a foreign one of LIF neurons, one of a convolution, netx, and a file of `tclif_deploy.save`."""
    tc.write_nir(tc.load("m.pt"), "n.nir")
    ones = np.ones(4)
    lif = nir.LIF(tau=20e-3 * ones, r=ones, v_leak=0 * ones, v_threshold=ones)
    cuba = nir.CubaLIF(tau_syn=5e-3 * ones, tau_mem=20e-3 * ones, r=ones, v_leak=0 * ones, v_threshold=ones, w_in=ones)
    nodes: dict[str, Any] = {
        "input": nir.Input(np.array([3])), "fc": nir.Affine(rng.normal(0, 1, (4, 3)), 0 * ones), "lif": lif,
        "loop": nir.Linear(rng.normal(0, 1, (4, 4))), "fc2": nir.Linear(rng.normal(0, 1, (4, 4))), "cuba": cuba,
        "output": nir.Output(np.array([4])),
    }  # fmt: skip
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "loop"), ("loop", "lif"), ("lif", "fc2"), ("fc2", "cuba")]
    nir.write("f.nir", nir.NIRGraph(nodes=nodes, edges=[*edges, ("cuba", "output")]))
    tc.write_nir(maps(rng), "v.nir")
    write_netx(cuba_network(), "c.net")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 6), tc.nn.TCLIF(), torch.nn.Linear(6, 4))
    tc.save(module, "saved.pt")


def maps(rng: np.random.Generator) -> tc.Network:
    """A convolution of 2 channels on 1 x 4 x 4, and a readout."""
    kernel = Kernel(rng.normal(0.1, 0.4, (2, 1, 3, 3)), Conv((1, 4, 4), padding=(1, 1, 1, 1)))
    cells = tc.neurons.lif(kernel.neurons, decay=0.9, threshold=1.0)
    layer = tc.Layer("map", cells, (tc.Connection("input", kernel.weight, conv=kernel.conv),))
    out = tc.Connection("map", rng.normal(0, 0.3, (3, kernel.neurons)))
    return tc.Network(16, (layer, tc.Layer("out", tc.neurons.readout(3), (out,))))


def spikes(path: Path, rng: np.random.Generator) -> None:
    """A file in the form of the Spiking Heidelberg Digits: three samples of twenty spikes."""
    with h5py.File(path, "w") as file:
        for name, dtype in (("times", np.float32), ("units", np.uint16)):
            column = file.create_dataset(f"spikes/{name}", (3,), h5py.vlen_dtype(dtype))
            for n in range(3):
                column[n] = rng.random(20) if name == "times" else rng.integers(0, 700, 20)
        file["labels"] = np.arange(3)
