"""The cases of `compare_integers.py`: each fills a folder with plain files of what the imported checkout makes."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from compare_draw import (
    DT,
    TARGETS,
    Graph,
    MissingError,
    draw_data,
    draw_module,
    draw_network,
    draw_settings,
    draw_target,
    find,
)

REFUSED, CRASHED = "refused.txt", "crashed.txt"
"""Files that stand for what was not made: the first is what a `TclifError` said, the second the traceback of a bug."""
COEFFICIENTS = ("a_u", "b_u", "a_v", "b_v", "threshold", "r_u", "r_v", "v_reset", "q", "bias_u", "bias_v", "v0")
CONVENTIONS = ("nir", "exponential", "simultaneous", "snntorch", "norse", "spikingjelly")
CALIBRATED = ("loihi2", "loihi2_4bit", "loihi1", "ideal")
"""Targets for which the models of fixtures/ are calibrated, which takes seconds each."""

Case = Callable[[Path], object]


def all_cases(fixtures: Path, networks: int) -> Iterator[tuple[str, Case]]:
    """(name, what fills its folder), the longest first."""
    for path in sorted(fixtures.glob("*/checkpoint.pth.tar")):
        for name in TARGETS:
            yield f"{path.parent.name}/{name}", partial(checkpoint_case, path, name)
    for path in sorted(p for p in fixtures.glob("*/*") if p.suffix in (".nir", ".net")):
        yield f"{path.parent.name}/{path.name}", partial(interchange_case, path)
    for n in range(networks):
        yield f"network/{n}", partial(network_case, n, False)
    for n in range(networks // 5):
        yield f"netx/{n}", partial(network_case, n, True)
        yield f"graph/{n}", partial(graph_case, n)
        yield f"module/{n}", partial(module_case, n)


def attempt(folder: Path, work: Case) -> None:
    """Let ``work`` fill ``folder``. That it refuses to, or crashes, is an outcome too."""
    folder.mkdir(parents=True)
    try:
        work(folder)
    except MissingError:
        raise
    except find("TclifError") as error:
        (folder / REFUSED).write_text(str(error))
    except Exception:
        (folder / CRASHED).write_text(traceback.format_exc())


def checkpoint_case(path: Path, name: str, folder: Path) -> None:
    """A trained model, by the worst-case bound and by the calibration data beside it."""
    network, (shipped, changes) = find("load")(path), TARGETS[name]
    target = find("load_target")(shipped).override(**changes)
    keep_network(folder / "network.npz", network)
    attempt(folder / "bound", partial(keep_compiled, network, target, None, {}))
    if name in CALIBRATED:
        data = find("load_data")(path.parent / "calibration.npz")
        attempt(folder / "calibrated", partial(keep_compiled, network, target, data, {}, runs=data[:4]))


def interchange_case(path: Path, folder: Path) -> None:
    """A file that another tool wrote, read by every convention and compiled by NIR's own."""
    rng = np.random.default_rng(0)
    for name in CONVENTIONS if path.suffix == ".nir" else ("netx",):
        given = {"dt": DT, "convention": name} if path.suffix == ".nir" else {}

        def work(place: Path, given: dict[str, Any] = given) -> None:
            network = find("load")(path, **given)
            keep_network(place / "network.npz", network)
            if place.name in ("nir", "netx"):
                keep_round_trips(network, place)
                data = draw_data(rng, network.input_size)[:3]
                attempt(place / "compiled", partial(keep_compiled, network, "loihi2", data, {}))

        attempt(folder / name, work)


def network_case(n: int, plain: bool, folder: Path) -> None:
    """One random network: its numbers, its integers for some target, its runs, its files."""
    rng = np.random.default_rng([n, plain])
    network = draw_network(rng, plain)
    data, settings = draw_data(rng, network.input_size), draw_settings(rng, len(network.layers))
    target, known = draw_target(rng, settings), rng.random() < 0.9
    keep_network(folder / "network.npz", network)
    work = partial(keep_compiled, network, target, data if known else None, settings, runs=data)
    attempt(folder / "compiled", work)
    if plain or n % 2:
        keep_round_trips(network, folder)


def graph_case(n: int, folder: Path) -> None:
    """A NIR file as another tool writes it, read by some convention."""
    rng = np.random.default_rng([n, 2])
    nir.write(folder / "graph.nir", Graph(rng).graph())
    network = find("load")(folder / "graph.nir", dt=DT, convention=str(rng.choice(CONVENTIONS)))
    keep_network(folder / "network.npz", network)
    data = draw_data(rng, network.input_size)
    attempt(folder / "compiled", partial(keep_compiled, network, draw_target(rng, {}), data, {}))


