"""What the page on Python, docs/api.md, documents: names, and the objects that they are."""

from __future__ import annotations

import inspect
import re
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]


def site() -> ModuleType:
    """``docs/hooks.py``, which makes the site's page of ours."""
    spec = util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGE = site().on_page_markdown((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "tclif_deploy").rglob("*.py")
}
ENTRY = re.compile(r"^::: (\S+)$(?:\n    options: \{(.*)\}$)?", re.MULTILINE)


def entries(page: str = PAGE) -> dict[str, str]:
    """Every name after ``:::``, and the options under it."""
    return dict(ENTRY.findall(page))


def members(options: str) -> tuple[str, ...] | None:
    """The members that an entry's options name; None where they name none, and all are shown."""
    match = re.search(r"(?<!_)members: (?:\[(.*?)\]|false)", options)
    return None if match is None else tuple(filter(None, (match[1] or "").split(", ")))


def found(name: str) -> Any:
    """The module or attribute that ``name`` is; a module where it is both."""
    if name in MODULES:
        return import_module(name)
    outer, _, last = name.rpartition(".")
    return getattr(found(outer), last)


def documented(page: str = PAGE) -> dict[str, Any]:
    """Everything that the page documents by name, but modules: functions, classes, types and constants."""
    objects: dict[str, Any] = {}
    for name, options in entries(page).items():
        value = found(name)
        if isinstance(value, ModuleType):
            objects |= {f"{name}.{member}": getattr(value, member) for member in members(options) or ()}
        else:
            objects[name] = value
    return objects


def has_example(value: Any) -> bool:
    """Whether its own docstring holds lines to type."""
    return ">>>" in (value.__doc__ or "")


def without_example(objects: dict[str, Any]) -> list[str]:
    """Names of the functions, and of the classes with all of their own public methods, that show no example."""
    bare = []
    for name, value in objects.items():
        if inspect.isclass(value):
            own = [getattr(value, key) for key in vars(value) if not key.startswith("_")]
            methods = [method for method in own if callable(method) and not inspect.isclass(method)]
            if not any(map(has_example, (value, *methods))):
                bare.append(name)
        elif callable(value) and not has_example(value):
            bare.append(name)
    return bare
