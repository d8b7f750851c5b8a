"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import platform
from importlib import metadata, util

from rich.console import Console
from rich.markup import escape

from tclif_deploy import __version__
from tclif_deploy.backends.lava import install_commands

PARTS = (
    ("numpy", "numpy", "core"),
    ("torch", "torch", "reading checkpoints"),
    ("nir", "nir", "network.nir"),
    ("numba", "numba", "the fast engine"),
    ("lava-nc", "lava", "the Lava backend"),
)
"""(distribution, module, what needs it)"""


def print_report(console: Console) -> None:
    """One line a part; for what is missing, the commands that install it."""
    console.print(f"tclif_deploy {__version__}, Python {platform.python_version()}", highlight=False)
    for distribution, module, purpose in PARTS:
        if util.find_spec(module) is None:
            console.print(f"[red]missing[/]   {distribution} ({purpose}); install it with:", highlight=False)
            commands = install_commands() if distribution == "lava-nc" else (f"pip install {distribution}",)
            for command in commands:
                console.print(f"            {escape(command)}", highlight=False, soft_wrap=True)
        else:
            console.print(
                f"[green]installed[/] {distribution} {metadata.version(distribution)} ({purpose})", highlight=False
            )
