"""Layer names from the names that modules and nodes have elsewhere."""

from __future__ import annotations

import re


def unique_name(path: str, names: set[str]) -> str:
    """A readable layer name from a module's path, safe as a file name, not yet in ``names`` (which it joins).

    ``features.1`` stays; ``1`` (a bare Sequential) becomes ``layer1``; odd characters become ``_``.
    """
    name = re.sub(r"[^A-Za-z0-9_.]", "_", path)[:60].strip(".")
    if not name or not name[0].isalpha():
        name = f"layer{name}"
    base, count = name, 2
    while name in names:
        name, count = f"{base}_{count}", count + 1
    names.add(name)
    return name
