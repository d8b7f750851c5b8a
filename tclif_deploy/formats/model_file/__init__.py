"""Our own model file: a network described in order, with its tensors."""
