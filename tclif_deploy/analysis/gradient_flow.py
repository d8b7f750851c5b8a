"""How far back gradients reach in a trained network (the paper's Fig. 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tclif_deploy import neurons
from tclif_deploy.analysis.samples import Subject, check_targets, network_of, samples_of
from tclif_deploy.analysis.torch_run import Population, Run, run
from tclif_deploy.arguments import checked
from tclif_deploy.data import DataLike, Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Layer, Network
from tclif_deploy.nn.objective import counting, losses
from tclif_deploy.nn.trainer import one_thread_each
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.settings import Limits
from tclif_deploy.simulation.scores import task_of

LIF_DECAY = 0.8
"""of the LIF neurons for comparison: the authors'"""
MOST = 0.9
"""of the gradient, which `LayerGradients.reach` has"""


@dataclass(frozen=True)
class LayerGradients:
    """One spiking layer's gradients; steps are counted from the first to each sample's last, at which all end.

    Examples
    --------
    >>> from tclif_deploy.analysis.gradient_flow import LayerGradients
    >>> layer = LayerGradients("hidden", 4, 0.1, (0.2, 0.3, 0.5), (0.0, 0.1, 0.9))
    >>> layer.reach, layer.lif_reach
    (3, 1)
    """

    layer: str
    neurons: int
    rate: float
    """spikes a neuron and step"""
    share: tuple[float, ...]
    """of each step in the gradient of the last soma with respect to the layer's input current, through the neuron's own
    resets and the triangle surrogate; (steps,), sums to 1"""
    lif_share: tuple[float, ...]
    """the same of LIF neurons (decay 0.8, the layer's threshold) that the same current drives"""
    loss: tuple[float, ...] | None = None
    """mean size of the loss's gradient with respect to the input current of a neuron, (steps,), through all layers and
    recurrence; None without targets, or where the readout is not the usual one"""
    weights: float | None = None
    """norm of the loss's gradient with respect to all weights that lead into the layer; None as ``loss`` is"""

    @property
    def reach(self) -> int:
        """How many last steps hold 90 % of the gradient."""
        return _reach(self.share)

    @property
    def lif_reach(self) -> int:
        """The same for the LIF neurons."""
        return _reach(self.lif_share)


@dataclass(frozen=True)
class Gradients:
    """What `gradients` found.

    Examples
    --------
    >>> from tclif_deploy.analysis.gradient_flow import Gradients, LayerGradients
    >>> quiet = LayerGradients("hidden", 4, 0.0, (0.5, 0.5), (0.4, 0.6), (0.0, 0.0), 0.0)
    >>> Gradients("data", 8, 2, (quiet,)).silent
    ('hidden',)
    """

    data: str
    """name of the samples"""
    samples: int
    steps: int
    """of the longest sample"""
    layers: tuple[LayerGradients, ...]
    """the spiking ones, in order"""

    @property
    def silent(self) -> tuple[str, ...]:
        """Layers that never fired: what would reach a loss through their spikes alone has a gradient of 0."""
        return tuple(layer.layer for layer in self.layers if layer.rate == 0)


def _reach(share: tuple[float, ...]) -> int:
    from_end = np.cumsum(share[::-1])
    return int(np.searchsorted(from_end, MOST * from_end[-1] - 1e-12)) + 1


@checked
def gradients(
    model: Subject,
    data: DataLike | None = None,
    *,
    samples: Annotated[int | None, Limits(1)] = 8,
    progress: Progress = no_progress,
) -> Gradients:
    """Share of each step in the gradients of a network's spiking layers, on the first ``samples`` of ``data``.

    ``model`` is a build, its folder, or a float network; without ``data`` the samples that set the build's scales are
    taken. Where they have targets, the loss's gradients through the whole network are there too: cross-entropy, or the
    squared error of numbers, of the usual readout. Raises `TclifError` for samples that do not fit, a network without
    a spiking layer, and gradients that are not finite.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.analysis import gradients
    >>> network, test = tc.load("fixtures/mackey_glass/checkpoint.pth.tar"), "fixtures/mackey_glass/test.npz"
    >>> found = gradients(network, test, samples=1)
    >>> [(layer.layer, layer.reach > 2 * layer.lif_reach) for layer in found.layers]
    [('features.1', True), ('features.3', True)]
    """
    network, build = network_of(model)
    chosen = samples_of(network, build, data, samples)
    if not network.spiking_layers:
        raise TclifError("no layer of this network fires", "gradients are those of spiking neurons")
    labelled = chosen.y is not None and network.usual_readout
    if labelled:
        check_targets(network, chosen, "the loss")
    lengths = np.full(chosen.samples, chosen.time) if chosen.lengths is None else chosen.lengths
    steps = int(lengths.max())
    x = torch.from_numpy(np.ascontiguousarray(chosen.values()[:, :steps], dtype=np.float64))
    parts = 1 + len(network.spiking_layers)
    with one_thread_each():
        made = run(network, x, lambda done, total: progress(done, parts * total))
        loss = _loss_gradients(network, made, chosen, lengths, steps) if labelled else {}
        found = []
        for n, layer in enumerate(network.spiking_layers, 1):
            found.append(_layer(layer, made, lengths, *loss.get(layer.name, (None, None))))
            progress((n + 1) * steps, parts * steps)
    return Gradients(chosen.name, chosen.samples, steps, tuple(found))


