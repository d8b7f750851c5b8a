"""The version of this package, where anything may import it from."""

__version__ = "0.1.0"
