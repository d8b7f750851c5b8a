"""A `Network` as torch modules of this package, to train further or to save as a model file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tclif_deploy.chains import chain_links
from tclif_deploy.errors import TclifError
from tclif_deploy.network import INPUT, Float, Layer, Network

if TYPE_CHECKING:
    import torch

HINT = "use --to nir, which can say more"


def to_module(network: Network, *, plif: bool = False) -> torch.nn.Sequential:
    """``network`` as a Sequential of Linear, TCLIF, LIF, PLIF, Recurrent and LeakyReadout, in double precision.

    Neurons that forget become PLIF where ``plif``, which learns how much; else LIF, which keeps it.

    Raises `TclifError` for what those cannot be: connections other than a chain with recurrence of one step, thresholds
    or resets that differ within a layer, other neurons, another readout than the usual one.

    Examples
    --------
    >>> from tclif_deploy.frontends import load
    >>> len(to_module(load("fixtures/smnist_ff/checkpoint.pth.tar")))
    7
    """
    import torch

    from tclif_deploy.nn import Recurrent

    if not network.usual_readout:
        raise TclifError(
            f"the readout {network.readout} is not among the torch modules", "read it as they do: --readout last"
        )
    modules: list[torch.nn.Module] = []
    source = INPUT
    for index, layer in enumerate(network.layers):
        connections = chain_links(layer, source, HINT)
        if any(c.conv is not None for c in connections):
            raise TclifError(f"layer {layer.name}: a convolution is not among the torch modules", HINT)
        n = layer.neuron
        if n.bias_v.any() or n.v0.any() or n.u0.any() or n.s0.any() or n.q.any() or n.input_to != "dendrite":
            raise TclifError(f"layer {layer.name}: its {n.type} neurons are not among the torch modules", HINT)
        modules.append(_linear(connections[0].weight, n.bias_u))
        if not n.spiking:
            if index + 1 < len(network.layers) or (n.b_v != 1).any() or n.a_u.any() or n.b_u.any():
                raise TclifError(f"layer {layer.name}: such a readout is not among the torch modules", HINT)
            if (n.a_v != 1).any():
                modules.append(_leaky(layer))
            break
        neuron = _neuron(layer, plif)
        if len(connections) == 2:
            recurrent = Recurrent(neuron, layer.size, bias=False)
            recurrent.hid_weight = _linear(connections[1].weight, None)
            neuron = recurrent
        modules.append(neuron)
        source = layer.name
    return torch.nn.Sequential(*modules).double()


def _linear(weight: Float, bias: Float | None) -> torch.nn.Linear:
    import torch

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None and bool(bias.any())).double()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(torch.from_numpy(bias.copy()))
    return layer


def _leaky(layer: Layer) -> torch.nn.Module:
    import torch

    from tclif_deploy.nn import LeakyReadout

    decay = layer.neuron.a_v
    if (decay <= 0).any() or (decay >= 1).any():
        raise TclifError(f"layer {layer.name}: a readout's decay beyond 0 to 1 is no sigmoid", HINT)
    readout = LeakyReadout(layer.size).double()
    with torch.no_grad():
        readout.leak.copy_(torch.from_numpy(np.log((1 - decay) / decay)))
    return readout


def _neuron(layer: Layer, plif: bool) -> torch.nn.Module:
    import torch

    from tclif_deploy.nn import LIF, PLIF, TCLIF

    n = layer.neuron
    if n.reset == "hard" and n.r_u.any():
        raise TclifError(
            f"layer {layer.name}: a hard reset that takes r_u from the dendrite is none of the modules'", HINT
        )
    for name in ("threshold", "r_u", "r_v", "v_reset"):
        if np.ptp(getattr(n, name)) > 0:
            raise TclifError(f"layer {layer.name}: {name} differs from neuron to neuron", HINT)
    threshold, r_u, v_reset = float(n.threshold[0]), float(n.r_u[0]), float(n.v_reset[0])
    if n.reset == "soft" and (n.r_v != n.threshold).any():
        raise TclifError(f"layer {layer.name}: its soft reset takes {n.r_v[0]:g}, not the threshold", HINT)
    common = {"strict": n.strict, "reset": n.reset, "v_reset": v_reset}
    if (n.a_u == 1).all() and (n.a_v == 1).all() and (n.b_u < 0).all() and (n.b_v > 0).all():
        if (n.b_u <= -1).any() or (n.b_v >= 1).any():
            raise TclifError(f"layer {layer.name}: couplings beyond 1 are no sigmoid", HINT)
        pairs = np.stack([np.log(-n.b_u / (1 + n.b_u)), np.log(n.b_v / (1 - n.b_v))], axis=1)
        pairs = pairs[:1] if np.ptp(pairs, axis=0).max() == 0 else pairs
        return TCLIF(threshold, r_u, decay_factor=torch.from_numpy(pairs), **common)  # type: ignore[arg-type]
    if not n.a_u.any() and not n.b_u.any() and (n.b_v == 1).all() and np.ptp(n.a_v) == 0 and r_u == 0:
        decay = float(n.a_v[0])
        if plif and 0 < decay < 1:
            return PLIF(threshold, math.log((1 - decay) / decay), **common)  # type: ignore[arg-type]
        return LIF(threshold, decay, **common)  # type: ignore[arg-type]
    raise TclifError(f"layer {layer.name}: its {n.type} neurons are not among the torch modules", HINT)
