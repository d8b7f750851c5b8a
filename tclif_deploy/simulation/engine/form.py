"""In which form the fast kernels keep the weights of a feedforward layer: whatever is chosen, results are the same.

``bytes`` is a byte a weight and tiles of 64 neurons, two samples at a time (`sums`). ``words`` is two bytes a weight
and tiles of up to 256 neurons, one sample at a time: a row is added as it lies there, which saves a shift for each 64
weights, and a list of events ends once for more neurons. Intel's cores with AVX-512 load two of its vectors in a cycle
(Intel 64 and IA-32 Architectures Optimization Reference Manual), and on one of them the second is the faster one
(``benchmarks/README.md``). A core that loads one, such as AMD's Zen 4, would move more bytes for a shift.
"""

from __future__ import annotations

import os
from typing import Literal, get_args

import llvmlite.binding
from numba.core import config

from tclif_deploy.errors import TclifError

Form = Literal["bytes", "words"]
CHOICE = "TCLIF_ENGINE_FORM"
"""environment variable: takes a form whatever the CPU, to compare them"""
TWO_LOADS = (
    "skylake-avx512", "cascadelake", "cooperlake", "cannonlake", "icelake-client", "icelake-server", "tigerlake",
    "rocketlake", "sapphirerapids", "emeraldrapids", "graniterapids", "graniterapids-d", "diamondrapids",
)  # fmt: skip
"""LLVM's names of Intel's cores with AVX-512"""
WORD_WIDTHS = (256, 128)
"""neurons of a tile, the widest that a layer fills"""


def cpu_name() -> str:
    """LLVM's name of the CPU that kernels are made for."""
    return str(config.CPU_NAME or llvmlite.binding.get_host_cpu_name())


def chosen_form() -> Form:
    """The form for this CPU. Raises `TclifError` where the environment names none."""
    wanted = os.environ.get(CHOICE)
    for form in get_args(Form):
        if wanted == form:
            return form  # type: ignore[no-any-return]
    if wanted:
        raise TclifError(f"{CHOICE} is {wanted!r:.40}", f"expected {' or '.join(get_args(Form))}")
    return "words" if cpu_name() in TWO_LOADS else "bytes"


def word_width(neurons: int) -> int | None:
    """How wide the tiles of a layer of so many ``neurons`` are in words; None where it is too small to gain by them."""
    return next((width for width in WORD_WIDTHS if neurons > width // 2), None)
