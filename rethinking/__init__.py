"""Memorisation and generalisation under corrupted data, in JAX."""

__version__ = "0.1.0"
