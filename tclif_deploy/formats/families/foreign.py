"""State_dicts that are known and not read: whose they look like, and why, by the names and shapes of their tensors."""

from __future__ import annotations

from collections.abc import Mapping

from tclif_deploy.errors import TclifError
from tclif_deploy.network import Float
from tclif_deploy.neurons import REFUSED

LIVE = "load the live module, load(module, example_input=x), or a NIR file of it"
"""what to do where a state_dict does not say enough"""
TS_LIF = (
    "TS-LIF (Feng et al., ICLR 2025), whose class is called TCLIFNode too: both its compartments fire, and a weighted "
    "sum of both spikes goes on"
)
PMSN = ("log_dt", "log_A_real", "A_imag")


SNNTORCH = ("graded_spikes_factor", "reset_mechanism_val")
"""what each of snnTorch's neurons keeps, the second but LeakyParallel's"""


def refuse_known(arrays: Mapping[str, Float], where: str, live: bool = False) -> None:
    """Raise `TclifError` for a state_dict that is known, and not read.

    Of a ``live`` model, whose classes say more than its tensors, snnTorch's and Norse's are left to who reads those.
    """
    leaves = {name.rpartition(".")[2]: name for name in arrays}
    for name, value in arrays.items():
        leaf = name.rpartition(".")[2]
        if leaf == "decay_factor" and (value.size == 4 or value.shape[-1:] == (4,)):
            raise TclifError(f"{where}: {name} has four factors: {TS_LIF}", "this machine's neuron fires once")
        if leaf == "bias" and value.ndim == 2 and value.shape[1] == 1 and name[:-4] + "weight" in arrays:
            raise TclifError(
                f"{where}: {name} has shape {value.shape}: PSN: {REFUSED['PSN']}", "train with LIF neurons"
            )
    found = next((leaves[leaf] for leaf in SNNTORCH if leaf in leaves), None)
    if found is not None:
        if any(name.endswith("rnn.weight_hh_l0") for name in arrays):
            raise TclifError(f"{where}: LeakyParallel of snnTorch: {REFUSED['LeakyParallel']}", "train with snn.Leaky")
        if not live:
            raise TclifError(
                f"{where}: {found} looks like a state_dict of snnTorch, which does not say in what order its modules "
                "follow one another, nor of what class its neurons are",
                LIVE,
            )
    if {"input_weights", "recurrent_weights"} <= leaves.keys() and not live:
        raise TclifError(
            f"{where}: {leaves['input_weights']} looks like a state_dict of Norse, which holds no time constant, no "
            "threshold and no reset",
            LIVE,
        )
    if set(PMSN) & leaves.keys():
        pmsn = next(leaves[leaf] for leaf in PMSN if leaf in leaves)
        raise TclifError(f"{where}: {pmsn}: PMSN: {REFUSED['PMSN']}", "train with two compartments, as TC-LIF")
