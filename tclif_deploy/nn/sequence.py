"""Networks over whole sequences: every layer takes all its time steps at once, time is a loop only inside a layer."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tclif_deploy.errors import TclifError
from tclif_deploy.nn.canonical import loop
from tclif_deploy.nn.leaky import leaky
from tclif_deploy.nn.neuron import LeakyReadout, Recurrent, SpikingNeuron

if TYPE_CHECKING:
    from tclif_deploy.nn.fused import Source


def layer(
    x: Tensor,
    linear: torch.nn.Linear,
    spiking: torch.nn.Module,
    dtype: torch.dtype | None = None,
    plain: bool = False,
    source: Source | None = None,
) -> tuple[Tensor, Source | None]:
    """Spikes (time, samples, neurons) of ``spiking`` driven by ``linear`` of ``x`` (time, samples, sources); and the
    layer as the next one's source, as ``source`` is of ``x``.

    Fused on the CPU (`tclif_deploy.nn.fused`), torch operations elsewhere or where ``plain``, which need no source.
    """
    neuron = spiking.sub_module if isinstance(spiking, Recurrent) else spiking
    if not isinstance(neuron, SpikingNeuron):
        raise TclifError(f"{type(neuron).__name__} after a Linear cannot run over sequences", "use TCLIF, LIF or PLIF")
    weight = linear.weight
    bias: Tensor = weight.new_zeros(len(weight)) if linear.bias is None else linear.bias
    recurrent = None
    if isinstance(spiking, Recurrent):
        recurrent = spiking.hid_weight.weight
        if spiking.hid_weight.bias is not None:
            bias = bias + spiking.hid_weight.bias
    if plain or weight.device.type != "cpu":
        return loop(x, weight, bias, recurrent, neuron.coefficients(weight), dtype), None
    from tclif_deploy.nn.fused import fused_layer  # here, so that reading a checkpoint does not load numba

    return fused_layer(x, weight, bias, recurrent, neuron.coefficients(weight), dtype=dtype, source=source)


def _counts(spikes: Tensor, dtype: torch.dtype) -> Tensor:
    if spikes.device.type != "cpu":
        return spikes.sum(0, dtype=dtype)
    from tclif_deploy.nn.fused import spike_counts

    return spike_counts(spikes, dtype)


def summed(spikes: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None) -> Tensor:
    """Sum over each sample's valid steps of a linear map of ``spikes`` (time, samples, neurons)."""
    time = len(spikes)
    if lengths is None:
        # the sum of a linear map is the linear map of the counts, its bias counted at every step
        counts, steps = _counts(spikes, weight.dtype), torch.full((1,), time, device=spikes.device)
    else:
        valid = torch.arange(time, device=spikes.device)[:, None] < lengths
        counts, steps = torch.einsum("tbn,tb->bn", spikes.to(weight.dtype), valid.to(weight.dtype)), lengths
    logits = counts @ weight.t()
    return logits if bias is None else logits + steps[:, None] * bias


def running(spikes: Tensor, weight: Tensor, bias: Tensor | None, decay: Tensor | None) -> Tensor:
    """A linear map of ``spikes`` (time, samples, neurons), integrated over the steps up to each: (time, samples,
    outputs). ``decay`` (outputs,) is what a step keeps; None: all, which is the sum."""
    current = torch.nn.functional.linear(spikes.to(weight.dtype), weight, bias)
    return current.cumsum(0) if decay is None else leaky(current, decay)


def at_last(steps: Tensor, lengths: Tensor | None) -> Tensor:
    """Of (time, samples, outputs) what each sample has at its last valid step, (samples, outputs)."""
    if lengths is None:
        return steps[-1]
    return steps[lengths - 1, torch.arange(steps.shape[1], device=steps.device)]