def _layer(
    layer: Layer, made: Run, lengths: NDArray[np.int64], loss: tuple[float, ...] | None, weights: float | None
) -> LayerGradients:
    current = torch.stack(made.currents[layer.name]).detach()
    fired = torch.stack(made.spikes[layer.name]).detach().numpy()
    valid = np.arange(len(fired))[:, None] < lengths
    rate = float((fired.mean(axis=2) * valid).sum() / valid.sum())
    lif = neurons.lif(layer.size, decay=LIF_DECAY, threshold=layer.neuron.threshold)
    lif = lif.with_current_bias(layer.neuron.current_bias)
    share, lif_share = (_share(Population(neuron), current, lengths, layer.name) for neuron in (layer.neuron, lif))
    return LayerGradients(layer.name, layer.size, rate, share, lif_share, loss, weights)


def _share(population: Population, current: Tensor, lengths: NDArray[np.int64], name: str) -> tuple[float, ...]:
    """Share of each step in the gradient of each sample's last soma, magnitudes averaged over samples and neurons."""
    current = current.clone().requires_grad_()
    last = population.somas(current)[torch.from_numpy(lengths - 1), torch.arange(len(lengths))]
    (grad,) = torch.autograd.grad(last.sum(), current)
    size = _ends_aligned(grad, lengths, name)
    total = size.sum()
    return tuple((size / total if total else size).tolist())


def _ends_aligned(grad: Tensor, lengths: NDArray[np.int64], name: str) -> NDArray[np.float64]:
    """Mean size over neurons and samples of ``grad`` (time, samples, neurons), each sample's last step last."""
    size = grad.abs().mean(2).numpy()
    if not np.isfinite(size).all():
        raise TclifError(f"layer {name}: its gradients are not finite", "give shorter samples")
    aligned = np.zeros_like(size)
    for n, length in enumerate(lengths.tolist()):
        aligned[len(size) - length :, n] = size[:length, n]
    return np.asarray(aligned.mean(1), dtype=np.float64)


def _loss_gradients(
    network: Network, made: Run, data: Dataset, lengths: NDArray[np.int64], steps: int
) -> dict[str, tuple[tuple[float, ...], float]]:
    """Layer -> (the size of the loss's gradient at each step, its norm over the layer's weights)."""
    task, out = task_of(data, network.outputs), network.layers[-1]
    answers = torch.stack(made.somas)
    if out.neuron.spiking:  # the usual readout counts
        answers = torch.stack(made.spikes[out.name]).cumsum(0)
    said = answers.transpose(0, 1)
    if not task.startswith("step"):
        said = said[torch.arange(len(lengths)), torch.from_numpy(lengths - 1)]
    assert data.y is not None
    y = torch.from_numpy(data.y[:, :steps].copy() if task.startswith("step") else data.y.copy())
    counts = torch.from_numpy(counting(data, slice(None))[:, :steps].copy())
    loss = losses(said, y if task.endswith("label") else y.to(said.dtype), task, counts).mean()
    found = {}
    for layer in network.spiking_layers:
        wanted = [*made.currents[layer.name], *made.weights[layer.name]]
        parts = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True, materialize_grads=True)
        by_step, weights = torch.stack(parts[:steps]), parts[steps:]
        size = _ends_aligned(by_step, lengths, layer.name)
        found[layer.name] = tuple(size.tolist()), float(sum(part.square().sum() for part in weights)) ** 0.5
    return found
