"""The delay line."""
