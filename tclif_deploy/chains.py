"""Networks that are a chain of layers, each with its own recurrence at most."""

from __future__ import annotations

from typing import Any

from tclif_deploy.errors import TclifError


def chain_links(layer: Any, source: str, hint: str) -> list[Any]:
    """The connections into a layer of a chain: from ``source``, then its own recurrence of one step where it has any.

    Raises `TclifError` where there are others. Serves the float and the fixed-point network alike.
    """
    links = sorted(layer.connections, key=lambda c: bool(c.source == layer.name))
    if [(c.source, c.delay) for c in links] not in ([(source, 0)], [(source, 0), (layer.name, 1)]):
        raise TclifError(f"layer {layer.name}: not a chain with recurrence of one step within a layer", hint)
    return links
