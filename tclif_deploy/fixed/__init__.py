"""The fixed-point network: integers only, the single contract of every simulator and backend.

Arithmetic of one layer (k = ``frac_bits``, f = ``shift``; everything is computed wide enough never to
overflow before the stated operation)::

    acc = sum over connections of (W.x << exponent)          x: input integers, or spikes delayed by `delay`;
                                                             W a matrix, or a kernel (`tclif_deploy.convolution`)
    i   = shift(acc, f)                                      acc*2^f, or rnd(acc, -f) for f < 0
    u   = ovf_u( rnd(A_u*u, k) + rnd(B_u*v, k) + i + bias_u )
    v   = ovf_v( rnd(A_v*v, k) + rnd(B_v*u, k) + bias_v )    i enters here instead where input_to is "soma"
    s   = v >= threshold                                     (spiking layers only)
    soft: u' = ovf_u(u - r_u*s) ;  v' = ovf_v(v - (r_v + rnd(Q*u, k))*s)
    hard: u' = ovf_u(u - r_u*s) ;  v' = v_reset where s

An `Arithmetic` may change the rounding of a state's products, the least step of a decay, where ovf applies, whether the
current comes before the decay and how often a neuron fires in a step; by default all is as above.
"""

from tclif_deploy.fixed.file import (
    AGAIN,
    FORMAT,
    FORMAT_VERSIONS,
    Format,
)
from tclif_deploy.fixed.layers import (
    FixedConnection,
    FixedLayer,
    weight_bits,
)
from tclif_deploy.fixed.machine import (
    COEFFICIENTS,
    LATER_RULES,
    LAYER_ARRAYS,
    MOST_BITS,
    MOST_DELAY,
    MOST_SHIFT,
    MOST_SPIKES,
    MOST_SUM_BITS,
    OF_DENDRITE,
    RULES,
    SUMMANDS,
    Arithmetic,
    InputEncoding,
    Int,
    Overflow,
    Rounding,
)
from tclif_deploy.fixed.network import (
    FixedNetwork,
    check_fixed,
    check_same_layers,
    layers_brief,
)

__all__ = [
    "AGAIN",
    "COEFFICIENTS",
    "FORMAT",
    "FORMAT_VERSIONS",
    "LATER_RULES",
    "LAYER_ARRAYS",
    "MOST_BITS",
    "MOST_DELAY",
    "MOST_SHIFT",
    "MOST_SPIKES",
    "MOST_SUM_BITS",
    "OF_DENDRITE",
    "RULES",
    "SUMMANDS",
    "Arithmetic",
    "FixedConnection",
    "FixedLayer",
    "FixedNetwork",
    "Format",
    "InputEncoding",
    "Int",
    "Overflow",
    "Rounding",
    "check_fixed",
    "check_same_layers",
    "layers_brief",
    "weight_bits",
]
