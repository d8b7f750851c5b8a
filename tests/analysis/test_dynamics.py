"""Jacobians and norms of trained layers against the paper's formulas and a run of the neuron."""

import numpy as np
import pytest
import torch

from tclif_deploy import Connection, Layer, Network, TclifError, load, neurons
from tclif_deploy.analysis import dynamics
from tclif_deploy.analysis.jacobians import jacobians
from tclif_deploy.analysis.torch_run import Population
from tclif_deploy.formulas import rotation_frequency, step_jacobian, table7_norm


def layer_of(neuron, size: int = 2) -> Network:
    return Network(1, (Layer("a", neuron, (Connection("input", np.ones((size, 1))),)),))


@pytest.mark.parametrize(("beta1", "beta2"), [(-0.2, 0.2), (-0.5, 0.5), (-0.8, 0.4)])
def test_a_tclif_s_figures_are_the_paper_s(beta1, beta2):
    c1, c2 = (np.log(abs(b) / (1 - abs(b))) for b in (beta1, beta2))
    (layer,) = dynamics(layer_of(neurons.tclif(2, c1=c1, c2=c2, gamma=0.5, threshold=1.0)), steps=20).layers
    assert layer.beta1 == pytest.approx((beta1, beta1))
    assert layer.beta2 == pytest.approx((beta2, beta2))
    assert layer.table7_norm == pytest.approx(table7_norm(beta1, beta2))
    assert layer.period == pytest.approx(2 * np.pi / rotation_frequency(beta1, beta2))
    assert (layer.determinant, layer.spectral_radius, layer.grows) == (pytest.approx(1), pytest.approx(1), False)
    powers = [np.linalg.matrix_power(step_jacobian(beta1, beta2), n) for n in range(21)]
    np.testing.assert_allclose(layer.growth, [np.abs(power).sum(axis=1).max() for power in powers])


def test_any_neuron_s_jacobian_is_that_of_a_step_below_threshold():
    neuron = neurons.two_compartment(2, alpha1=0.9, beta1=-0.3, alpha2=0.8, beta2=[0.5, 0.2], threshold=1e3)
    population = Population(neuron)

    def after(u, v):
        u, v, _, _ = population.step(u[None], v[None], torch.zeros(1, 2, dtype=torch.float64))
        return u[0], v[0]

    start = torch.zeros(2, dtype=torch.float64)
    parts = torch.autograd.functional.jacobian(after, (start, start))
    expected = np.array([[[parts[i][j][n, n].item() for j in (0, 1)] for i in (0, 1)] for n in (0, 1)])
    np.testing.assert_allclose(jacobians(neuron), expected)
    (layer,) = dynamics(layer_of(neuron)).layers
    assert layer.table7_norm is None
    assert layer.spectral_radius < 1


def test_a_lif_decays_without_turning():
    (layer,) = dynamics(layer_of(neurons.lif(2, decay=0.8, threshold=1.0)), steps=10).layers
    assert (layer.period, layer.determinant) == (None, 0)
    assert layer.spectral_radius == pytest.approx(0.8)
    assert layer.growth[1:] == pytest.approx(dynamics(layer_of(neurons.lif(2, decay=0.8, threshold=1.0)), steps=10)
                                             .lif_growth[1:])  # fmt: skip


def test_growth_without_end_is_told_and_never_overflows():
    neuron = neurons.two_compartment(2, alpha1=1.0, beta1=3.0, alpha2=1.0, beta2=3.0, threshold=1.0)
    (layer,) = dynamics(layer_of(neuron), steps=1000).layers
    assert layer.grows
    assert np.isfinite(layer.growth).all()


def test_trained_fixtures_turn_and_keep_their_length():
    for name in ("smnist_rec", "psmnist_rec", "spoken_digits"):
        for layer in dynamics(load(f"fixtures/{name}/checkpoint.pth.tar")).layers:
            assert layer.spectral_radius == pytest.approx(1.0)
            assert 5 < layer.period < 30


def test_a_network_that_never_fires_has_no_such_dynamics():
    with pytest.raises(TclifError, match="no layer of this network fires"):
        dynamics(layer_of(neurons.readout(2)))
