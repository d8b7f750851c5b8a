"""Which family a state_dict or a live module is of: by the names of its parameters, or by an option."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families import baronig, delays, dendritic, higuchi, sparch, srnn
from tclif_deploy.formats.families.chain import Tensors
from tclif_deploy.formats.families.foreign import refuse_known
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.network import Float, Network

WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that DataParallel and torch.compile put before every name."""
Reader = Callable[[Tensors], Network]
_TAKEN: dict[str, frozenset[str]] = {
    higuchi.RF: frozenset({"threshold", "dt", "neuron"}),
    higuchi.ALIF: frozenset({"threshold", "adaptation"}),
    sparch.FAMILY: frozenset({"threshold"}),
    dendritic.FAMILY: frozenset({"threshold"}),
    srnn.FAMILY: frozenset({"threshold", "adaptation"}),
    delays.FAMILY: frozenset({"threshold", "decay", "dilated_kernel_size"}),
    baronig.FAMILY: frozenset({"threshold", "adaptation", "neuron"}),
}
"""what can be said by hand about each family, beside its readout"""
OF_FAMILIES = ("adaptation", "dilated_kernel_size")
"""options for families alone"""


def without_wrappers(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors by their names in the model itself."""
    tensors = dict(tensors)
    while any(tensors and all(name.startswith(wrapper) for name in tensors) for wrapper in WRAPPERS):
        tensors = {name.partition(".")[2]: tensor for name, tensor in tensors.items()}
    return tensors


@np.errstate(all="ignore")  # what floats do not hold becomes inf or NaN, which no neuron or weight may be
def family_network(
    arrays: Mapping[str, Float], given: ReadOptions, where: str, live: Mapping[str, Any] | None = None
) -> Network | None:
    """The network of a state_dict of a family that is read by name, None of another.

    ``live`` are the modules of a live model by their paths: they say what a file does not. Raises `TclifError` for a
    family that is known and not read, with the reason, and for one that only an option tells from another.
    """
    arrays, live = without_wrappers(arrays), live or {}
    refuse_known(arrays, where, bool(live))
    found = _family(arrays, given, where, live)
    if found is None:
        for option in OF_FAMILIES:
            if getattr(given, option) is not None:
                raise TclifError(
                    f"{where}: --{option.replace('_', '-')} is for other families, and no parameter here is theirs",
                    "leave it out",
                )
        return None
    family, reader = found
    for option in ("threshold", "gamma", "comparator", "reset", "neuron", "decay", "dt", *OF_FAMILIES):
        if getattr(given, option) is not None and option not in _TAKEN[family]:
            raise TclifError(
                f"{where}: --{option.replace('_', '-')} is not for {family}, whose code says it", "leave it out"
            )
    try:
        return reader(Tensors(where, family, arrays, given, live))
    except TclifError as error:
        if error.what.startswith(where):
            raise
        raise TclifError(f"{where}: {error.what}", error.hint) from error


def _family(
    arrays: Mapping[str, Float], given: ReadOptions, where: str, live: Mapping[str, Any]
) -> tuple[str, Reader] | None:
    leaves = {name.rpartition(".")[2] for name in arrays}
    classes = {type(module).__name__ for module in live.values()}
    if {"omega", "b_offset"} <= leaves:
        _decide_rf(given, where, classes)
        return higuchi.RF, higuchi.read_rf
    if any(name.endswith(".tau_adp") and f"{name[:-8]}.linear.weight" in arrays for name in arrays):
        return higuchi.ALIF, higuchi.read_alif
    if any(name.endswith("tau_w_trainer.weight") for name in arrays):
        _decide_se(given, where, classes)
        return baronig.FAMILY, baronig.read_se_adlif
    if {"P", "SIG"} <= leaves:
        return delays.FAMILY, delays.read_delays
    if "alpha" in leaves and any(name.endswith(".W.weight") for name in arrays):
        return sparch.FAMILY, sparch.read_sparch
    if "tau_n" in leaves:
        return dendritic.FAMILY, dendritic.read_dendritic
    if any(leaf.startswith("tau_adp_") for leaf in leaves):
        return srnn.FAMILY, srnn.read_flat
    if {"tau_adp", "tau_m"} <= leaves:
        return srnn.FAMILY, srnn.read_modules
    if "tau_m" in leaves and any(name.endswith(".dense.weight") for name in arrays):
        if classes & set(dendritic.PLAIN):
            return dendritic.FAMILY, dendritic.read_dendritic
        raise TclifError(
            f"{where}: tau_m without tau_adp or tau_n: the LIF of DH-LIF's authors (a sigmoid of tau_m) and that of "
            "Yin et al. (exp(-1/tau_m)) have the same names, and no layer here tells them apart",
            f"load the live module of DH-LIF's authors, whose classes say it ({dendritic.PLAIN[0]}, ...)",
        )
    return None


def _decide_rf(given: ReadOptions, where: str, classes: set[str]) -> None:
    """Raise `TclifError` unless a network with omega and b_offset is a vanilla RF."""
    for balanced in ("BRFCell", "HRFCell"):
        if balanced in classes:
            raise TclifError(f"{where}: {balanced}: {higuchi.BRF_REASON}", "train the vanilla RF (RFCell)")
    if "RFCell" not in classes and given.neuron != "rf":
        raise TclifError(
            f"{where}: omega and b_offset are those of a vanilla RF and of a balanced one (BRF), which share all names",
            "say --neuron rf for the vanilla one; a BRF is not read: its refractory variable is a third state",
        )


def _decide_se(given: ReadOptions, where: str, classes: set[str]) -> None:
    """Raise `TclifError` unless a network with tau_w_trainer is an SE-adLIF."""
    if "EFAdLIF" in classes:
        raise TclifError(f"{where}: {baronig.EF_REASON}", "train the SE-adLIF")
    if "SEAdLIF" not in classes and given.neuron != "se-adlif":
        raise TclifError(
            f"{where}: tau_w_trainer is that of an SE-adLIF and of an EF-adLIF, which have the same names",
            "say --neuron se-adlif for the first; an EF-adLIF is not read, since its reset would multiply states",
        )
