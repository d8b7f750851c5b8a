"""Neuron types as named constructors of the canonical neuron (`tclif_deploy.network.Neuron`).

Each takes the number of neurons and the parameters of its equation, a number for all of them or an array (neurons,),
and gives coefficients in float64. Decays are per step, without a unit; thresholds, resets and biases count in the unit
of the input current. Where a type takes them, ``bias`` is a constant current that enters with the input's, ``strict``
fires at v > threshold instead of v >= threshold, and ``reset`` is soft (subtracts) or hard (sets v to ``v_reset``).
`TclifError` is raised for a threshold that is not positive, for numbers that are not finite, and for arrays of another
shape.
"""

from tclif_deploy.neurons.adaptive import REFUSED, ahp, alif_bellec, alif_yin, glif, ltmd, se_adlif
from tclif_deploy.neurons.base import canonical, growth_notice, sigmoid, spectral_radius
from tclif_deploy.neurons.resonant import adlif, alif_higuchi, resonate_and_fire
from tclif_deploy.neurons.standard import (
    cuba_lif,
    integrate_and_fire,
    lif,
    plif,
    readout,
    tclif,
    two_compartment,
)

__all__ = [
    "REFUSED",
    "adlif",
    "ahp",
    "alif_bellec",
    "alif_higuchi",
    "alif_yin",
    "canonical",
    "cuba_lif",
    "glif",
    "growth_notice",
    "integrate_and_fire",
    "lif",
    "ltmd",
    "plif",
    "readout",
    "resonate_and_fire",
    "se_adlif",
    "sigmoid",
    "spectral_radius",
    "tclif",
    "two_compartment",
]
