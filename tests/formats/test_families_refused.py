"""Checkpoints of the family that are damaged, incomplete, another's, or known and not read: one line each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tclif_deploy import TclifError, load
from tests.helpers.family_models import Holder, refused, saved
from tests.helpers.family_states import (
    delayed,
    dendritic,
    higuchi_alif,
    matrix,
    resonators,
    se_adlif,
    sparch,
    uniform,
    yin,
    yin_modules,
)
from tests.helpers.requirements import needs_module


def without(state, *names):
    return {name: value for name, value in state.items() if name not in names}


@pytest.mark.parametrize(("state", "options", "message"), [
    (lambda: without(resonators(), "out.tau_mem"), {"neuron": "rf"},
     "no out.tau_mem, which a network of vanilla RF (Higuchi et al.) has"),
    (lambda: resonators() | {"hidden.extra": np.ones(3)}, {"neuron": "rf"},
     "holds hidden.extra, which no network of vanilla RF (Higuchi et al.) has"),
    (lambda: resonators() | {"hidden.b_offset": np.ones(3)}, {"neuron": "rf"},
     "hidden.b_offset has shape (3,); expected (24) of vanilla RF"),
    (lambda: resonators() | {"hidden.linear.weight": matrix(24, 24)}, {"neuron": "rf"},
     "24 recurrent columns leave none for the input"),
    (lambda: resonators() | {"hidden.b_offset": np.full(24, 100.0)}, {"neuron": "rf"}, "1 - dt*damping is 0"),
    (resonators, {"neuron": "rf", "reset": "hard"},
     "--reset is not for vanilla RF (Higuchi et al.): it has no such option, or its file or its authors' code says it"),
    (resonators, {"neuron": "rf", "adaptation": 1.8}, "--adaptation is not for vanilla RF (Higuchi et al.): it has no"),
    (lambda: without(resonators(), "hidden.omega"), {"neuron": "rf"}, "no hidden.omega, which a network of vanilla RF"),
    (lambda: without(resonators(), "hidden.b_offset"), {"neuron": "rf"}, "no hidden.b_offset, which a network of"),
    (lambda: without(resonators(), "hidden.linear.weight"), {"neuron": "rf"}, "no hidden.linear.weight, which a"),
    (lambda: without(resonators(), "hidden.omega", "hidden.b_offset", "hidden.linear.weight"), {}, "holds out."),
    (lambda: resonators() | {"hidden.omega": np.ones(3)}, {"neuron": "rf"},
     "hidden.omega has shape (3,); expected (24) of vanilla RF"),
    (lambda: without(higuchi_alif(), "hidden.tau_adp"), {}, "no hidden.tau_adp, which a network of ALIF (Higuchi"),
    (lambda: without(higuchi_alif(), "hidden.tau_mem"), {}, "no hidden.tau_mem, which a network of ALIF (Higuchi"),
    (lambda: higuchi_alif() | {"hidden.tau_mem": np.ones(3)}, {}, "hidden.tau_mem has shape (3,); expected (24)"),
    (lambda: higuchi_alif() | {"hidden.tau_adp": np.ones(3)}, {}, "hidden.tau_adp has shape (3,); expected (24)"),
    *((lambda name=name: without(sparch(), f"snn.1.{name}"), {}, f"no snn.1.{name}, which a network of sparch's LIF")
      for name in ("beta", "a", "b", "alpha")),
    (se_adlif, {"neuron": "tclif"}, "--neuron tclif: tau_w_trainer is that of an SE-adLIF and of an EF-adLIF"),
    (se_adlif, {"neuron": "se-adlif", "adaptation": -5.0}, "adaptation is -5.0; expected a number, 0 to"),
    (lambda: {"0.weight": matrix(4, 3), "0.bias": matrix(4, 1)[:, 0]}, {},
     "of Norse's LIF, whose state_dict holds no neuron either, load the live module"),
    (resonators, {"neuron": "tclif"}, "--neuron tclif: omega and b_offset are those of a vanilla RF and of a"),
    (lambda: higuchi_alif() | {"hidden.tau_mem": np.zeros(24)}, {}, "hidden.tau_mem[0] is 0; a time constant is not"),
    (higuchi_alif, {"neuron": "rf"}, "--neuron is not for ALIF (Higuchi et al.)"),
    (lambda: sparch() | {"snn.0.V.weight": matrix(20, 19)}, {}, "snn.0.V.weight has shape (20, 19); expected (20, 20)"),
    (lambda: without(sparch(), "snn.1.a"), {}, "no snn.1.a, which a network of sparch's LIF"),
    (lambda: without(yin("h1"), "tau_m_h2"), {}, "tau_m of tau_m_h1, tau_m_o; known layouts: tau_m_h, tau_m_o;"),
    (lambda: yin("h") | {"tau_m_h": np.full(18, -3.0)}, {}, "tau_m_h[0] is -3; a time constant is above 0"),
    (lambda: without(yin("h"), "h2h.weight"), {}, "no h2h.weight, which a network of SRNN with ALIF (Yin et al.) has"),
    (lambda: without(dendritic(), "rnn_1.tau_n"), {},
     "the LIF of DH-LIF's authors (a sigmoid of tau_m) and that of Yin et al. (exp(-1/tau_m)) have the same names"),
    (lambda: {"0.weight": matrix(4, 3), "1.decay_factor": matrix(1, 2)}, {"adaptation": 1.0},
     "--adaptation is for other families"),
    (lambda: {"0.weight": matrix(4, 3), "1.decay_factor": matrix(1, 2)}, {"dt": 1.0},
     "--dt is for .nir files and for vanilla RF"),
    (lambda: {"0.weight": matrix(4, 3), "1.decay_factor": matrix(1, 4)}, {}, "1.decay_factor has four factors: TS-LIF"),
    (lambda: {"0.weight": matrix(4, 3), "1.decay_factor": uniform(0, 1, 4)}, {}, "both its compartments fire"),
    (lambda: {"1.weight": matrix(8, 8), "1.bias": matrix(8, 1)}, {}, "1.bias has shape (8, 1): PSN: its membrane"),
    (lambda: {"0.weight": matrix(4, 3), "1.log_dt": uniform(0, 1, 4)}, {}, "PMSN: its compartments are more than two"),
    (lambda: {"0.weight": matrix(4, 3), "1.beta": np.array(0.9), "1.threshold": np.array(1.0),
              "1.graded_spikes_factor": np.array(1.0)}, {},
     "1.graded_spikes_factor looks like a state_dict of snnTorch, which does not say in what order its modules follow "
     "one another, nor of what class its neurons are; load the live module, load(module, example_input=x), or a NIR "
     "file of it"),
    (lambda: {"0.rnn.weight_ih_l0": matrix(4, 3), "0.rnn.weight_hh_l0": matrix(4, 4),
              "0.graded_spikes_factor": np.array(1.0)}, {}, "LeakyParallel of snnTorch: its membrane potential goes"),
    (lambda: {"0.input_weights": matrix(4, 3), "0.recurrent_weights": matrix(4, 4)}, {},
     "0.input_weights looks like a state_dict of Norse, which holds no time constant, no threshold and no reset"),
])  # fmt: skip
def test_what_is_missing_too_much_or_another_network_is_one_line(tmp_path, state, options, message):
    assert message in refused(saved(tmp_path, state()), **options)


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "Alpha", "Lapicque", "RLeaky"])
def test_a_state_dict_that_snntorch_wrote_is_recognised_with_its_integers(tmp_path, kind):
    snn = needs_module("snntorch")
    decays = {"Alpha": {"alpha": 0.9, "beta": 0.8}, "Synaptic": {"alpha": 0.8, "beta": 0.9}}
    more = {"linear_features": 4} if kind == "RLeaky" else {}
    neuron = getattr(snn, kind)(**decays.get(kind, {"beta": 0.9}), **more)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), neuron, torch.nn.Linear(4, 2))
    assert neuron.reset_mechanism_val.dtype == torch.int64
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert "looks like a state_dict of snnTorch, which does not say in what order" in refused(tmp_path / "model.pt")
    live = refused(model)  # the module itself is not told to be loaded as a live module
    assert "looks like a state_dict" not in live
    assert f"1 ({kind}) cannot be read" in live


def test_integers_where_whole_numbers_may_stand_are_real(tmp_path):
    path = tmp_path / "model.pt"
    for odd in (torch.ones(4, dtype=torch.complex64), torch.ones(4, dtype=torch.bool)):
        torch.save({"0.weight": torch.ones(4, 3), "1.time_step": odd}, path)
        assert "1.time_step is" in refused(path)
        assert "weights must be dense real floats" in refused(path)


@pytest.mark.parametrize(("kind", "reason"), [
    ("ComplementaryLIFNeuron", "its complementary potential decays by a sigmoid of its membrane potential"),
    ("PSN", "its membrane potential is a weighted sum over all steps"), ("PMSN", "its compartments are more than two"),
    ("LeakyParallel", "goes through a ReLU in an RNN"), ("HRFCell", "cannot be read"),
])  # fmt: skip
def test_live_neurons_that_are_not_read_are_refused_with_the_reason(kind, reason):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), type(kind, (Holder,), {})(), torch.nn.Linear(4, 2))
    assert reason in refused(model)


STATES = {
    "rf": (resonators, {"neuron": "rf"}), "alif": (higuchi_alif, {}), "sparch": (sparch, {}),
    "srnn": (lambda: yin("h1"), {}), "srnn modules": (yin_modules, {}), "dendritic": (dendritic, {}),
    "delays": (delayed, {"dilated_kernel_size": 13}),
    "se-adlif": (se_adlif, {"neuron": "se-adlif", "adaptation": 30.0}),
}  # fmt: skip


ODD = (
    lambda value: np.zeros(()), lambda value: value[:0], lambda value: value[..., None], lambda value: value * 1e300,
    lambda value: -np.abs(value), lambda value: value * 0, lambda value: value.ravel(), lambda value: value[:1],
    lambda value: np.full(np.shape(value), np.nan), lambda value: np.full(np.shape(value), 1e-320),
)  # fmt: skip


@pytest.mark.parametrize("family", STATES)
def test_odd_shapes_and_numbers_anywhere_give_a_network_or_one_line_that_names_the_file(tmp_path, family):
    make, options = STATES[family]
    state = make()
    outcomes = set()
    for name in state:
        for odd in ODD:
            value = np.asarray(state[name], np.float64)
            if value.ndim == 0 and odd in (ODD[1], ODD[7]):
                continue
            path = saved(tmp_path, {**state, name: odd(value)})
            try:
                load(path, **options)
                outcomes.add("read")
            except TclifError as error:
                text = str(error)
                outcomes.add("refused" if "\n" not in text and text.startswith(str(path)) else f"{name}: {text}")
    assert outcomes == {"read", "refused"}
