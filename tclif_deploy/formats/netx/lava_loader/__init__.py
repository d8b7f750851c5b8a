"""lava-dl's netx with our neuron type; alone in its folder, as Lava executes every file beside a process."""
