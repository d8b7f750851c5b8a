"""The neuron."""
