"""Neuron types as named constructors of the canonical neuron."""

from tclif_deploy.neurons.adaptive import REFUSED, ahp, alif_bellec, alif_yin, glif, ltmd
from tclif_deploy.neurons.base import canonical, growth_notice, sigmoid, spectral_radius
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
    "ahp",
    "alif_bellec",
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
    "sigmoid",
    "spectral_radius",
    "tclif",
    "two_compartment",
]
