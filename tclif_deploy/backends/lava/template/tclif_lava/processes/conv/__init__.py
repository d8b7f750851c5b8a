"""Convolutional connections with a sample axis."""
