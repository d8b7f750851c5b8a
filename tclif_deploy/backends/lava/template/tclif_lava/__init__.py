"""TC-LIF networks on Lava: structure, processes and the run."""
