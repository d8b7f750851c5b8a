"""C: a network as freestanding C99, for whatever has a compiler."""

from tclif_deploy.backends.c.emit import emit
from tclif_deploy.backends.c.run import check_installed, find_compiler, run

__all__ = ["check_installed", "emit", "find_compiler", "run"]
