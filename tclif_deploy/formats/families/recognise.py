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


ROOTED = (higuchi.read_rf, higuchi.read_alif, srnn.read_flat)
"""readers of layers that have names of their own in the model: what stands before all names is where the model is"""


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
    live = live or {}
    while (wrapper := _common(arrays)) in WRAPPERS:
        arrays, live = _inside(wrapper, arrays, live)
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
    while found[1] in ROOTED and (prefix := _common(arrays)):  # a model in another, as Lightning keeps it
        arrays, live = _inside(prefix, arrays, live)
    family, reader = found
    for option in ("threshold", "gamma", "comparator", "reset", "neuron", "decay", "dt", *OF_FAMILIES):
        if getattr(given, option) is not None and option not in _TAKEN[family]:
            raise TclifError(
                f"{where}: --{option.replace('_', '-')} is not for {family}: it has no such option, or its file or its "
                "authors' code says it",
                "leave it out",
            )
    try:
        return reader(Tensors(where, family, dict(arrays), given, live))
    except TclifError as error:
        if error.what.startswith(where):
            raise
        raise TclifError(f"{where}: {error.what}", error.hint) from error


def _common(arrays: Mapping[str, Float]) -> str:
    """The first part of all names, with its dot; empty where they have none in common."""
    first = {name.partition(".")[0] for name in arrays}
    return f"{first.pop()}." if len(first) == 1 and all("." in name for name in arrays) else ""


def _inside(
    prefix: str, arrays: Mapping[str, Float], live: Mapping[str, Any]
) -> tuple[dict[str, Float], dict[str, Any]]:
    """Tensors and modules of the model at ``prefix``, by their names in it."""
    modules = {name.removeprefix(prefix): module for name, module in live.items() if name.startswith(prefix)}
    root = {"": live[prefix[:-1]]} if prefix[:-1] in live else {}
    return {name.removeprefix(prefix): value for name, value in arrays.items()}, root | modules


def _family(
    arrays: Mapping[str, Float], given: ReadOptions, where: str, live: Mapping[str, Any]
) -> tuple[str, Reader] | None:
    leaves = {name.rpartition(".")[2] for name in arrays}
    classes = {type(module).__name__ for module in live.values()}
    beside = {  # the parameters beside the Linear of Higuchi's layers, but for their readout
        leaf
        for path, _, leaf in (name.rpartition(".") for name in arrays)
        if f"{path}.linear.weight" in arrays and path.rpartition(".")[2] != higuchi.OUT
    }
    resonates = {"omega", "b_offset"}
    if resonates <= leaves or resonates & beside:  # one of them is missing, where the other is not there
        _decide_rf(given, where, classes)
        return higuchi.RF, higuchi.read_rf
    if {"tau_adp", "tau_mem"} & beside:
        return higuchi.ALIF, higuchi.read_alif
    if any(name.endswith("tau_w_trainer.weight") for name in arrays):
        _decide_se(given, where, classes)
        return baronig.FAMILY, baronig.read_se_adlif
    if {"P", "SIG"} <= leaves:
        return delays.FAMILY, delays.read_delays
    if {"alpha", "beta"} & leaves and any(name.endswith(".W.weight") for name in arrays):
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
    for cell, reason in (("BRFCell", higuchi.BRF_REASON), ("HRFCell", higuchi.HRF_REASON)):
        if cell in classes:
            raise TclifError(f"{where}: {cell}: {reason}", "train the vanilla RF (RFCell)")
    if "RFCell" not in classes and given.neuron != "rf":
        said = "" if given.neuron is None else f"--neuron {given.neuron}: "
        raise TclifError(
            f"{where}: {said}omega and b_offset are those of a vanilla RF and of a balanced one (BRF), which share all "
            "names",
            "say --neuron rf for the vanilla one; a BRF is not read: its refractory variable is a third state",
        )


def _decide_se(given: ReadOptions, where: str, classes: set[str]) -> None:
    """Raise `TclifError` unless a network with tau_w_trainer is an SE-adLIF."""
    if "EFAdLIF" in classes:
        raise TclifError(f"{where}: {baronig.EF_REASON}", "train the SE-adLIF")
    if "SEAdLIF" not in classes and given.neuron != "se-adlif":
        said = "" if given.neuron is None else f"--neuron {given.neuron}: "
        raise TclifError(
            f"{where}: {said}tau_w_trainer is that of an SE-adLIF and of an EF-adLIF, which have the same names",
            "say --neuron se-adlif for the first; an EF-adLIF is not read, since its reset would multiply states",
        )
