"""What the constructors of neuron types share: filling in coefficients, and what the coefficients imply."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Annotated, ParamSpec

import numpy as np
from numpy.typing import ArrayLike

from tclif_deploy.arguments import checked, described, to_array, to_numbers
from tclif_deploy.convolution import MOST_UNITS
from tclif_deploy.errors import TclifError
from tclif_deploy.network import NEURON_ARRAYS, Float, InputTo, Neuron, Reset
from tclif_deploy.settings import Limits

GROWTH_TOLERANCE = 1e-9
"""a spectral radius of 1 (TC-LIF, IF) comes out of float64 this exactly, or better"""


Parameters = ParamSpec("Parameters")
Size = Annotated[int, Limits(1, MOST_UNITS)]
"""neurons of one layer"""


def constructor(make: Callable[Parameters, Neuron]) -> Callable[Parameters, Neuron]:
    """For the constructor of a type: its arguments are checked, and its array parameters come in as float64.

    What overflows on the way to a coefficient is no finite coefficient, which `Neuron` refuses; numpy's warnings would
    say it less well.
    """
    arrays = {name for name, p in inspect.signature(make).parameters.items() if p.annotation == "ArrayLike"}

    @functools.wraps(make)
    def call(*args: Parameters.args, **arguments: Parameters.kwargs) -> Neuron:
        size = arguments.get("size", args[0] if args else None)
        for name in arrays & arguments.keys():
            values = arguments[name] = finite(make.__name__, name, arguments[name])
            if values.size != 1 and values.shape != (size,):
                raise TclifError(
                    f"neuron {make.__name__}: {name} has shape {values.shape}, expected ({size},) or a scalar"
                )
        with np.errstate(all="ignore"):
            return make(*args, **arguments)

    return checked(call)


def finite(type: str, name: str, value: object) -> Float:
    """A parameter as float64: finite numbers."""
    values = real(type, name, value)
    if not np.isfinite(values).all():
        raise TclifError(f"neuron {type}: {name} is {_not_finite(values)}", "parameters must be finite")
    return values


def real(type: str, name: str, value: object) -> Float:
    """A parameter as float64: numbers, which truth values are not."""
    values = to_numbers(value, f"neuron {type}: {name}")
    if to_array(value, name).dtype == np.bool_:
        raise TclifError(f"neuron {type}: {name} is {described(value)}", "expected numbers")
    return values


def _not_finite(values: Float) -> str:
    """The first number that is not finite, and where it stands."""
    place = [int(v) for v in np.argwhere(~np.isfinite(values))[0]]
    return f"{values[tuple(place)]}" + (f" at {place}" if place else "")


def renamed(old: str, new: str) -> Callable[[Callable[Parameters, Neuron]], Callable[Parameters, Neuron]]:
    """Takes a constructor's argument by its ``old`` name too, with a warning, until version 0.3."""

    def taking_both(constructor: Callable[Parameters, Neuron]) -> Callable[Parameters, Neuron]:
        @functools.wraps(constructor)
        def call(*args: Parameters.args, **arguments: Parameters.kwargs) -> Neuron:
            if old in arguments:
                message = f"{constructor.__name__}: {old}= is {new}= now; the old name goes with version 0.3"
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                arguments.setdefault(new, arguments.pop(old))
            return constructor(*args, **arguments)

        return call

    return taking_both


def sigmoid(x: ArrayLike) -> Float:
    """Logistic function in float64, stable for large |x|."""
    x = to_numbers(x, "x")
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, e) / (1.0 + e), dtype=np.float64)


@checked
def canonical(
    size: Size,
    type: str,
    *,
    strict: bool = False,
    reset: Reset = "soft",
    input_to: InputTo = "dendrite",
    spiking: bool = True,
    **coefficients: ArrayLike,
) -> Neuron:
    """A `Neuron` of ``size`` neurons from its coefficients, named as the fields of `Neuron`: scalars or (size,).

    One that is not named is 0. ``type`` is a name for people. Raises `TclifError` for a coefficient that there is not,
    and for one of another shape or that is not finite.

    Examples
    --------
    >>> from tclif_deploy import neurons
    >>> leaky = neurons.canonical(2, "leaky", a_v=[0.5, 0.9], b_v=1.0, threshold=1.0, r_v=1.0)
    >>> leaky.a_v.tolist(), leaky.a_u.tolist(), leaky.reset
    ([0.5, 0.9], [0.0, 0.0], 'soft')
    """
    unknown = set(coefficients) - set(NEURON_ARRAYS)
    if unknown:
        raise TclifError(
            f"neuron {type}: no such coefficient: {', '.join(sorted(unknown))}", f"known: {', '.join(NEURON_ARRAYS)}"
        )
    arrays = {}
    for name in NEURON_ARRAYS:
        value = real(type, name, coefficients.get(name, 0.0))
        if value.ndim == 0 or value.size == 1:
            value = np.full(size, value.reshape(()))
        if value.shape != (size,):
            raise TclifError(f"neuron {type}: {name} has shape {value.shape}, expected ({size},) or a scalar")
        arrays[name] = np.array(value)
    return Neuron(**arrays, strict=strict, reset=reset, input_to=input_to, spiking=spiking, type=type)


def positive_threshold(type: str, threshold: ArrayLike) -> Float:
    value = finite(type, "threshold", threshold)
    if value.size == 0:
        raise TclifError(f"neuron {type}: threshold has shape {value.shape}", "expected a number, or one a neuron")
    if (value <= 0).any():
        raise TclifError(f"neuron {type}: threshold is {value.min()}", "a threshold must be a positive number")
    return value


def factor(type: str, name: str, value: ArrayLike, *, positive: bool = False) -> Float:
    """A decay factor as float64: finite, and not 0 where ``positive`` (it is divided by)."""
    values = finite(type, name, value)
    if positive and (values <= 0).any():
        raise TclifError(f"neuron {type}: {name} is {values.min():g}", f"{name} is divided by: it must be above 0")
    return values


@checked
def spectral_radius(neuron: Neuron) -> Float:
    """Largest |eigenvalue| of each neuron's map without spikes, (neurons,); above 1, its state grows by itself.

    The map is [[a_u, b_u], [b_v*a_u, a_v + b_v*b_u]], as the soma sees the new dendrite. For TC-LIF it is a
    rotation, of radius 1.

    Examples
    --------
    >>> from tclif_deploy import neurons
    >>> neurons.spectral_radius(neurons.lif(2, decay=[0.5, 1.2], threshold=1.0)).tolist()
    [0.5, 1.2]
    """
    n = neuron
    half_trace, det = (n.a_u + n.a_v + n.b_u * n.b_v) / 2, n.a_u * n.a_v
    root = np.sqrt((half_trace * half_trace - det).astype(np.complex128))
    return np.asarray(np.maximum(np.abs(half_trace + root), np.abs(half_trace - root)), dtype=np.float64)


def growth_notice(layer: str, neuron: Neuron) -> str | None:
    """What to tell the user where a layer's states grow without input or spikes; None where they do not."""
    worst = float(spectral_radius(neuron).max())
    if worst <= 1 + GROWTH_TOLERANCE:
        return None
    return (
        f"layer {layer}: without spikes its states grow by a factor of up to {worst:.4g} a step (spectral radius "
        f"above 1), so rounding errors grow too: long runs of any two implementations drift apart"
    )
