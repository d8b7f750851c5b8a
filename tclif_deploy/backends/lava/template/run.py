"""Run this network on Lava's CPU simulation; needs lava-nc and numpy only. See ``python run.py --help``."""

import os
import sys
from pathlib import Path

# One thread for each of Lava's operating system processes: more only fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

if __name__ == "__main__":
    from network import NETWORK  # type: ignore[import-not-found]  # written when a network is emitted
    from tclif_lava.command import main  # type: ignore[import-not-found]  # found through sys.path

    sys.exit(main(NETWORK, HERE))
