"""Public functions called with arguments drawn by their annotations, and networks and data of any size that is taken.

A call returns, or raises `TclifError` in one sentence; no warning of numpy's reaches whoever calls.
"""

from __future__ import annotations

import inspect
import math
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from hypothesis import strategies as st

import tclif_deploy as tc
from tclif_deploy import neurons
from tclif_deploy.quantization.settings import PASSES
from tclif_deploy.simulation.floating import simulate_float

LONGEST = 1500
"""characters of a message"""
MAGNITUDES = (0.0, 1e-320, 1e-30, 1e-20, 1e-8, 1e-3, 0.1, 0.5, 0.9, 1.0, 1.5, 2.0, 3.0, 100.0, 1e6, 1e15, 1e29, 1e30)
"""of what networks and data may hold; one is too small"""
WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**62, -(2**63), 2**70, 10**400, 0.5, -0.0, 1e-320, 1e30, 1e308, math.nan, math.inf,
    1j, "", "x", "nowhere", "loihi2", "input", "a\0b", "a\nb", "\ud800", "x" * 5000, b"x", [], {}, (), set(), [1, 2],
    (1, 2, 3), {"a": 1}, [None], object(), int, print, np.float64(1), np.int8(3), np.zeros(0), np.zeros((2, 5, 3)),
    np.ones((4, 3)), np.full((2, 5, 3), np.nan), np.full((2, 5, 3), 1e30), np.array([object()], dtype=object),
    np.array(["a"]), np.zeros((2, 5, 3), np.int8), np.full(4, 2**62), torch.ones(2, 5, 3), torch.zeros(4),
    Path("nowhere"), Path("."),
)  # fmt: skip
"""what anybody may give for anything"""


def tried(function: Callable[..., Any], *args: Any, **arguments: Any) -> Any:
    """What the call returns, None where it is refused; AssertionError where it does anything else."""
    try:
        with warnings.catch_warnings():
            for category in (RuntimeWarning, np.exceptions.ComplexWarning, np.exceptions.VisibleDeprecationWarning):
                warnings.simplefilter("error", category)
            return function(*args, **arguments)
    except tc.TclifError as error:
        said = str(error)
    assert "\n" not in said, said
    assert 0 < len(said) <= LONGEST, said
    return None


# --- arguments by annotation


def arguments_of(
    function: Callable[..., Any], given: dict[str, Any], skipped: tuple[str, ...]
) -> st.SearchStrategy[Any]:
    """Arguments of a call: those ``given``, some of them and of the others replaced by drawn ones."""
    target = function.__init__ if inspect.isclass(function) else function
    try:
        hints = get_type_hints(target, vars(inspect.getmodule(function)), include_extras=True)
    except (NameError, TypeError, AttributeError):
        hints = {}
    names = [
        p.name for p in inspect.signature(function).parameters.values()
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in skipped
    ]  # fmt: skip
    known = list(given.values())
    each = {
        name: st.one_of(by_annotation(hints.get(name, Any)), st.sampled_from(WRONG), st.sampled_from(known or [None]))
        for name in dict.fromkeys([*given, *names])
    }

    @st.composite
    def drawn(draw: st.DrawFn) -> dict[str, Any]:
        changed = draw(st.lists(st.sampled_from(list(each)), min_size=1, max_size=3, unique=True))
        return {**given, **{name: draw(each[name]) for name in changed}}

    return drawn() if each else st.just(given)


