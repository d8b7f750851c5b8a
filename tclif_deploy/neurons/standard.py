"""TC-LIF, the generalized two-compartment neuron, LIF, PLIF, IF, CUBA-LIF and readouts.

Conventions (reset before or after the comparison is used, soft or hard, > or >=) are folded into
coefficients here, once, and never seen again. Parameters are scalars or arrays of shape ``(neurons,)``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from tclif_deploy.errors import TclifError
from tclif_deploy.network import Neuron, Reset
from tclif_deploy.neurons.base import Size, canonical, constructor, factor, positive_threshold, renamed, sigmoid


@renamed("literal", "delayed_reset")
@constructor
def tclif(
    size: Size,
    *,
    c1: ArrayLike,
    c2: ArrayLike,
    gamma: ArrayLike,
    threshold: ArrayLike,
    strict: bool = False,
    reset: Reset = "soft",
    v_reset: ArrayLike = 0.0,
    delayed_reset: bool = False,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """TC-LIF (Zhang et al., AAAI 2024): beta1 = -sigmoid(c1), beta2 = sigmoid(c2).

    c1, c2 and gamma are the trained parameters, gamma what a spike takes from the dendrite. ``delayed_reset`` reads Eq.
    10-12 to the letter (the dendrite sees U_S[t-1] *before* its reset, so the reset adds beta1*threshold); otherwise
    the reset is applied at the end of the step, as in the authors' code.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.tclif(1, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 40, 1), 0.3), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [3, 7, 11, 16, 22, 28, 34]
    """
    theta = positive_threshold("tclif", threshold)
    if delayed_reset and reset == "hard":
        raise TclifError("neuron tclif: a hard reset with delayed_reset is not defined", "use reset soft")
    r_u = np.asarray(gamma, dtype=np.float64) + (sigmoid(c1) * theta if delayed_reset else 0.0)
    return canonical(
        size, "tclif", a_u=1.0, b_u=-sigmoid(c1), a_v=1.0, b_v=sigmoid(c2), threshold=theta,
        r_u=0.0 if reset == "hard" else r_u, r_v=0.0 if reset == "hard" else theta,
        v_reset=v_reset if reset == "hard" else 0.0,
        bias_u=bias, strict=strict, reset=reset,
    )  # fmt: skip


@constructor
def two_compartment(
    size: Size,
    *,
    alpha1: ArrayLike,
    beta1: ArrayLike,
    alpha2: ArrayLike,
    beta2: ArrayLike,
    threshold: ArrayLike,
    strict: bool = False,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """The generalized two-compartment neuron (Zhang et al., AAAI 2024, Eq. 7-9), read literally::

        U_D <- alpha1*U_D + beta1*U_S + I ;  U_S <- alpha2*U_S + beta2*U_D - threshold*S[t-1] ;  S = U_S >= threshold

    The dendrite sees U_S before its reset. Raises `TclifError` for alpha = 0, with which the reset of the step
    before cannot be said in advance.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.two_compartment(1, alpha1=0.9, beta1=-0.2, alpha2=0.9, beta2=0.5, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 40, 1), 0.3), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [3, 6, 8, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39]
    """
    theta = positive_threshold("two_compartment", threshold)
    a1, a2 = (factor("two_compartment", n, a, positive=True) for n, a in (("alpha1", alpha1), ("alpha2", alpha2)))
    b1 = np.asarray(beta1, dtype=np.float64)
    return canonical(
        size, "two_compartment", a_u=a1, b_u=b1, a_v=a2, b_v=beta2, threshold=theta,
        r_u=-b1 * theta / (a1 * a2), r_v=theta / a2, bias_u=bias, strict=strict,
    )  # fmt: skip


@renamed("literal", "delayed_reset")
@constructor
def lif(
    size: Size,
    *,
    decay: ArrayLike,
    threshold: ArrayLike,
    strict: bool = False,
    reset: Reset = "soft",
    v_reset: ArrayLike = 0.0,
    delayed_reset: bool = False,
    gain: ArrayLike = 1.0,
    rest: ArrayLike = 0.0,
    v0: ArrayLike = 0.0,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """LIF: v <- decay*v + gain*i + (1 - decay)*rest, then compare, then reset, as the authors run it.

    ``rest`` is where v decays to, ``v0`` where it starts, ``gain`` multiplies the input and its bias.
    ``delayed_reset`` reads Eq. 1 of the paper (Zhang et al., AAAI 2024) to the letter, as snnTorch does too:
    v <- decay*v - threshold*S[t-1] + i. The decay does not touch what the spike takes. Only for soft resets, and
    decay > 0.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.lif(1, decay=0.8, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 30, 1), 0.3), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [4, 9, 14, 19, 24, 29]
    """
    theta = positive_threshold("lif", threshold)
    a = factor("lif", "decay", decay, positive=delayed_reset)
    if delayed_reset and reset == "hard":
        raise TclifError("neuron lif: a hard reset with delayed_reset is not defined", "use reset soft")
    return canonical(
        size, "lif", a_v=a, b_v=gain, threshold=theta, v0=v0,
        r_v=0.0 if reset == "hard" else theta / a if delayed_reset else theta,
        v_reset=v_reset if reset == "hard" else 0.0,
        bias_u=bias, bias_v=(1.0 - a) * np.asarray(rest, np.float64), strict=strict, reset=reset,
    )  # fmt: skip


@constructor
def integrate_and_fire(
    size: Size,
    *,
    threshold: ArrayLike,
    strict: bool = False,
    reset: Reset = "soft",
    v_reset: ArrayLike = 0.0,
    gain: ArrayLike = 1.0,
    v0: ArrayLike = 0.0,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """IF: v <- v + gain*i, then compare, then reset; ``v0`` is where v starts.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.integrate_and_fire(1, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 20, 1), 0.25), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [3, 7, 11, 15, 19]
    """
    neuron = lif(
        size, decay=1.0, threshold=threshold, strict=strict, reset=reset, v_reset=v_reset, gain=gain, v0=v0, bias=bias
    )
    return replace(neuron, type="if")


@renamed("literal", "delayed_reset")
@constructor
def cuba_lif(
    size: Size,
    *,
    current_decay: ArrayLike,
    voltage_decay: ArrayLike,
    threshold: ArrayLike,
    strict: bool = True,
    reset: Reset = "hard",
    v_reset: ArrayLike = 0.0,
    delayed_reset: bool = False,
    gain: ArrayLike = 1.0,
    rest: ArrayLike = 0.0,
    v0: ArrayLike = 0.0,
    bias: ArrayLike = 0.0,
    bias_v: ArrayLike = 0.0,
) -> Neuron:
    """Current-based LIF: u <- (1 - current_decay)*u + i ; v <- (1 - voltage_decay)*v + gain*u + bias_v, the new u.

    The defaults are Lava's: fires at v > threshold, resets to 0. snnTorch's Synaptic is ``reset="soft"`` with
    ``delayed_reset``: what a spike takes is taken one step later, after the decay. ``rest`` is where v decays to,
    ``v0`` where it starts.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.cuba_lif(1, current_decay=0.1, voltage_decay=0.2, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 40, 1), 0.05), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [8, 12, 16, 19, 22, 25, 28, 31, 34, 37]
    """
    theta = positive_threshold("cuba_lif", threshold)
    du = factor("cuba_lif", "current_decay", current_decay)
    a = 1.0 - factor("cuba_lif", "voltage_decay", voltage_decay)
    if delayed_reset:
        factor("cuba_lif", "1 - voltage_decay", a, positive=True)
        if reset == "hard":
            raise TclifError("neuron cuba_lif: a hard reset one step late is not carried", "use reset soft")
    return canonical(
        size, "cuba_lif", a_u=1.0 - du, a_v=a, b_v=gain, threshold=theta,
        r_v=0.0 if reset == "hard" else theta / a if delayed_reset else theta,
        v_reset=v_reset if reset == "hard" else 0.0, v0=v0,
        bias_u=bias, bias_v=np.asarray(bias_v, np.float64) + (1.0 - a) * np.asarray(rest, np.float64),
        strict=strict, reset=reset,
    )  # fmt: skip


@constructor
def plif(
    size: Size,
    *,
    w: ArrayLike,
    threshold: ArrayLike,
    strict: bool = False,
    reset: Reset = "hard",
    v_reset: ArrayLike = 0.0,
    decay_input: bool = False,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """PLIF (Fang et al., ICCV 2021): v <- v - (v - v_reset)*sigmoid(w) + i, then compare, then reset.

    ``decay_input`` multiplies the input by sigmoid(w) too. The soma starts at ``v_reset``; with a soft
    reset ``v_reset`` is 0, as in SpikingJelly and in the authors' code.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.plif(1, w=0.0, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 20, 1), 0.6), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [2, 5, 8, 11, 14, 17]
    """
    theta = positive_threshold("plif", threshold)
    decay = sigmoid(w)
    rest = np.asarray(v_reset if reset == "hard" else 0.0, dtype=np.float64)
    return canonical(
        size, "plif", a_v=1.0 - decay, b_v=decay if decay_input else 1.0, threshold=theta,
        r_v=0.0 if reset == "hard" else theta, v_reset=rest, bias_v=decay * rest, v0=rest,
        bias_u=bias, strict=strict, reset=reset,
    )  # fmt: skip


@constructor
def readout(
    size: Size,
    *,
    decay: ArrayLike = 1.0,
    bias: ArrayLike = 0.0,
    gain: ArrayLike = 1.0,
    rest: ArrayLike = 0.0,
    current_decay: ArrayLike = 1.0,
    v0: ArrayLike = 0.0,
) -> Neuron:
    """Leaky-integrator readout v <- decay*v + gain*(i + bias) + (1 - decay)*rest; with decay 1 the sum over time.

    The authors' readout is the sum. ``current_decay`` below 1 gives the input current a memory of its own (NIR's
    CubaLI): u <- (1 - current_decay)*u + i + bias, and v takes gain*u.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> layer = Layer("out", neurons.readout(2, decay=[1.0, 0.5]), (Connection("input", np.ones((2, 1))),))
    >>> simulate(Network(1, (layer,)), np.ones((1, 4, 1))).readout.tolist()  # a sum, and a leaky one
    [[4.0, 1.875]]
    """
    a = factor("readout", "decay", decay)
    return canonical(
        size, "readout", a_u=1.0 - factor("readout", "current_decay", current_decay), a_v=a, b_v=gain, v0=v0,
        bias_u=bias, bias_v=(1.0 - a) * np.asarray(rest, np.float64), spiking=False,
    )  # fmt: skip
