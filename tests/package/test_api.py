"""The public names: each is where the documentation says, and old paths warn."""

import ast
import importlib
import inspect
import subprocess
import sys
import warnings
from dataclasses import replace

import pytest

import tclif_deploy
from tclif_deploy import aliases, convolution
from tests.helpers.requirements import needs_package
from tests.package import api_page
from tests.package.api_page import MODULES, ROOT

DOCUMENTED = list(api_page.entries())


@pytest.mark.slow
def test_every_documented_name_is_there_as_attribute_and_by_the_import_of_its_module():
    lines = ["import tclif_deploy"]
    for name in reversed(DOCUMENTED):  # the deepest first, before anything else loads them
        parts = name.split(".")
        module = next(m for n in range(len(parts), 0, -1) if (m := ".".join(parts[:n])) in MODULES)
        lines += [name, f"import {module} as module", f"assert module is {module}"]
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-"], input="\n".join(lines).encode(),
        capture_output=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()


def test_what_is_public_is_documented_and_what_is_documented_is_public():
    written = {name.partition(".")[2] for name in DOCUMENTED}
    public = set(tclif_deploy.__all__)
    shown = [*api_page.documented().values(), *(api_page.found(name) for name in DOCUMENTED)]
    missing = {name for name in public if not any(getattr(tclif_deploy, name) is value for value in shown)}
    assert missing == {"__version__"}
    assert {name for name in written if "." not in name and f"tclif_deploy.{name}" not in MODULES} - public == set()


def test_every_public_name_is_there_and_known_to_type_checkers():
    tree = ast.parse((ROOT / "tclif_deploy" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in block.body for alias in node.names}
    assert typed | {"__version__"} == set(tclif_deploy.__all__)
    for name in tclif_deploy.__all__:
        assert getattr(tclif_deploy, name) is not None
        assert name in dir(tclif_deploy)


def test_no_module_or_folder_of_the_package_is_called_like_a_public_function():
    functions = {name for name in tclif_deploy.__all__ if inspect.isroutine(getattr(tclif_deploy, name))}
    assert functions >= {"load", "compile", "simulate", "finetune", "sweep", "place"}
    assert {path.stem for path in (ROOT / "tclif_deploy").iterdir()} & functions == set()


def test_a_module_of_the_package_is_imported_under_a_name_of_ones_own():
    import tclif_deploy.simulation.floating as f

    assert f.simulate_float is tclif_deploy.simulation.floating.simulate_float
    assert callable(tclif_deploy.simulate)


OLD = {
    "simulate": "simulate", "simulate.result": "Result", "simulate.floating": "simulate_float",
    "simulate.reference": "rnd", "simulate.stream": "run_all", "quantize": "QuantizeSettings",
    "quantize.settings": "PASSES", "quantize.frequency": "coupling_pair", "verify": "Requirements",
    "finetune": "TuneSettings", "report.record": "Record", "pipeline": "CompileOptions",
    "interchange": "write_nir", "interchange.netx_loader.network": "Network",
}  # fmt: skip
"""what version 0.1 documented, and a name in each"""
LAVA = "interchange.netx_loader.network"
"""loads Lava, which decides for its whole process how others are started"""


def test_old_paths_are_those_that_were_documented_and_more():
    assert set(aliases.MOVED) >= set(OLD)
    assert {f"tclif_deploy.{new}" for new in aliases.MOVED.values()} <= MODULES
    old = {f"tclif_deploy.{old}" for old in aliases.MOVED}
    assert old & MODULES == set()
    assert {path.rpartition(".")[0] for path in old} <= old | MODULES  # imported first, with a path's first import


@pytest.mark.parametrize("old", [old for old in aliases.MOVED if "netx_loader" not in old])
def test_an_old_path_is_importable_with_one_warning_that_names_the_new_one(old):
    new = f"tclif_deploy.{aliases.MOVED[old]}"
    module = importlib.import_module(new)
    name = OLD.get(old) or next(name for name in vars(module) if not name.startswith("_"))
    names = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(f"from tclif_deploy.{old} import {name}", "user.py", "exec"), names)
    assert names[name] is getattr(module, name)
    (warning,) = caught
    assert warning.category is DeprecationWarning
    assert str(warning.message) == f"tclif_deploy.{old} has moved to {new}; the old path goes with version 0.3"
    assert warning.filename == "user.py"


@pytest.mark.slow
def test_the_old_path_of_lavas_loader_works_too():
    needs_package("lava")
    code = f"from tclif_deploy.{LAVA} import Network; print(Network.__module__)"
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == f"tclif_deploy.{aliases.MOVED[LAVA]}", done.stderr
    assert done.stderr.count("has moved to") == 1


@pytest.mark.slow
def test_a_public_function_stays_one_whatever_old_module_of_its_name_is_imported():
    code = (
        "import tclif_deploy, tclif_deploy.finetune, tclif_deploy.simulate, tclif_deploy.sweep\n"
        "from tclif_deploy.simulate.floating import simulate_float\n"
        "assert all(type(f).__name__ == 'function' for f in (tclif_deploy.finetune, tclif_deploy.simulate, "
        "tclif_deploy.sweep))\n"
        "assert tclif_deploy.pipeline.compile is tclif_deploy.compile"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_name_of_before_is_the_new_one_with_one_warning_in_the_user_s_line():
    code = """
import numpy as np
from dataclasses import replace
from tclif_deploy import CompileOptions, Dataset, convolution, quantization
kernel = convolution.pooling((2, 1, 4), (1, 2), (1, 2), (0, 0), average=True)
data = Dataset(np.ones((1, 2, 3)), scale=0.5)
same = (
    convolution.Weighted is convolution.LinearMap, quantization.seen_ranges is quantization.measured_ranges,
    kernel.rows.shape == kernel.shared_rows.shape, kernel.sharing == kernel.neurons_per_row,
    (kernel.spread(np.arange(2)) == kernel.per_neuron(np.arange(2))).all(), (data.real() == data.values()).all(),
    CompileOptions(narrowest=0.5).auto_bits_max_drop == 0.5, CompileOptions(auto_bits_max_drop=0.5).narrowest == 0.5,
    replace(CompileOptions(samples=3), narrowest=0.5) == CompileOptions(samples=3, auto_bits_max_drop=0.5),
)
"""
    names = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(code, "user.py", "exec"), names)
    assert all(names["same"])
    assert {warning.category for warning in caught} == {DeprecationWarning}
    assert {warning.filename for warning in caught} == {"user.py", replace.__code__.co_filename}
    assert [str(warning.message).split(" is ")[0].rpartition(".")[2] for warning in caught] == [
        "Weighted", "seen_ranges", "rows", "sharing", "spread", "real", "narrowest", "narrowest", "narrowest",
    ]  # fmt: skip
    with pytest.raises(AttributeError, match="has no attribute 'Wieghted'"):
        _ = convolution.Wieghted
