"""A ``.safetensors`` file: a state_dict without any pickle, read by the library of that name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from tclif_deploy import extras
from tclif_deploy.errors import TclifError

HEAD = 8
"""bytes that hold the length of the header, little end first; the header is JSON"""


def is_safetensors(data: bytes) -> bool:
    """Whether a file's bytes begin as the format does."""
    length = int.from_bytes(data[:HEAD], "little")
    return len(data) >= HEAD + length and length > 1 and data[HEAD : HEAD + 1] == b"{"


def read_safetensors(data: bytes, where: str) -> Mapping[str, Any]:
    """The tensors in a file's bytes, by their names.

    Raises `TclifError` where the library is missing, and for damaged files.
    """
    try:
        library = importlib.import_module("safetensors.torch")
    except ImportError as error:
        raise extras.missing(where, "save the weights by torch.save", "safetensors") from error
    try:
        return dict(library.load(data))
    except Exception as error:  # the library has its own types of them
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TclifError(
            f"{where}: safetensors cannot read it ({reason:.200})", "save or copy the file again"
        ) from error
