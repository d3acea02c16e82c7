"""Descriptions of all calls of the API, one module for each subject, imported when looked up."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stoker.client.calls import decisions as decisions
    from stoker.client.calls import runners as runners
    from stoker.client.calls import store as store

_SUBJECTS: Final = frozenset({"decisions", "runners", "store"})


def __getattr__(name: str) -> ModuleType:
    if name not in _SUBJECTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
