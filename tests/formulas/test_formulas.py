"""The paper's analysis in numbers: Table 7, rotation, gradients over time, Table 4."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tclif_deploy import analysis
from tclif_deploy.errors import TclifError
from tclif_deploy.formulas import (
    LayerActivity,
    determinant,
    lif_energy,
    lstm_energy,
    paper_jacobian,
    rotation_frequency,
    row_norms,
    step_jacobian,
    table7_norm,
    tclif_energy,
)
from tclif_deploy.nn import LIF, TCLIF
from tclif_deploy.nn.gradient import gradient_share

# supplementary Table 7: norms before training, rows beta1 = -0.2, -0.4, -0.6, -0.8, columns beta2 = 0.2, 0.4, 0.6, 0.8
TABLE7 = [
    [1.352, 1.688, 2.008, 2.312],
    [1.304, 1.576, 1.816, 2.024],
    [1.256, 1.464, 1.624, 1.736],
    [1.208, 1.352, 1.432, 1.448],
]
BETAS = [(b1, b2) for b1 in (-0.2, -0.4, -0.6, -0.8) for b2 in (0.2, 0.4, 0.6, 0.8)]


def test_table_7_before_training_is_reproduced_for_all_16_pairs():
    norms = [table7_norm(*pair) for pair in BETAS]
    np.testing.assert_allclose(norms, np.ravel(TABLE7), atol=5e-13)


def test_table_7_after_training_is_reproduced_within_the_rounding_of_its_betas():
    for b1, b2, norm in (
        (-0.184, 0.146, 1.262),
        (-0.202, 0.835, 2.360),
        (-0.379, 0.159, 1.248),
        (-0.812, 0.187, 1.194),
    ):
        assert table7_norm(b1, b2) == pytest.approx(norm, abs=0.0015)


def test_the_tables_norm_is_not_always_the_largest_row():
    larger = [pair for pair in BETAS if row_norms(paper_jacobian(*pair)).max() > table7_norm(*pair) + 1e-12]
    assert (-0.4, 0.2) in larger
    assert (-0.2, 0.2) not in larger


@pytest.mark.parametrize("surrogate", [0.0, 0.7])
def test_step_jacobian_equals_autograd_through_one_step(surrogate):
    c = torch.tensor([[0.3, -0.8]], dtype=torch.float64)
    b1, b2 = -torch.sigmoid(c[0, 0]).item(), torch.sigmoid(c[0, 1]).item()
    neuron = TCLIF(threshold=1.2, gamma=0.4, decay_factor=c)
    # a soma that ends 0.3 under the threshold has the triangle's slope 0.7; one at 0 has none
    soma = 0.0 if surrogate == 0.0 else 0.9

    def after(state):
        neuron.u, neuron.v = state[:1, None], state[1:, None]
        neuron(torch.zeros(1, 1, dtype=torch.float64))
        return torch.cat([neuron.u[0], neuron.v[0]])

    start = np.linalg.solve(step_jacobian(b1, b2), [0.1, soma])
    expected = torch.autograd.functional.jacobian(after, torch.tensor(start))
    jacobian = step_jacobian(b1, b2, gamma=0.4, threshold=1.2, surrogate=surrogate)
    np.testing.assert_allclose(jacobian, expected.numpy(), atol=1e-12)


@pytest.mark.parametrize(("b1", "b2"), BETAS)
def test_below_threshold_states_rotate_by_the_frequency_and_keep_area(b1, b2):
    matrix = step_jacobian(b1, b2)
    assert determinant(matrix) == pytest.approx(1.0)
    assert determinant(paper_jacobian(b1, b2)) == pytest.approx(1.0)
    angles = np.angle(np.linalg.eigvals(matrix))
    assert max(angles) == pytest.approx(rotation_frequency(b1, b2))
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)), 1.0)


def test_rotation_is_refused_where_there_is_none():
    with pytest.raises(TclifError, match=r"beta1\*beta2 is 0.25"):
        rotation_frequency(0.5, 0.5)


def test_a_table_can_say_what_stands_where_nothing_rotates():
    assert np.isnan(rotation_frequency(0.5, 0.5, otherwise=np.nan))
    assert rotation_frequency(0.0, 0.5, otherwise=np.nan) == 0.0


def test_a_quiet_lifs_gradient_decays_and_a_tclifs_does_not():
    quiet = torch.zeros(60, 1, 1)
    lif, tclif = gradient_share(LIF(decay=0.8), quiet), gradient_share(TCLIF(), quiet)
    expected = 0.8 ** np.arange(59, -1, -1)
    np.testing.assert_allclose(lif, expected / expected.sum(), rtol=1e-9)
    assert tclif.sum() == pytest.approx(1.0)
    assert lif[:30].sum() < 0.002
    assert 0.4 < tclif[:30].sum() < 0.6


def test_the_gradient_reaches_back_through_spikes_too():
    current = 0.3 * torch.rand(100, 8, 16, generator=torch.Generator().manual_seed(0))
    lif, tclif = gradient_share(LIF(), current), gradient_share(TCLIF(), current)
    assert tclif[:50].sum() > 10 * lif[:50].sum()


def test_table_4_by_hand():
    # m = 3 inputs at 0.5, n = 2 neurons at 0.25, in pJ
    layer = LayerActivity(3, 2, True, 0.5, 0.25)
    assert 1000 * lif_energy(layer) == pytest.approx((6 * 0.5 + (4 + 2) * 0.25) * 0.9 + 2 * 4.6)
    assert 1000 * tclif_energy(layer) == pytest.approx((6 * 0.5 + (4 + 4) * 0.25) * 0.9 + 4 * 4.6)
    assert 1000 * lstm_energy(layer) == pytest.approx((4 * (6 + 4) + 34) * 4.6)
    forward = replace(layer, recurrent=False)
    assert 1000 * tclif_energy(forward) == pytest.approx((3 + 1) * 0.9 + 18.4)
    assert 1000 * lstm_energy(forward) == pytest.approx((4 * 6 + 34) * 4.6)


def test_a_sparse_tclif_costs_twice_a_lifs_updates_and_far_less_than_an_lstm():
    layer = LayerActivity(256, 256, True, 0.07, 0.014)
    assert tclif_energy(layer) - lif_energy(layer) == pytest.approx(256 * 0.0046 + 256 * 0.014 * 0.0009)
    assert lstm_energy(layer) > 50 * tclif_energy(layer)


def test_the_formulas_stand_in_the_room_of_analyses_too():
    assert analysis.rotation_frequency is rotation_frequency
    assert analysis.tclif_energy is tclif_energy


def test_the_gradients_old_places_still_serve_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"moved to tclif_deploy\.nn\.gradient"):
        from tclif_deploy.analysis import gradient_share as from_package
    with pytest.warns(DeprecationWarning, match=r"moved to tclif_deploy\.nn\.gradient"):
        from tclif_deploy.analysis.gradient import gradient_share as from_module
    assert from_package is from_module is gradient_share
