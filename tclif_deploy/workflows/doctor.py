"""What is installed, what is missing and how to get it, and a short run through every backend that is there."""

from __future__ import annotations

import itertools
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tclif_deploy import backends, neurons
from tclif_deploy.backends.lava import install_commands, installed_version
from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.extras import OPTIONAL, installed
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import INPUT, Connection, Layer, Network
from tclif_deploy.quantization import quantize
from tclif_deploy.report.terminal.doctor import Dependency, SelfTest
from tclif_deploy.simulation import simulate
from tclif_deploy.target import Target, load_target
from tclif_deploy.verification import difference
from tclif_deploy.version import __version__

PACKAGES = (
    ("numpy", "numpy", "core", "numpy"),
    ("torch", "torch", "reading checkpoints, training", "torch"),
    ("nir", "nir", "network.nir", "nir"),
    ("numba", "numba", "the fast engine", "numba"),
    ("jinja2", "jinja2", "report.html", "jinja2"),
    ("plotly", "plotly", "report.html", "plotly"),
    ("joblib", "joblib", "sweeps, --parallel", "joblib"),
    *((name, name, package.purpose, f"'tclif-deploy[{package.extra}]'") for name, package in OPTIONAL.items()),
)
"""(distribution, module, what needs it, what pip installs)"""

TESTED_PYTHONS = ("3.11", "3.12", "3.13")
"""with which every commit is tested, on Linux x86-64: what the README promises"""

SAMPLES, STEPS, SEED = 4, 100, 1
"""of the self-test: some seconds in the slowest backend"""
SIZES = (2, 24, 16, 5)
TRUSTED_RATES = (0.01, 0.6)
"""share of neuron steps with a spike between which equality means something"""


def dependencies() -> tuple[Dependency, ...]:
    """Every package that something needs."""
    packages = []
    for distribution, module, purpose, install in PACKAGES:
        try:
            version = metadata.version(distribution) if installed(module) else None
        except metadata.PackageNotFoundError:  # a folder of that name
            version = None
        packages.append(Dependency(distribution, purpose, version, (f"pip install {install}",)))
    return (*packages, Dependency("lava-nc", "the Lava backend", installed_version(), install_commands()))


def untested_platform() -> str | None:
    """What of this machine's Python and system is not tested with every commit, or None where all is.

    Examples
    --------
    >>> untested_platform() is None or "untested" in untested_platform()
    True
    """
    python = ".".join(platform.python_version_tuple()[:2])
    system, machine = platform.system(), platform.machine()
    parts = [f"Python {python}"] * (python not in TESTED_PYTHONS)
    parts += [f"{system} {machine}"] * ((system, machine) != ("Linux", "x86_64"))
    if not parts:
        return None
    return f"{' and '.join(parts)}: untested; promised are Python {', '.join(TESTED_PYTHONS)} on Linux x86_64"


def small_network() -> tuple[Network, Dataset]:
    """A seeded TC-LIF network that fires, and its input."""
    rng = np.random.default_rng(SEED)
    layers: list[Layer] = []
    for n, (m, k) in enumerate(itertools.pairwise(SIZES)):
        last = n == len(SIZES) - 2
        neuron = neurons.readout(k) if last else neurons.tclif(k, c1=0.2, c2=-0.3, gamma=0.5, threshold=1.0)
        source = layers[-1].name if layers else INPUT
        connections = [Connection(source, rng.normal(0.02, 0.9 / m**0.5, (k, m)))]
        if n == 1:
            connections.append(Connection("layer1", rng.normal(0.0, 0.3 / k**0.5, (k, k)), delay=1))
        layers.append(Layer(f"layer{n}", neuron, tuple(connections)))
    data = Dataset(rng.integers(0, 256, (SAMPLES, STEPS, SIZES[0])).astype(np.uint8), scale=1 / 255)
    return Network(SIZES[0], tuple(layers)), data


def self_tests() -> Iterator[SelfTest]:
    """Run the small network through every backend that is there, one at a time."""
    network, data = small_network()
    target = load_target("loihi2")
    fixed = quantize(network, target, data)
    for name in backends.names():
        started = time.perf_counter()
        result, detail = _self_test(name, fixed, target, data)
        yield SelfTest(name, result, detail, round(time.perf_counter() - started, 1))


def _self_test(name: str, fixed: FixedNetwork, target: Target, data: Dataset) -> tuple[str, str]:
    try:
        backend = backends.get(name)
        backend.check_installed()
    except TclifError as error:
        return "missing", str(error)
    x, _ = fixed.input.encode(data.x, data.scale)
    with tempfile.TemporaryDirectory() as folder:
        try:
            backend.emit(fixed, target, Path(folder) / name)
            outputs = backend.run(Path(folder) / name, x)
        except TclifError as error:
            return "broken", str(error)
    check = difference(simulate(fixed, x, spikes=True, engine="reference"), outputs, STEPS)
    if not check.equal:
        return "DIFFERENT", f"{check.spike_mismatches:,} spikes and {check.state_mismatches:,} states differ"
    rates = [float(spikes.mean()) for spikes in outputs.spikes.values()]
    if not all(TRUSTED_RATES[0] < rate < TRUSTED_RATES[1] for rate in rates):
        return "broken", f"firing rates are {', '.join(f'{rate:.3f}' for rate in rates)}: equality proves nothing"
    return "equal", f"every bit of {check.neuron_steps:,} neuron steps"


def to_json(tests: list[SelfTest]) -> dict[str, Any]:
    """Plain values."""
    return {
        "tclif_deploy": __version__, "python": platform.python_version(),
        "untested": untested_platform(),
        "parts": [asdict(dependency) for dependency in dependencies()], "self_tests": [_plain(test) for test in tests],
    }  # fmt: skip


def _plain(test: SelfTest) -> dict[str, Any]:
    """A self-test under the keys of the command's JSON."""
    return {"backend": test.backend, "result": test.result, "says": test.detail, "seconds": test.seconds}
