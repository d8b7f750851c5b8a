"""Public functions refuse what they cannot use in one sentence, whichever argument it is and whatever is given for it.

Every argument of every function is replaced by each of some forty values that a person, or a bug, may give. The call
raises `TclifError`, or the value stands in MEANINGFUL: then the call may go through.
"""

import inspect
import shutil
import tracemalloc
import warnings
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import tclif_deploy as tc
from tclif_deploy import analysis, backends, convolution, mapping, neurons
from tclif_deploy.arguments import checked
from tclif_deploy.fixed import Arithmetic, FixedNetwork, InputEncoding
from tclif_deploy.network import NEURON_ARRAYS
from tclif_deploy.report import page
from tclif_deploy.report.static import write_figures
from tclif_deploy.simulation import reference
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.workflows.cost import compare_costs
from tclif_deploy.workflows.sweep import Point, grid
from tests.helpers import checkpoints

LOGS = [Path(__file__).parents[2] / "fixtures" / name / "train.log" for name in ("smnist_ff", "smnist_rec")]
LONGEST = 700
"""characters of a message"""
NOT_CHECKED = ("say", "progress", "self", "example_input", "ranges")
"""arguments left out: functions that are called back, and what only torch can judge"""


class Odd:
    """Nothing that anything takes."""


class World:
    """What the calls are made of: one small network and all that comes of it, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = checkpoints.write_checkpoint(folder / "net")
        self.data = checkpoints.write_data(folder / "data.npz")
        self.network, self.dataset = tc.load(self.model), tc.load_data(self.data)
        self.target = tc.load_target("loihi2")
        self.quick = tc.QuantizeSettings(passes=())
        self.fixed = tc.quantize(self.network, self.target, self.dataset, self.quick)
        self.options = tc.CompileOptions(backend="none", quantize=self.quick)
        self.build = tc.compile(self.model, data=self.data, output=folder / "build", options=self.options)
        self.module = torch.nn.Sequential(torch.nn.Linear(3, 3), tc.nn.TCLIF())
        tc.save(torch.nn.Sequential(torch.nn.Linear(3, 4), tc.nn.TCLIF(), torch.nn.Linear(4, 4)), folder / "tune.pt")
        for part in ("train", "test"):
            checkpoints.write_data(folder / f"{part}.npz")
        one = np.ones((4, 3))
        self.lif = neurons.lif(4, decay=0.9, threshold=1.0)
        self.layer = tc.Layer("a", self.lif, (tc.Connection("input", one),))
        self.state = tc.Simulator(self.fixed).state
        self.state.save(folder / "state.npz")
        self.placement = tc.place(self.fixed, self.target)
        self.activity = mapping.measure(self.fixed, self.dataset)
        self.wrong = {
            "None": None, "3": 3, "-1": -1, "nan": float("nan"), "inf": float("inf"), "nowhere": "nowhere", "''": "",
            "bytes": b"x", "list": [], "dict": {}, "Odd": Odd(), "zeros": np.zeros((2, 3)),
            "nans": np.full((2, 5, 3), np.nan), "objects": np.array([object()], dtype=object),
            "no_samples": np.zeros((0, 5, 3)), "tensor": torch.ones(2, 5, 4), "Path": Path("nowhere"),
            "lambda": lambda *a: None, "Dataset": self.dataset, "Network": self.network, "FixedNetwork": self.fixed,
            "Target": self.target, "Build": self.build, "module": torch.nn.Linear(3, 3), "True": True, "1j": 1j,
            "2**70": 2**70, "1e308": 1e308, "texts": np.array(["a"]), "set": {1}, "tuple": (1, 2, 3), "class": Odd,
            "long": "x" * 5000, "NUL": "a\0b", "negative": -np.ones(4), "settings": tc.QuantizeSettings(),
            "digits": 10**5000, "gradient": torch.ones(2, 5, 3, requires_grad=True),
        }  # fmt: skip

    def with_layer(self, **fields) -> FixedNetwork:
        """A `FixedLayer` by itself may hold what no network takes."""
        first, *others = self.fixed.layers
        return replace(self.fixed, layers=(replace(first, **fields), *others))

    def with_connection(self, **fields) -> FixedNetwork:
        (connection,) = self.fixed.layers[0].connections
        return self.with_layer(connections=(replace(connection, **fields),))

    def calls(self):
        """name -> (function, arguments with which it succeeds)"""
        w, one = self, np.ones((4, 3))
        out = w.folder
        return {
            "load": (tc.load, {"model": w.model}),
            "load_data": (tc.load_data, {"path": w.data}),
            "load_target": (tc.load_target, {"target": "loihi2"}),
            "quantize": (tc.quantize, {"network": w.network, "target": "loihi2", "calibration": w.dataset,
                                       "settings": w.quick}),
            "dequantize": (tc.dequantize, {"fixed": w.fixed}),
            "simulate": (tc.simulate, {"network": w.fixed, "x": w.dataset}),
            "simulate_float": (simulate_float, {"network": w.network, "x": w.dataset.values()}),
            "reference.simulate": (reference.simulate, {"network": w.fixed, "x": w.dataset.x.astype(np.int64)}),
            "Simulator": (tc.Simulator, {"network": w.fixed}),
            "Simulator.step": (tc.Simulator(w.fixed).step, {"x": [1, 2, 3]}),
            "Simulator.run": (tc.Simulator(w.fixed).run, {"x": [[1, 2, 3], [3, 4, 5]]}),
            "SimulatorState": (tc.SimulatorState, dict(vars(w.state))),
            "SimulatorState.save": (w.state.save, {"path": out / "s.npz"}),
            "SimulatorState.load": (tc.SimulatorState.load, {"path": out / "state.npz"}),
            "verify": (tc.verify, {"network": w.network, "fixed": w.fixed, "data": w.dataset}),
            "compile": (tc.compile, {"model": w.model, "output": out / "again", "options": w.options}),
            "explain": (tc.explain, {"build": w.build, "data": w.data, "samples": 2, "jobs": 1}),
            "check": (tc.check, {"subject": w.fixed, "target": "loihi2", "data": w.data}),
            "cost": (tc.cost, {"subject": w.fixed, "target": "loihi2", "data": w.data}),
            "compare_costs": (compare_costs, {"subject": w.fixed, "targets": ("loihi2",), "data": w.data}),
            "anytime": (tc.anytime, {"build": w.build, "data": w.data, "points": 2}),
            "finetune": (tc.finetune, {"model": out / "tune.pt", "target": "loihi2", "data": out,
                                       "output": out / "tuned",
                                       "calibration": w.dataset, "options": w.options,
                                       "settings": tc.TuneSettings(epochs=1, batch_size=2, control=False,
                                                                   task="mine")}),
            "sweep": (tc.sweep, {"model": w.network, "target": "loihi2", "points": (Point(8, 12, 24, "floor"),),
                                 "data": w.dataset, "calibration": w.dataset, "path": out / "sweep.csv",
                                 "settings": w.quick, "jobs": 1}),
            "robust": (tc.robust, {"fixed": w.fixed, "data": w.dataset, "path": out / "robust.csv", "runs": 1,
                                   "jobs": 1, "kinds": ("bits",), "levels": (0.1,)}),
            "grid": (grid, {"target": w.target, "weight": "8", "coefficient": "", "state": "", "rounding": ""}),
            "Point": (Point, {"weight_bits": 8, "coefficient_bits": 12, "state_bits": 24, "rounding": "floor"}),
            "gradients": (analysis.gradients, {"model": w.network, "data": w.dataset, "samples": 2}),
            "convergence": (analysis.convergence, {"logs": LOGS}),
            "landscape": (analysis.landscape, {"model": w.network, "data": w.dataset, "points": 3, "span": 1.0}),
            "quadrants": (analysis.quadrants, {"model": w.network, "data": w.dataset, "points": 1, "epochs": 1,
                                               "neurons": 4, "lr": 0.01, "seeds": 1}),
            "dynamics": (analysis.dynamics, {"model": w.network, "steps": 3}),
            "sensitivity": (analysis.sensitivity, {"model": w.network, "data": w.dataset, "samples": 2}),
            "place": (tc.place, {"network": w.fixed, "target": w.target}),
            "measure": (mapping.measure, {"fixed": w.fixed, "data": w.dataset}),
            "mapping.check": (mapping.check, {"fixed": w.fixed, "target": w.target}),
            "mapping.cost": (mapping.cost, {"fixed": w.fixed, "target": w.target, "placement": w.placement,
                              "activity": w.activity}),
            "save": (tc.save, {"model": w.module, "path": out / "m.pt"}),
            "register_neuron": (tc.register_neuron, {"kind": Odd, "reader": lambda module, size: w.lif}),
            "sliding_windows": (tc.sliding_windows, {"x": np.zeros((2, 10, 1)), "size": 4}),
            "read_nir": (tc.read_nir, {"model": w.build.folder / "network.nir"}),
            "write_nir": (tc.write_nir, {"network": w.network, "path": out / "w.nir"}),
            "export_nir": (tc.export_nir, {"network": w.network, "path": out / "e.nir"}),
            "Build.open": (tc.Build.open, {"folder": w.build.folder}),
            "Dataset": (tc.Dataset, {"x": w.dataset.x, "y": w.dataset.y}),
            "Dataset.take": (w.dataset.take, {"indices": [0]}),
            "Layer": (tc.Layer, {"name": "a", "neuron": w.lif, "connections": w.layer.connections}),
            "Connection": (tc.Connection, {"source": "input", "weight": one}),
            "Network": (tc.Network, {"input_size": 3, "layers": (w.layer,)}),
            "Network.with_readout": (w.network.with_readout, {"readout": "sum"}),
            "Readout": (tc.Readout, {"rule": "count"}),
            "Network.layer": (w.network.layer, {"name": w.network.layers[0].name}),
            "Neuron": (type(w.lif), dict(vars(w.lif))),
            "tclif": (neurons.tclif, {"size": 4, "c1": 0.1, "c2": 0.1, "gamma": 0.5, "threshold": 1.0}),
            "two_compartment": (neurons.two_compartment, {"size": 4, "alpha1": 0.9, "beta1": -0.2, "alpha2": 0.9,
                                                          "beta2": 0.5, "threshold": 1.0}),
            "lif": (neurons.lif, {"size": 4, "decay": 0.9, "threshold": 1.0}),
            "integrate_and_fire": (neurons.integrate_and_fire, {"size": 4, "threshold": 1.0}),
            "cuba_lif": (neurons.cuba_lif, {"size": 4, "current_decay": 0.5, "voltage_decay": 0.1, "threshold": 1.0}),
            "plif": (neurons.plif, {"size": 4, "w": 1.0, "threshold": 1.0}),
            "readout": (neurons.readout, {"size": 4}),
            "alif_bellec": (neurons.alif_bellec, {"size": 4, "alpha": 0.9, "rho": 0.9, "kappa": 0.5, "threshold": 1.0}),
            "alif_yin": (neurons.alif_yin, {"size": 4, "alpha": 0.9, "rho": 0.9, "beta": 0.5, "threshold": 1.0}),
            "resonate_and_fire": (neurons.resonate_and_fire, {"size": 4, "omega": 10.0, "damping": 2.0}),
            "alif_higuchi": (neurons.alif_higuchi, {"size": 4, "alpha": 0.9, "rho": 0.9, "beta": 0.5,
                                                    "threshold": 1.0}),
            "adlif": (neurons.adlif, {"size": 4, "alpha": 0.9, "beta": 0.9, "a": 0.5, "b": 0.5}),
            "ahp": (neurons.ahp, {"size": 4, "alpha": 0.9, "rho": 0.9, "jump": 0.5, "threshold": 1.0}),
            "ltmd": (neurons.ltmd, {"size": 4, "k": 1.0, "decay": 0.8}),
            "glif": (neurons.glif, {"size": 4, "decay": 0.9, "threshold": 1.0}),
            "se_adlif": (neurons.se_adlif, {"size": 4, "alpha": 0.9, "beta": 0.9, "a": 0.5, "b": 0.5,
                                            "threshold": 1.0}),
            "canonical": (neurons.canonical, {"size": 4, "type": "mine", "a_v": 0.9, "b_u": 0.1, "threshold": 1.0}),
            "spectral_radius": (neurons.spectral_radius, {"neuron": w.lif}),
            "FixedNetwork": (FixedNetwork, {"input": w.fixed.input, "arithmetic": w.fixed.arithmetic,
                                            "layers": w.fixed.layers}),
            "FixedLayer": (w.with_layer, dict(vars(w.fixed.layers[0]))),
            "FixedConnection": (w.with_connection, dict(vars(w.fixed.layers[0].connections[0]))),
            "FixedNetwork.save": (w.fixed.save, {"path": out / "f.npz"}),
            "FixedNetwork.load": (FixedNetwork.load, {"path": w.build.folder / "fixed.npz"}),
            "FixedNetwork.layer": (w.fixed.layer, {"name": w.fixed.layers[0].name}),
            "Arithmetic": (Arithmetic, dict(vars(w.fixed.arithmetic))),
            "InputEncoding": (InputEncoding, {"size": 1, "lsb": 0.25, "bits": 4}),
            "Requirements": (tc.Requirements, {}),
            "CompileOptions": (tc.CompileOptions, {}),
            "QuantizeSettings": (tc.QuantizeSettings, {}),
            "TuneSettings": (tc.TuneSettings, {}),
            "ReadOptions": (tc.ReadOptions, {}),
            "Target.override": (w.target.override, {"weight_bits": 8, "state_bits": None, "rounding": None}),
            "backends.get": (backends.get, {"name": "c"}),
            "write_page": (page.write_page, {"build": w.build}),
            "write_figures": (write_figures, {"build": w.build, "folder": out / "figures"}),
            "Conv": (convolution.Conv, {"input_shape": (1, 4, 4)}),
            "Kernel": (convolution.Kernel, {"weight": np.ones((2, 1, 3, 3)), "conv": convolution.Conv((1, 4, 4))}),
            "pooling": (convolution.pooling, {"shape": (1, 4, 4), "size": (2, 2), "stride": (2, 2), "padding": (0, 0),
                                              "average": True}),
        }  # fmt: skip


MEANINGFUL = {
    # what the argument is for
    "*.network": "Network FixedNetwork", "*.fixed": "FixedNetwork", "*.target": "Target", "*.build": "Build",
    "load.model": "Network", "compile.model": "Network", "sweep.model": "Network",
    "*.subject": "Network FixedNetwork Build", "check.target": "None", "cost.target": "None",
    "*.data": "Dataset tensor gradient", "*.calibration": "Dataset tensor gradient", "check.data": "None",
    "compile.data": "None", "simulate.x": "Dataset gradient", "simulate_float.x": "gradient",
    "*.output": "None nowhere Path", "*.folder": "nowhere Path", "*.path": "nowhere Path",
    "gradients.model": "Network Build", "landscape.model": "Network Build", "quadrants.model": "Network Build",
    "dynamics.model": "Network Build", "sensitivity.model": "Network Build", "sensitivity.samples": "None",
    "quadrants.neurons": "3", "quadrants.seeds": "3", "landscape.points": "3",
    "landscape.span": "3", "quadrants.points": "3", "gradients.samples": "None", "landscape.samples": "None",
    "quadrants.samples": "None", "landscape.kept": "None nowhere Path", "quadrants.kept": "None nowhere Path",
    "*.settings": "None settings", "CompileOptions.quantize": "settings", "*.options": "None", "*.read": "None",
    "register_neuron.kind": "class", "register_neuron.reader": "lambda module class",
    # None leaves it to the function
    "*.lengths": "None", "*.args": "None", "*.placement": "None", "*.activity": "None", "*.behaviour": "None",
    "Layer.grid": "None", "Network.input_grid": "None", "Arithmetic.rounding_?": "None",
    "Arithmetic.least_step": "True", "Arithmetic.each_addend": "True", "Arithmetic.input_first": "True",
    "Arithmetic.most_spikes": "2",
    "*.conv": "None", "*.y": "None", "*.mask": "None", "load_data.task": "None", "load_data.dt": "None",
    "Dataset.task": "None",
    "simulate_float.other": "None", "save.readout": "None",
    "CompileOptions.task": "None", "Readout.threshold": "None",
    "check.calibration": "None", "cost.calibration": "None",
    "compare_costs.calibration": "None", "quantize.calibration": "None", "compile.calibration": "None",
    "explain.calibration": "None", "finetune.calibration": "None", "sweep.calibration": "None",
    "sweep.parallel": "None", "robust.parallel": "None", "robust.runs": "3",
    "Requirements.*": "None", "load.*": "None", "ReadOptions.*": "None", "read_nir.*": "None",
    "TuneSettings.task": "None nowhere '' long NUL",
    "TuneSettings.samples": "None", "TuneSettings.distil": "True", "TuneSettings.temperature": "None 3",
    "CompileOptions.auto_bits_max_drop": "None",
    "CompileOptions.auto_bits_max_memory": "None 3", "CompileOptions.auto_bits_max_cores": "None 3",
    "CompileOptions.samples": "None", "CompileOptions.rtl_lanes": "None 3", "CompileOptions.rtl_pipelines": "None",
    "Target.override.*": "None",
    "explain.samples": "None", "simulate.jobs": "None", "simulate_float.jobs": "None",
    "anytime.samples": "None", "anytime.points": "3",
    # no layer to trace, no pass, no notice; lists for tuples
    "*.traces": "list dict no_samples", "*.points": "list", "*.targets": "list", "*.connections": "list",
    "*.layers": "list", "*.notices": "list", "QuantizeSettings.passes": "list", "TuneSettings.learn": "list",
    "QuantizeSettings.weight_bits": "list",
    "Conv.input_shape": "tuple", "pooling.shape": "tuple",
    # a session
    "Simulator.run.jobs": "None", "Simulator.*scale": "None 3 2**70 1e308", "Simulator.step.x": "tuple",
    "SimulatorState.in_flight": "dict", "*.batch": "3", "*.steps": "3",
    "SimulatorState.fingerprint": "nowhere '' long NUL",
    # switches
    "*.strict": "True", "*.spikes": "True", "*.counts": "True", "*.spiking": "True", "*.delayed_reset": "True",
    "*.decay_input": "True", "*.readouts": "True",
    "*.average": "True", "*.control": "True", "*.backend_batched": "True", "*.allow_misfit": "True",
    # counts
    "*.size": "3", "*.samples": "3", "*.jobs": "3", "sweep.jobs": "-1", "robust.jobs": "-1",
    "*.input_size": "3", "*.delay": "3",
    "*.*_bits": "3", "Arithmetic.*": "3", "*.bits": "3", "*.backend_samples": "3", "*.bound_steps": "3",
    "*.epochs": "3", "*.batch_size": "3", "*.seed": "3", "*.threads": "3", "*.headroom": "3",
    "Readout.votes": "3", "FixedLayer.shift": "3 -1", "FixedConnection.exponent": "3",
    # names of anything; those of a backend, a task and a convention are looked up when they are used
    "Layer.name": "nowhere '' long NUL", "Connection.source": "nowhere '' long NUL", "*.type": "nowhere '' long NUL",
    "FixedLayer.name": "'' long NUL", "Dataset.name": "nowhere '' long NUL", "*.backend": "nowhere '' long NUL",
    "*.command": "nowhere '' long NUL",
    "ReadOptions.convention": "nowhere '' long NUL", "ReadOptions.args": "nowhere Path",
    "grid.weight": "''", "grid.coefficient": "''", "grid.state": "''",
    "grid.rounding": "''",
    # finite numbers, positive ones
    "*.lsb": "3 2**70 1e308", "*.dt": "3 2**70 1e308", "*.lr": "3 2**70 1e308", "*.warmup": "3 2**70 1e308",
    "*.clip": "3 2**70 1e308", "Dataset.scale": "3 1e308", "simulate_float.scale": "3 2**70",
    "ReadOptions.threshold": "3 2**70 1e308",
    "load.threshold": "3 2**70 1e308", "*.gamma": "3 -1 2**70 1e308", "load.decay": "3 -1 2**70 1e308",
    "ReadOptions.decay": "3 -1 2**70 1e308", "ReadOptions.adaptation": "3 2**70",
    "ReadOptions.dilated_kernel_size": "3", "Connection.weight": "zeros",
    "Requirements.max_*": "3 2**70 1e308", "Requirements.min_r2*": "-1",
}  # fmt: skip
"""argument -> values of `World.wrong` for which the call may go through; ``*`` is any text, and all lines count"""
PARAMETER = "3 -1 2**70 1e308 negative"
"""a neuron's: any finite number, or one a neuron; the coefficients of `Neuron` are arrays"""
DIVIDED_BY = "3 2**70 1e308"
"""positive, as thresholds are"""
POSITIVE = {
    "two_compartment": "alpha1 alpha2", "alif_bellec": "alpha rho", "alif_yin": "alpha rho", "ahp": "alpha rho",
    "alif_higuchi": "rho", "adlif": "beta", "se_adlif": "beta",
}  # fmt: skip
SLOW = (
    "compile", "explain", "check", "cost", "compare_costs", "anytime", "finetune", "sweep", "robust", "write_page",
    "write_figures", "gradients", "landscape", "quadrants",
)  # fmt: skip
"""functions that are called with wrong values alone: what may go through takes its time, and other tests run it"""
NAMES = [
    "load",
    "load_data",
    "load_target",
    "quantize",
    "dequantize",
    "simulate",
    "simulate_float",
    "reference.simulate",
    "Simulator",
    "Simulator.step",
    "Simulator.run",
    "SimulatorState",
    "SimulatorState.save",
    "SimulatorState.load",
    "verify",
    "compile",
    "explain",
    "check",
    "cost",
    "compare_costs",
    "anytime",
    "finetune",
    "sweep",
    "robust",
    "grid",
    "Point",
    "gradients",
    "convergence",
    "landscape",
    "quadrants",
    "dynamics",
    "sensitivity",
    "place",
    "measure",
    "mapping.check",
    "mapping.cost",
    "save",
    "register_neuron",
    "sliding_windows",
    "read_nir",
    "write_nir",
    "export_nir",
    "Build.open",
    "Dataset",
    "Dataset.take",
    "Layer",
    "Connection",
    "Network",
    "Network.with_readout",
    "Readout",
    "Network.layer",
    "Neuron",
    "tclif",
    "two_compartment",
    "lif",
    "integrate_and_fire",
    "cuba_lif",
    "plif",
    "readout",
    "alif_bellec",
    "alif_yin",
    "resonate_and_fire",
    "alif_higuchi",
    "adlif",
    "ahp",
    "ltmd",
    "glif",
    "se_adlif",
    "canonical",
    "spectral_radius",
    "FixedNetwork",
    "FixedLayer",
    "FixedConnection",
    "FixedNetwork.save",
    "FixedNetwork.load",
    "FixedNetwork.layer",
    "Arithmetic",
    "InputEncoding",
    "Requirements",
    "CompileOptions",
    "QuantizeSettings",
    "TuneSettings",
    "ReadOptions",
    "Target.override",
    "backends.get",
    "write_page",
    "write_figures",
    "Conv",
    "Kernel",
    "pooling",
]