class SequenceNetwork(torch.nn.Module):
    """Linear, spiking, Linear, spiking, ..., Linear, read out as the sum over time: the authors' networks.

    A `LeakyReadout` may stand last, and then the sum forgets.

    ``features`` is the `torch.nn.Sequential` of their ``models/fc.py``, so state_dicts fit both ways.

    Examples
    --------
    >>> from tclif_deploy.nn import TCLIF
    >>> net = SequenceNetwork([torch.nn.Linear(1, 4), TCLIF(), torch.nn.Linear(4, 2)])
    >>> net(torch.ones(3, 20, 1)).shape
    torch.Size([3, 2])
    """

    def __init__(self, modules: list[torch.nn.Module]) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(*modules)
        modules = modules[:-1] if modules and isinstance(modules[-1], LeakyReadout) else modules
        self.depth = len(modules) // 2
        """spiking layers"""
        kinds = [isinstance(module, torch.nn.Linear) for module in modules]
        if len(modules) < 3 or kinds != [i % 2 == 0 for i in range(len(modules))] or not kinds[-1]:
            raise TclifError(
                "sequence network: modules do not alternate", "expected Linear, spiking, ..., Linear[, LeakyReadout]"
            )

    @property
    def last(self) -> torch.nn.Linear:
        """The Linear that is read."""
        last = self.features[2 * self.depth]
        assert isinstance(last, torch.nn.Linear)
        return last

    @property
    def leak(self) -> LeakyReadout | None:
        """What forgets behind it; None: nothing, the readout is the sum."""
        end = self.features[-1]
        return end if isinstance(end, LeakyReadout) else None

    def spikes(self, x: Tensor, dtype: torch.dtype | None = None, plain: bool = False) -> list[Tensor]:
        """Each spiking layer's spikes (time, samples, neurons) for ``x`` (samples, time, features).

        Gradients of the weights and of ``x`` are whole; one of the spikes between two layers is 0, on the CPU, where
        their surrogate is, and it would go no further.
        """
        modules = list(self.features)
        signal, source, out = x.transpose(0, 1), None, []
        for index in range(0, 2 * self.depth, 2):
            linear = modules[index]
            assert isinstance(linear, torch.nn.Linear)
            signal, source = layer(signal, linear, modules[index + 1], dtype, plain, source)
            out.append(signal)
        return out

    def readout(self, spikes: Tensor, lengths: Tensor | None = None, labels: bool = True) -> Tensor:
        """What is read at each sample's last valid step, of ``spikes`` (time, samples, neurons): (samples, outputs).

        ``labels`` says that they are class scores, which are only compared, and no numbers.
        """
        if self.leak is not None:
            return at_last(self.readouts(spikes), lengths)
        return summed(spikes, self.last.weight, self.last.bias, lengths)

    def readouts(self, spikes: Tensor, labels: bool = True) -> Tensor:
        """What is read after each step, (time, samples, outputs); ``labels`` as in `readout`."""
        decay = None if self.leak is None else self.leak.decay
        return running(spikes, self.last.weight, self.last.bias, decay)

    def varied(self, key: tuple[int, ...]) -> AbstractContextManager[None]:
        """A forward and backward of training, in which what is random is drawn from ``key``: nothing is, here."""
        return nullcontext()

    def counts(self) -> dict[str, int]:
        """What was counted in training and is kept where it is interrupted: nothing is, here."""
        return {}

    def take_up_counts(self, counts: dict[str, int]) -> None:
        """Go on counting from what an interrupted training kept."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters as torch's optimizers take them; ``share`` is what a group's learning rate is multiplied with."""
        return [{"params": list(self.parameters()), "share": 1.0}]

    def float_state(self) -> dict[str, Tensor]:
        """What a checkpoint holds: float32, by the authors' names."""
        return {key: value.detach().cpu().float().clone() for key, value in self.state_dict().items()}

    def forward(
        self, x: Tensor, lengths: Tensor | None = None, dtype: torch.dtype | None = None, plain: bool = False
    ) -> Tensor:
        """What is read of ``x`` (samples, time, features) at each sample's last valid step: (samples, outputs)."""
        return self.readout(self.spikes(x, dtype, plain)[-1], lengths)

    def answers(
        self, x: Tensor, lengths: Tensor | None, *, by_step: bool, labels: bool, dtype: torch.dtype | None = None
    ) -> Tensor:
        """What is read of ``x``: as `forward`, or after each step (samples, time, outputs) where ``by_step``."""
        spikes = self.spikes(x, dtype)[-1]
        return self.readouts(spikes, labels).transpose(0, 1) if by_step else self.readout(spikes, lengths, labels)

    @torch.no_grad()
    def rates(self, x: Tensor) -> list[float]:
        """Mean firing rate of each spiking layer on ``x``, spikes a neuron and step."""
        return [float(s.float().mean()) for s in self.spikes(x)]
