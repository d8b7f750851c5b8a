"""Neurons whose two states feed one another: resonate-and-fire, and adaptive ones that see their own membrane.

Where an author's update is simultaneous, the dendrite that this machine's soma sees is the new one; the coefficients
take that back, so that both states are the author's at every step.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from tclif_deploy.network import LEAST, MOST, Neuron
from tclif_deploy.neurons.base import Size, canonical, constructor, factor, positive_threshold
from tclif_deploy.settings import Limits


@constructor
def resonate_and_fire(
    size: Size,
    *,
    omega: ArrayLike,
    damping: ArrayLike,
    dt: Annotated[float, Limits(LEAST, MOST)] = 0.01,
    threshold: ArrayLike = 1.0,
    strict: bool = True,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """Vanilla RF (Izhikevich 2001, as Higuchi et al., ICML 2024, run it), simultaneous and without a reset::

        x <- (1 - dt*damping)*x - dt*omega*y + i ;  y <- dt*omega*x + (1 - dt*damping)*y ;  s = x > threshold

    both from the x and y before the step; i is their dt*I: the factor belongs into the weights. With c =
    1 - dt*damping and w = dt*omega the soma's factor is c + w*w/c, which may be above 1. Raises `TclifError` for a
    c that is not above 0.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.resonate_and_fire(1, omega=10.0, damping=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[0.3]])),)),))
    >>> spikes = simulate(network, np.ones((1, 40, 1)), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28]
    """
    theta = positive_threshold("resonate_and_fire", threshold)
    c = factor("resonate_and_fire", "1 - dt*damping", 1.0 - dt * np.asarray(damping, np.float64), positive=True)
    w = dt * np.asarray(omega, np.float64)
    return canonical(
        size, "resonate_and_fire", a_u=c, b_u=w, a_v=c + w * w / c, b_v=-w / c, threshold=theta, bias_v=bias,
        input_to="soma", strict=strict,
    )  # fmt: skip


@constructor
def alif_higuchi(
    size: Size,
    *,
    alpha: ArrayLike,
    rho: ArrayLike,
    beta: ArrayLike,
    threshold: ArrayLike,
    strict: bool = True,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """ALIF as Higuchi et al. (ICML 2024) run it, whose reset takes the adapted threshold in the same step::

        a <- rho*a + (1 - rho)*s[t-1] ;  B = threshold + beta*a ;  v <- alpha*v + i ;  s = v > B ;  v <- v - B*s

    i is their (1 - alpha)*I: the factor belongs into the weights and the bias.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.alif_higuchi(1, alpha=0.9, rho=0.95, beta=1.8, threshold=1.0)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[1.0]])),)),))
    >>> spikes = simulate(network, np.full((1, 40, 1), 0.4), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [2, 5, 9, 12, 16, 20, 24, 28, 32, 36]
    """
    theta = positive_threshold("alif_higuchi", threshold)
    rh, al = factor("alif_higuchi", "rho", rho, positive=True), factor("alif_higuchi", "alpha", alpha)
    be = np.asarray(beta, dtype=np.float64)
    return canonical(
        size, "alif_higuchi", a_u=rh, a_v=al, b_v=be * (al / rh - 1.0), threshold=theta, r_u=-(1.0 - rh) / rh,
        r_v=theta + be * (1.0 - rh) / rh, q=be, bias_v=bias, input_to="soma", strict=strict,
    )  # fmt: skip


@constructor
def adlif(
    size: Size,
    *,
    alpha: ArrayLike,
    beta: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    threshold: ArrayLike = 1.0,
    r_v: ArrayLike = 1.0,
    strict: bool = True,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """adLIF (Bittar and Garner, Frontiers in Neuroscience 2022), whose adaptation sees the membrane::

        w <- beta*w + a*u + b*s[t-1] ;  u <- alpha*(u - r_v*s[t-1]) + i - (1 - alpha)*w ;  s = u > threshold

    with the u before its reset in the first; i is their (1 - alpha)*I: the factor belongs into the weights and the
    bias. A spike takes ``r_v`` off u, 1 in their code whatever the threshold.

    Shapes, units and errors are those of all types: see `tclif_deploy.neurons`.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, neurons, simulate
    >>> neuron = neurons.adlif(1, alpha=0.9, beta=0.97, a=0.1, b=0.5)
    >>> network = Network(1, (Layer("n", neuron, (Connection("input", np.array([[0.1]])),)),))
    >>> spikes = simulate(network, np.full((1, 40, 1), 4.0), spikes=True).spikes["n"]
    >>> np.flatnonzero(spikes[0, :, 0]).tolist()  # the steps at which it fires
    [2, 6, 11, 18, 29]
    """
    theta = positive_threshold("adlif", threshold)
    be = factor("adlif", "beta", beta, positive=True)
    al = factor("adlif", "alpha", alpha)
    coupling, jump, taken = (np.asarray(value, np.float64) for value in (a, b, r_v))
    return canonical(
        size, "adlif", a_u=be, b_u=coupling, a_v=al, b_v=-(1.0 - al), threshold=theta,
        r_u=-(coupling * taken + jump) / be, r_v=taken, bias_v=bias, input_to="soma", strict=strict,
    )  # fmt: skip
