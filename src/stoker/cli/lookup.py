"""A model that a command works on itself, by what was typed."""

from stoker.base.errors import ModelNotFound
from stoker.cli.names import default_registry
from stoker.library import Library, LocalModel
from stoker.store import Store


def find_here(store: Store, name: str) -> LocalModel:
    """As `Library.find`, with the name in what it raises: it may be one of several."""
    try:
        return Library(store, default_registry=default_registry()).find(name)
    except ModelNotFound as error:
        raise ModelNotFound(f"{name}: model not found", hint=error.hint) from error
