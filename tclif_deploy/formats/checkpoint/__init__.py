"""Checkpoints of training scripts: weights by the names of their tensors, and how they are opened safely."""
