"""The batched connection."""