def may_pass(name, argument):
    """The values that ``argument`` of the function ``name`` may have."""
    patterns = [values for pattern, values in MEANINGFUL.items() if fnmatchcase(f"{name}.{argument}", pattern)]
    function = getattr(neurons, name, None)
    if name == "Neuron" and argument in NEURON_ARRAYS:
        patterns.append("negative")
    elif name == "canonical" and argument in NEURON_ARRAYS:
        patterns.append(PARAMETER)
    elif function and inspect.signature(function).parameters[argument].annotation == "ArrayLike":
        positive = argument == "threshold" or argument in POSITIVE.get(name, "").split()
        patterns.append(DIVIDED_BY if positive else PARAMETER)
    return set(" ".join(patterns).split())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def test_every_function_of_the_table_is_tried(world):
    assert list(world.calls()) == NAMES


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in NAMES])
def test_a_wrong_argument_is_refused_in_one_sentence(name, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, given = world.calls()[name]
    parameters = [
        p for p in inspect.signature(function).parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    problems = []
    for argument in dict.fromkeys([*given, *(p.name for p in parameters)]):
        if argument in NOT_CHECKED:
            continue
        allowed = may_pass(name, argument)
        for label, value in world.wrong.items():
            if label in allowed and name in SLOW:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", RuntimeWarning)
                    function(**{**given, argument: value})
            except tc.TclifError as error:
                if "\n" in str(error) or len(str(error)) > LONGEST:
                    problems.append(f"{argument}={label}: {len(str(error))} characters, {error!s:.80}")
            except Exception as error:
                problems.append(f"{argument}={label}: {type(error).__name__}: {error!s:.80}")
            else:
                if label not in allowed:
                    problems.append(f"{argument}={label}: goes through")
            if Path("nowhere").exists():  # a call that wrote it
                shutil.rmtree("nowhere") if Path("nowhere").is_dir() else Path("nowhere").unlink()
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in NAMES])
def test_the_call_that_is_changed_goes_through(name, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, given = world.calls()[name]
    function(**given)


def test_a_message_says_what_is_wrong_where_and_what_to_do(world):
    with pytest.raises(tc.TclifError) as refused:
        tc.quantize("nowhere", "loihi2")
    assert str(refused.value) == (
        "quantize: network is a str ('nowhere'); expected a Network: tclif_deploy.load reads one"
    )
    with pytest.raises(tc.TclifError, match="neuron lif: decay is nan; parameters must be finite"):
        neurons.lif(4, decay=float("nan"), threshold=1.0)
    with pytest.raises(tc.TclifError, match=r"lif: size is .*; expected a whole number, 1 to 8,388,608"):
        neurons.lif(2**40, decay=0.9, threshold=1.0)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32, np.float64])
