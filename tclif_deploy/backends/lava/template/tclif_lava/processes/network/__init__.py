"""The network as one process."""
