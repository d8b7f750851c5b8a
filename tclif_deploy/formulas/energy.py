"""Energy of one time step, by the formulas of the paper's Table 4 with 45 nm costs (Horowitz, ISSCC 2014).

For a recurrent layer of n neurons and m inputs that fire at the rates f_in and f_out (spikes a neuron and step)::

    LIF     m*n*f_in*E_AC + (n*n +   n)*f_out*E_AC +   n*E_MAC
    TC-LIF  m*n*f_in*E_AC + (n*n + 2*n)*f_out*E_AC + 2*n*E_MAC
    LSTM    4*(m*n + n*n)*E_MAC + 17*n*E_MAC

A feedforward layer has no n*n term; a convolution has its share of a matrix's m*n and n*n synapses. These count
arithmetic alone: no memory, no routing, no leakage.
"""

from __future__ import annotations

from dataclasses import dataclass

E_AC = 0.9e-3
"""nJ for a 32-bit floating-point addition, 45 nm CMOS"""
E_MAC = 4.6e-3
"""nJ for a 32-bit floating-point multiplication and addition, 45 nm CMOS"""


@dataclass(frozen=True)
class LayerActivity:
    """A layer and how often it and its inputs fire."""

    inputs: int
    neurons: int
    recurrent: bool
    rate_in: float
    """spikes an input and step; 1 where every input comes at every step"""
    rate_out: float
    """spikes a neuron and step"""
    density: float = 1.0
    """share of the inputs*neurons synapses that are there"""
    density_back: float = 1.0
    """share of the neurons*neurons recurrent ones"""

    @property
    def forward(self) -> float:
        """Synapses from the inputs."""
        return self.inputs * self.neurons * self.density

    @property
    def back(self) -> float:
        """Recurrent synapses."""
        return self.neurons * self.neurons * self.density_back if self.recurrent else 0


def _spiking(layer: LayerActivity, compartments: int) -> float:
    states = compartments * layer.neurons
    additions = layer.forward * layer.rate_in + (layer.back + states) * layer.rate_out
    return additions * E_AC + states * E_MAC


def lif_energy(layer: LayerActivity) -> float:
    """nJ a step of ``layer`` made of LIF neurons (Table 4, total cost)."""
    return _spiking(layer, 1)


def tclif_energy(layer: LayerActivity) -> float:
    """nJ a step of ``layer`` made of TC-LIF neurons (Table 4, total cost).

    Examples
    --------
    >>> from tclif_deploy.formulas import LayerActivity, tclif_energy
    >>> round(tclif_energy(LayerActivity(64, 256, True, 0.24, 0.07)), 3)
    10.055
    """
    return _spiking(layer, 2)


def lstm_energy(layer: LayerActivity) -> float:
    """nJ a step of an LSTM of the same size (Table 4, total cost); it computes densely whatever fires."""
    return (4 * (layer.forward + layer.back) + 17 * layer.neurons) * E_MAC