def test_checking_an_array_takes_no_memory_of_its_size(dtype):
    @checked
    def samples(x: NDArray[Any]) -> int:
        return len(x)

    x = np.zeros((4096, 1024), dtype)
    samples(x)
    tracemalloc.start()
    assert samples(x) == len(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 100


def test_numbers_of_numpy_are_handed_on_as_pythons() -> None:
    @checked
    def given(n: int, x: float = 0.0, *more: int, pair: tuple[int, ...] = (), either: int | str = 0) -> list[Any]:
        return [n, x, *more, *pair, either]

    values = given(np.uint8(200), np.float32(0.5), np.int8(3), pair=(np.int16(4), 5), either=np.uint64(6))
    assert values == [200, 0.5, 3, 4, 5, 6]
    assert [type(value) for value in values] == [int, float, int, int, int, int]
    assert given(7, either="text") == [7, 0.0, "text"]


def test_numbers_of_numpy_in_settings_and_dataclasses_become_pythons() -> None:
    settings = tc.QuantizeSettings(weight_bits=(np.uint8(5), 4))  # type: ignore[arg-type]
    assert [type(bits) for bits in settings.weight_bits] == [int, int]
    arithmetic = Arithmetic(np.int8(12), "floor", np.uint8(24), 24, "saturate", "saturate")  # type: ignore[arg-type]
    assert [type(arithmetic.frac_bits), type(arithmetic.bits_u)] == [int, int]