def by_annotation(annotation: Any) -> st.SearchStrategy[Any]:
    """Values that an annotation takes, or that are nearly so."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return by_annotation(parts[0])
    if origin in (Union, types.UnionType):
        return st.one_of(*map(by_annotation, parts))
    if origin is Literal:
        return st.sampled_from([*parts, str(parts[0]).upper(), ""])
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.one_of(st.integers(-2, 70), st.integers(), st.sampled_from([2**31, 2**63, 8_388_608, 8_388_609]))
    if annotation is float:
        return st.one_of(st.floats(), st.sampled_from(MAGNITUDES))
    if annotation is str:
        return st.one_of(
            st.text(max_size=8), st.sampled_from(["loihi2", "ideal", "input", "c", "none", "greedy", "floor"])
        )
    if annotation is Path:
        return st.sampled_from([Path("nowhere"), Path("."), Path("/dev/null"), Path("a/b"), Path("x" * 300)])
    if annotation in (None, type(None)):
        return st.none()
    if (
        annotation is np.ndarray
        or origin is np.ndarray
        or "ArrayLike" in str(annotation)
        or "buffer" in str(annotation)
    ):
        return arrays()
    if annotation is tc.Network:
        return networks()
    if annotation is tc.Dataset:
        return datasets(3)
    if origin in (list, tuple, set) or (origin is not None and "Sequence" in str(origin)):
        item = by_annotation(parts[0]) if parts else st.sampled_from(WRONG)
        return st.lists(item, max_size=3).flatmap(lambda items: st.sampled_from([items, tuple(items)]))
    if inspect.isclass(annotation) and annotation in (tc.QuantizeSettings, tc.CompileOptions, tc.ReadOptions):
        return st.just(annotation())
    return st.sampled_from(WRONG)


@st.composite
def numbers(draw: st.DrawFn, size: int) -> np.ndarray:
    """``size`` numbers of one magnitude, or of several."""
    sizes = st.sampled_from(MAGNITUDES)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    scale = np.array([draw(sizes) for _ in range(size)]) if draw(st.booleans()) else draw(sizes)
    with np.errstate(all="ignore"):
        return np.asarray(rng.uniform(draw(st.sampled_from([-1.0, 0.0])), 1.0, size) * scale)


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """Arrays of any dtype and of few dimensions, some of them as torch tensors or lists."""
    shape = draw(
        st.sampled_from([(), (1,), (3,), (4,), (12,), (4, 3), (3, 4), (2, 5, 3), (0,), (1, 1, 1, 1), (2, 0, 3)])
    )
    values = draw(numbers(math.prod(shape))).reshape(shape)
    dtype = draw(st.sampled_from(["f8", "f8", "f4", "f2", "i8", "i1", "u1", "?", "c16", "U4", "O", ">f8"]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = values.astype(dtype)
    form = draw(st.sampled_from(["array", "array", "list", "tensor"]))
    if form == "tensor" and dtype in ("f8", "f4", "f2", "i8", "i1", "u1", "?"):
        return torch.from_numpy(np.ascontiguousarray(array))
    return array.tolist() if form == "list" else array


# --- networks and data


@st.composite
def cells(draw: st.DrawFn, size: int) -> Any:
    """Neurons of one kind with drawn coefficients; None where they are refused."""
    kind = draw(
        st.sampled_from(["tclif", "lif", "cuba_lif", "integrate_and_fire", "two_compartment", "canonical", "ahp"])
    )
    function = getattr(neurons, kind)
    parameters = inspect.signature(function).parameters
    given: dict[str, Any] = {"size": size}
    for name, parameter in parameters.items():
        if name in ("size", "type") or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.annotation == "ArrayLike" and (
            parameter.default is parameter.empty or draw(st.integers(0, 3)) == 0
        ):
            value = draw(numbers(size))
            given[name] = np.abs(value) if name in ("threshold", "alpha1", "alpha2", "alpha", "rho") else value
    if kind == "canonical":
        chosen = draw(
            st.lists(st.sampled_from(["a_u", "b_u", "a_v", "b_v", "r_u", "r_v", "q", "bias_u", "v0", "u0"]), max_size=5)
        )
        given |= {"type": "generic", "threshold": np.abs(draw(numbers(size)))}
        given |= {name: draw(numbers(size)) for name in chosen}
        given["reset"] = draw(st.sampled_from(["soft", "hard"]))
    return tried(function, **given)


@st.composite
def networks(draw: st.DrawFn, inputs: int = 3) -> Any:
    """A chain of one to three layers, perhaps with loops; what refuses to be made is replaced by a plain one."""
    layers: list[tc.Layer] = []
    source, width = "input", inputs
    for n in range(draw(st.integers(1, 3))):
        size = draw(st.integers(1, 4))
        neuron = draw(cells(size)) or neurons.lif(size, decay=0.9, threshold=1.0)
        if n and draw(st.booleans()):
            neuron = neurons.readout(size)
        links = [tried(tc.Connection, source, draw(numbers(size * width)).reshape(size, width))]
        if draw(st.booleans()):
            links.append(tried(tc.Connection, f"l{n}", draw(numbers(size * size)).reshape(size, size), 1))
        links = [link for link in links if link is not None] or [tc.Connection(source, np.ones((size, width)))]
        if links[0].source != source:
            links.insert(0, tc.Connection(source, np.ones((size, width))))
        layer = tried(tc.Layer, f"l{n}", neuron, tuple(links))
        if layer is None:
            break
        layers.append(layer)
        source, width = f"l{n}", size
        if not neuron.spiking:
            break
    network = tried(tc.Network, inputs, tuple(layers)) if layers else None
    if network is None:
        plain = tc.Layer(
            "l0", neurons.lif(2, decay=0.9, threshold=1.0), (tc.Connection("input", np.ones((2, inputs))),)
        )
        return tc.Network(inputs, (plain,))
    return network


@st.composite
def datasets(draw: st.DrawFn, features: int) -> Any:
    """Few samples of few steps, of any dtype and size that is taken."""
    samples, steps = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    x = draw(numbers(samples * steps * features)).reshape(samples, steps, features)
    dtype = draw(st.sampled_from(["f8", "f8", "f4", "u1", "i2", "i8", "?"]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = x.astype(dtype)
    scale = draw(st.sampled_from([1.0, 1 / 255, 1e-30, 1e-8, 1e15, 1e30]))
    y = np.zeros(samples, np.int64) if draw(st.booleans()) else None
    data = tried(tc.Dataset, x, y, scale) or tried(tc.Dataset, x, y)
    return data or tc.Dataset(np.ones((samples, steps, features)))


@st.composite
def whole_ways(draw: st.DrawFn) -> tuple[Any, ...]:
    """(network, data, target, settings) for `whole_way`."""
    target = tc.load_target(draw(st.sampled_from(["loihi2", "loihi1", "ideal", "spinnaker2", "xylo2", "speck2"])))
    passes = tuple(name for name in PASSES if draw(st.booleans()))
    return draw(networks()), draw(datasets(3)), target, tc.QuantizeSettings(passes=passes)


def whole_way(network: Any, data: Any, target: Any, settings: Any, folder: Path) -> int:
    """Through everything that is done with a network and data; how many steps were gone."""
    steps = 0
    floats = tried(simulate_float, network, data.values())
    path = folder / "network.nir"
    written = tried(tc.write_nir, network, path)
    if written is not None or path.exists():
        steps += tried(tc.read_nir, path) is not None
    tried(tc.export_nir, network, path)
    path.unlink(missing_ok=True)
    tried(tc.check, network, target.name, calibration=data)
    for calibration in (data, None):
        fixed = tried(tc.quantize, network, target, calibration, settings)
        if fixed is None:
            continue
        steps += 1
        result = tried(tc.simulate, fixed, data, spikes=True)
        steps += result is not None
        steps += tried(tc.verify, network, fixed, data) is not None
        back = tried(tc.dequantize, fixed)
        if back is not None:
            steps += tried(tc.simulate, back, data) is not None
        if tried(tc.place, fixed, target) is not None:
            steps += tried(tc.cost, fixed, target=target.name, data=data) is not None
        tried(fixed.save, folder / "fixed.npz")
        assert tried(tc.FixedNetwork.load, folder / "fixed.npz") is not None
    return steps + (floats is not None)
