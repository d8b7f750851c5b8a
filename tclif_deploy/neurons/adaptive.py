"""Neurons with an adaptive threshold or an after-current: the dendrite's state carries it, the input enters the soma.

The soma holds v minus what the threshold has risen by, so that the comparison is with a constant. A type's input
gain has no coefficient of its own where the input enters the soma: it belongs into the weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tclif_deploy.errors import TclifError
from tclif_deploy.network import Neuron, Reset
from tclif_deploy.neurons.base import Size, canonical, constructor, factor, positive_threshold
from tclif_deploy.neurons.standard import lif

REFUSED = {
    "ALIF": "the TC-LIF authors' ALIF asks again after its reset whether it fires, and adapts only then: two "
    "comparisons a step, where the neuron of this machine has one",
    "GLIF": "its learned gates mix a hard and a soft reset and change the input's weight from step to step; with "
    "gates that are 0 or 1 it is a LIF (tclif_deploy.neurons.glif)",
    "GatedLIFNode": "its learned gates mix a hard and a soft reset and change the input's weight from step to step; "
    "with gates that are 0 or 1 it is a LIF (tclif_deploy.neurons.glif)",
    "KLIFNode": "it rectifies its membrane potential, which no coefficient of this machine's neuron does",
    "QIFNode": "its membrane potential enters its own update squared",
    "EIFNode": "its membrane potential enters its own update exponentially",
    "IzhikevichNode": "its membrane potential enters its own update squared",
    "Alpha": "it adds an excitatory and an inhibitory current with time constants of their own, a third state",
    "Lapicque": "its reset and its time step follow other rules from option to option",
    "PSN": "its membrane potential is a weighted sum over all steps, without a state",
    "MaskedPSN": "its membrane potential is a weighted sum over many steps, without a state",
    "SlidingPSN": "its membrane potential is a weighted sum over many steps, without a state",
    "PMSN": "its compartments are more than two, and its spikes are found for all steps at once, without a reset",
    "LeakyParallel": "its membrane potential goes through a ReLU in an RNN, and is never reset",
    "BRFCell": "its refractory variable lowers its damping, a state that multiplies a state, and is a third one",
    "ComplementaryLIFNeuron": "its complementary potential decays by a sigmoid of its membrane potential",
    "CLIFSpike": "its complementary potential decays by a sigmoid of its membrane potential",
    "LIFRefracCell": "a refractory period counts steps, which no coefficient of this machine's neuron does",
}
"""Neurons by the names of their classes, and why the canonical neuron cannot be them."""


@constructor
def alif_bellec(
    size: Size,
    *,
    alpha: ArrayLike,
    rho: ArrayLike,
    kappa: ArrayLike,
    threshold: ArrayLike,
    strict: bool = False,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """ALIF (Bellec et al., NeurIPS 2018 and Nature Communications 2020)::

    a <- rho*a + s[t-1] ;  v <- alpha*v + i - threshold*s[t-1] ;  s = v >= threshold + kappa*a

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.alif_bellec(1, alpha=0.9, rho=0.95, kappa=0.5, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 40, 1), 0.4), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [2, 7, 12, 17, 22, 27, 33, 38]
    """
    theta = positive_threshold("alif_bellec", threshold)
    al, rh = factor("alif_bellec", "alpha", alpha, positive=True), factor("alif_bellec", "rho", rho, positive=True)
    ka = np.asarray(kappa, dtype=np.float64)
    return canonical(
        size, "alif_bellec", a_u=rh, a_v=al, b_v=ka * (al / rh - 1.0), threshold=theta,
        r_u=-1.0 / rh, r_v=theta / al + ka / rh, bias_v=bias, input_to="soma", strict=strict,
    )  # fmt: skip


@constructor
def alif_yin(
    size: Size,
    *,
    alpha: ArrayLike,
    rho: ArrayLike,
    beta: ArrayLike,
    threshold: ArrayLike,
    strict: bool = True,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """ALIF (Yin, Corradi and Bohte, Nature Machine Intelligence 2021), whose reset takes the adapted threshold::

        a <- rho*a + (1 - rho)*s[t-1] ;  B = threshold + beta*a ;  v <- alpha*v + i - B*s[t-1] ;  s = v > B

    i is their (1 - alpha)*R*I: the factor belongs into the weights and the bias.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.alif_yin(1, alpha=0.9, rho=0.95, beta=1.8, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 40, 1), 0.4), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [2, 6, 10, 14, 18, 22, 27, 31, 36]
    """
    theta = positive_threshold("alif_yin", threshold)
    al, rh = factor("alif_yin", "alpha", alpha, positive=True), factor("alif_yin", "rho", rho, positive=True)
    be = np.asarray(beta, dtype=np.float64)
    return canonical(
        size, "alif_yin", a_u=rh, a_v=al, b_v=be * (al / rh - 1.0), threshold=theta, r_u=-(1.0 - rh) / rh,
        r_v=(theta + be * (1.0 - rh)) / al + be * (1.0 - rh) / rh, q=be * rh / al,
        bias_v=bias, input_to="soma", strict=strict,
    )  # fmt: skip


@constructor
def ahp(
    size: Size,
    *,
    alpha: ArrayLike,
    rho: ArrayLike,
    jump: ArrayLike,
    threshold: ArrayLike,
    strict: bool = False,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """LIF with an after-hyperpolarizing current (Rao et al., Nature Machine Intelligence 2022)::

    a <- rho*a + jump*s[t-1] ;  v <- alpha*v + i - a - threshold*s[t-1] ;  s = v >= threshold

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.ahp(1, alpha=0.9, rho=0.9, jump=0.2, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 40, 1), 0.4), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [2, 8, 16, 24, 33]
    """
    theta = positive_threshold("ahp", threshold)
    al, rh = factor("ahp", "alpha", alpha, positive=True), factor("ahp", "rho", rho, positive=True)
    return canonical(
        size, "ahp", a_u=rh, a_v=al, b_v=-1.0, threshold=theta, r_u=-np.asarray(jump, np.float64) / rh, r_v=theta / al,
        bias_v=bias, input_to="soma", strict=strict,
    )  # fmt: skip


@constructor
def ltmd(size: Size, *, k: ArrayLike, decay: ArrayLike, strict: bool = False, bias: ArrayLike = 0.0) -> Neuron:
    """LTMD (Wang et al., NeurIPS 2022): a LIF with hard reset whose learned threshold is tanh(k).

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.ltmd(1, k=1.0, decay=0.8)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 20, 1), 0.3), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [3, 7, 11, 15, 19]
    """
    theta = np.tanh(np.asarray(k, dtype=np.float64))
    return lif(size, decay=decay, threshold=theta, strict=strict, reset="hard", bias=bias)


@constructor
def glif(
    size: Size,
    *,
    decay: ArrayLike,
    leak: ArrayLike = 0.0,
    threshold: ArrayLike,
    hard_gate: float = 0.0,
    gain: ArrayLike = 1.0,
    strict: bool = False,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """GLIF (Yao et al., NeurIPS 2022) as far as it reduces to a LIF: v <- decay*v - leak + gain*i, then the reset.

    ``hard_gate`` is 1 for its hard reset, 0 for its soft one; anything between
    would need both at once, and raises `TclifError`.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.glif(1, decay=0.9, leak=0.1, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 30, 1), 0.4), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [3, 7, 11, 15, 19, 23, 27]
    """
    if hard_gate not in (0.0, 1.0):
        raise TclifError(f"neuron glif: its reset gate is {hard_gate:g}", "only 0 (soft) and 1 (hard) are carried")
    reset: Reset = "hard" if hard_gate else "soft"
    base = lif(size, decay=decay, threshold=threshold, reset=reset, gain=gain, strict=strict, bias=bias)
    return canonical(
        size, "glif", a_v=base.a_v, b_v=base.b_v, threshold=base.threshold, r_v=base.r_v, bias_u=bias,
        bias_v=-np.asarray(leak, np.float64), reset=reset, strict=strict,
    )  # fmt: skip


@constructor
def se_adlif(
    size: Size,
    *,
    alpha: ArrayLike,
    beta: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    threshold: ArrayLike,
    q: ArrayLike = 120.0,
    strict: bool = False,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """SE-adLIF (Baronig et al., Nature Communications 2025), adaptive LIF discretized by symplectic Euler::

        v <- alpha*v + (1 - alpha)*(i - w) ;  s = v >= threshold ;  v <- 0 where s
        w <- beta*w + (1 - beta)*q*(a*v + b*s)                        (v after its reset)

    i enters the soma as it is: their (1 - alpha) belongs into the weights and the bias. ``u`` is w before v and s of
    the step before are added to it, so that w starts at beta*u0 + (1 - beta)*q*a*v0.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.se_adlif(1, alpha=0.9, beta=0.97, a=0.5, b=0.5, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 60, 1), 0.8), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [1, 4]
    """
    theta = positive_threshold("se_adlif", threshold)
    al, be = factor("se_adlif", "alpha", alpha), factor("se_adlif", "beta", beta, positive=True)
    share = (1.0 - be) * np.asarray(q, np.float64)
    return canonical(
        size, "se_adlif", a_u=be, b_u=share * np.asarray(a, np.float64), a_v=al, b_v=al - 1.0, threshold=theta,
        r_u=-share * np.asarray(b, np.float64) / be, bias_v=bias, reset="hard", input_to="soma", strict=strict,
    )  # fmt: skip