def module_case(n: int, folder: Path) -> None:
    """A torch module: saved, read by its classes, read by running it, and as the checkpoint of a script."""
    rng, load = np.random.default_rng([n, 3]), find("load")
    module, shape = draw_module(rng)
    example = rng.poisson(0.6, (2, 20, *shape)).astype(np.float32)
    state = module.state_dict()
    args = {
        "task": str(rng.choice(["SMNIST", "SHD", "GSC"])), "threshold": 1.2, "gamma": 0.4, "ind": shape[0],
        "hard_reset": bool(rng.integers(2)), "sg": str(rng.choice(["triangle", "gau"])),
    }  # fmt: skip
    if not any(name.endswith((".decay_factor", ".w")) for name in state):
        args["neuron"] = "lif"
    prefix = str(rng.choice(["", "module.", "_orig_mod."]))
    decay = {"decay": 0.75} if "neuron" in args and args["task"] == "SHD" else {}

    def from_file(place: Path) -> None:
        (place / "args.json").write_text(json.dumps(args))
        torch.save({"state_dict": {prefix + k: t for k, t in state.items()}}, place / "checkpoint.pth.tar")
        keep_network(place / "network.npz", load(place / "checkpoint.pth.tar", **decay))

    def saved(place: Path) -> None:
        find("save")(module, place / "model.pt")
        network = load(place / "model.pt")
        keep_network(place / "network.npz", network)
        data = draw_data(rng, network.input_size)
        keep_compiled(network, draw_target(rng, {}), data, {}, place)

    attempt(folder / "from_file", from_file)
    attempt(folder / "saved", saved)
    attempt(folder / "by_class", lambda place: keep_network(place / "network.npz", load(module)))
    attempt(folder / "by_run", lambda place: keep_network(place / "network.npz", load(module, example_input=example)))


def keep(path: Path, **groups: Any) -> None:
    """Write arrays, and dicts of arrays by layer, into one file."""
    flat = {name: group if isinstance(group, dict) else {"": group} for name, group in groups.items()}
    np.savez(path, **{f"{name}/{key}".rstrip("/"): a for name, group in flat.items() for key, a in group.items()})


def keep_network(path: Path, network: Any) -> None:
    """Write every number of a float network, and what its layers and connections are."""
    arrays: dict[str, Any] = {}
    described: list[Any] = [network.input_size]
    for n, layer in enumerate(network.layers):
        arrays |= {f"{n}.{name}": getattr(layer.neuron, name) for name in COEFFICIENTS}
        arrays |= {f"{n}.weight.{m}": c.weight for m, c in enumerate(layer.connections)}
        neuron = {name: getattr(layer.neuron, name) for name in ("strict", "reset", "input_to", "spiking", "type")}
        links = [[c.source, c.delay, c.kind, c.conv and asdict(c.conv)] for c in layer.connections]
        described.append({"name": layer.name, **neuron, "connections": links})
    keep(path, header=np.frombuffer(json.dumps(described).encode(), np.uint8), **arrays)


def keep_compiled(
    network: Any, target: Any, calibration: Any, settings: dict[str, Any], folder: Path, runs: Any = None
) -> None:
    """Quantize; write the integers, what backends make of them, and what runs of both networks give on ``runs``."""
    fixed = find("quantize")(network, target, calibration, find("QuantizeSettings")(**settings))
    fixed.save(folder / "fixed.npz")
    for name in ("c", "onnx"):
        attempt(folder / name, partial(find("get")(name).emit, fixed, target))
    attempt(folder / "netx", lambda place: find("write_netx_fixed")(fixed, place / "fixed.net"))
    if runs is None:
        return
    real = find("simulate_float")(network, runs.x.astype(np.float64) * runs.scale, lengths=runs.lengths)
    keep(folder / "float.npz", spikes=real.spikes, readout=real.readout, classes=real.classes, peaks=real.peaks)
    for engine in ("engine", "reference"):
        r = find("simulate")(fixed, runs, spikes=True, counts=True, engine=engine)
        keep(folder / f"{engine}.npz", spikes=r.spikes, counts=r.counts, u=r.u, v=r.v, readout=r.readout,
             classes=r.classes, overflows=r.overflows)  # fmt: skip
    (folder / "verdict.json").write_text(json.dumps(find("verify")(network, fixed, runs).to_json()))


def keep_round_trips(network: Any, folder: Path) -> None:
    """Write the network in every format that has a writer, and read it back."""
    for write, read, suffix in (("write_nir", "read_nir", "nir"), ("export_nir", "load", "nir"),
                                ("write_netx", "read_netx", "net")):  # fmt: skip

        def work(place: Path, write: str = write, read: str = read, suffix: str = suffix) -> None:
            file = place / f"written.{suffix}"
            find(write)(network, file)
            keep_network(place / "network.npz", find(read)(file))

        attempt(folder / write, work)
