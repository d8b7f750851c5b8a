"""Live torch modules as networks."""
