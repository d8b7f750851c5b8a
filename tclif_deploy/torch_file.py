"""Opening a torch file that may come from anyone: what it holds, and its tensors as float64 arrays."""

from __future__ import annotations

import argparse
import io
import pickle
import re
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.pickle_scan import SAVE_AGAIN, check_legacy, check_zip
from tclif_deploy.torch_zip import NotPlain, Tensor, read_zip

if TYPE_CHECKING:
    import torch

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
"""First bytes of torch's files since 1.6, and before."""
ADVICE = ("weights_only", "Weights only", "torch.load", "safe_globals", "trust", "arbitrary code", "an issue")
"""Words of sentences in which torch tells how to run what is in a file, which is refused here."""
ALIASES = 4
"""Tensors may share storage (tied weights), but not so often that they fill the memory."""

OF_WHOLE_NUMBERS = ("tau_min", "tau_max", "reset_mechanism_val", "time_step", "R")
"""tensors that are of integers where they were made of whole numbers: limits of trained time constants, and settings of
snnTorch's neurons"""
OTHER_KEYS = ("model_state", "model", "net", "network", "weights")
"""Under which training scripts keep a state_dict, beside state_dict and model_state_dict."""
LIGHTNING = "pytorch-lightning_version"
"""A key of every checkpoint that Lightning writes."""
LIGHTNING_NETWORKS = ("model", "net", "network", "snn", "module", "backbone")
"""Attributes under which a LightningModule keeps its network."""

MAX_NAME = 200
"""Characters of a tensor's name; names reach messages, layers and files."""


def is_torch(head: bytes) -> bool:
    """Whether a file that begins with ``head`` looks like one of torch's."""
    return head.startswith((ZIP, PICKLE))


def read_torch(data: bytes, where: str) -> Any:
    """The object in a torch file's bytes: plain containers, numbers and tensors only.

    Raises `TclifError` where the file is damaged, declares more than it holds, or wants foreign code.
    """
    (check_zip if data.startswith(ZIP) else check_legacy)(data, where)
    return _by_torch(data, where)


def read_checkpoint(data: bytes, where: str) -> Any:
    """As `read_torch`, but without torch where the file is plain enough: its tensors then are `torch_zip.Tensor`.

    `to_arrays` takes either.
    """
    if not data.startswith(ZIP):
        return read_torch(data, where)
    check_zip(data, where)
    try:
        return read_zip(data)
    except NotPlain:
        return _by_torch(data, where)


def _by_torch(data: bytes, where: str) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what matters was checked
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types on damaged files
        raise TclifError(f"{where}: torch cannot read it ({_reason(error):.200})", SAVE_AGAIN) from error


def _reason(error: Exception) -> str:
    """What torch says is wrong with a file, without its advice to load it unchecked."""
    inner = error.__context__ if isinstance(error.__context__, pickle.UnpicklingError) else error
    said = (sentence.strip() for sentence in re.split(r"(?<=\.)\s|\n", str(inner)))
    own = (sentence for sentence in said if sentence and not any(word in sentence for word in ADVICE))
    return next(own, type(error).__name__)


def state_dict_of(content: Any, where: str) -> Mapping[str, Any]:
    """The state_dict in what a torch file held: the authors' dict, or the state_dict itself."""
    expected = "expected a state_dict, or a dict with one under the key state_dict"
    if not isinstance(content, dict):
        raise TclifError(f"{where}: holds a {type(content).__name__}", expected)
    for key in ("state_dict", "model_state_dict"):
        if key in content:
            if not isinstance(content[key], dict):
                raise TclifError(f"{where}: its {key} is a {type(content[key]).__name__}", expected)
            return dict(content[key])
    for key in OTHER_KEYS:
        if isinstance(content.get(key), dict):
            return dict(content[key])
    return dict(content)


def of_lightning(content: Any, state: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """(the tensors of the network in a checkpoint of Lightning, a notice of what else its module holds).

    A LightningModule keeps its network under an attribute, beside losses and metrics that have tensors of their own.
    """
    if LIGHTNING not in content:
        return state, None
    held = dict.fromkeys(str(name).partition(".")[0] for name in state)
    networks = [name for name in held if name in LIGHTNING_NETWORKS]
    if len(held) < 2 or len(networks) != 1:
        return state, None
    others = ", ".join(name for name in held if name not in networks)
    kept = {name: tensor for name, tensor in state.items() if str(name).startswith(f"{networks[0]}.")}
    return kept, f"read is {networks[0]} of a Lightning module, and left out what else it holds: {others:.200}"


def to_arrays(state: Mapping[str, Any], where: str, file_bytes: int | None = None) -> dict[str, NDArray[np.float64]]:
    """A state_dict's tensors as float64 arrays, counters of batches left out.

    Raises `TclifError` where one is not a tensor of real floats, or not finite; or where the tensors hold many
    times the elements that ``file_bytes`` can.
    """
    arrays: dict[str, NDArray[np.float64]] = {}
    elements = 0
    torch = sys.modules.get("torch")  # who holds a tensor of torch has imported it
    kinds: Any = Tensor if torch is None else (Tensor, torch.Tensor)
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, kinds):
            raise TclifError(
                f"{where}: the entry {name!r:.60} of its state_dict is a {type(tensor).__name__}, not a tensor",
                SAVE_AGAIN,
            )
        if not name.isprintable() or len(name) > MAX_NAME:
            raise TclifError(f"{where}: a tensor is named {name!r:.60}", "names are printable, and not that long")
        if name.rpartition(".")[2] == "num_batches_tracked":
            continue
        ours = isinstance(tensor, Tensor)
        whole = name.rpartition(".")[2] in OF_WHOLE_NUMBERS
        if not ((whole and "int" in tensor.dtype) or tensor.is_floating_point if ours else _is_dense(tensor, whole)):
            raise TclifError(
                f"{where}: {name} is {tensor.dtype} ({'strided' if ours else tensor.layout})".replace("torch.", ""),
                "weights must be dense real floats (float16, bfloat16, float32 or float64)",
            )
        elements += tensor.stored.size if ours else tensor.numel()
        if file_bytes is not None and elements > ALIASES * file_bytes:
            raise TclifError(
                f"{where}: its tensors have {elements} elements in a file of {file_bytes} bytes", SAVE_AGAIN
            )
        array = tensor.float64() if ours else _float64(tensor)
        if not np.isfinite(array).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise TclifError(
                f"{where}: {name}{list(index) if index else ''} is {array[index]}",
                "weights must be finite: was the training interrupted by a NaN loss?",
            )
        arrays[name] = array
    return arrays


def _is_dense(tensor: torch.Tensor, whole: bool) -> bool:
    """Whether a tensor is dense and of real floats, or of integers where it may be of ``whole`` numbers."""
    import torch

    numbers = tensor.is_floating_point() or (whole and not tensor.is_complex() and tensor.dtype != torch.bool)
    return tensor.layout == torch.strided and not tensor.is_quantized and numbers


def _float64(tensor: torch.Tensor) -> NDArray[np.float64]:
    import torch

    return np.asarray(tensor.detach().to("cpu", torch.float64).numpy(), dtype=np.float64)
