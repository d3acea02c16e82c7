"""Typed access to the metadata of a GGUF header: the keys of docs/gguf.md.

Metadata is written by strangers: a key of the wrong type counts as absent.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from stoker.formats.ggufvalues import Array, LongText, Value

MAX_SHOWN_ITEMS: Final = 50
"""Docker Model Runner leaves longer arrays out of an artifact's config, and so do we."""

MAX_NUMBER: Final = (1 << 31) - 1
"""Counts and lengths of a model's shape are int32 in llama.cpp; larger ones are lies."""


class Keys:
    """Looks up `general.*` and tokenizer keys, and with `own` those of the architecture."""

    __slots__ = ("_metadata", "architecture")

    def __init__(self, metadata: Mapping[str, Value]) -> None:
        self._metadata = metadata
        self.architecture = self.text("general.architecture")

    def own(self, key: str) -> str:
        """The full name of an architecture's key: `llama.block_count` of `block_count`."""
        return f"{self.architecture}.{key}"

    def __contains__(self, key: str) -> bool:
        return key in self._metadata

    def value(self, key: str) -> Value | None:
        """As the file has it."""
        return self._metadata.get(key)

    def text(self, key: str) -> str:
        """A string; empty when absent."""
        value = self._metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str, default: int = 0) -> int:
        """A count; `default` when absent, negative or larger than any model's."""
        return _number(self._metadata.get(key), default)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A boolean."""
        value = self._metadata.get(key)
        return value if isinstance(value, bool) else default

    def length(self, key: str) -> int:
        """Items of an array, also of one too long to keep."""
        value = self._metadata.get(key)
        return value.count if isinstance(value, Array) else 0

    def per_layer(self, key: str, layers: int, default: int = 0) -> tuple[int, ...]:
        """One number for each layer: an array, or a number that holds for all."""
        value = self._metadata.get(key)
        if isinstance(value, Array):
            items = value.items or ()
            found = tuple(_number(item, default) for item in items[:layers])
            return found + (default,) * (layers - len(found))
        return (_number(value, default),) * layers


def _number(value: Value | None, default: int) -> int:
    # bool is an int: sliding-window patterns are arrays of either.
    return value if isinstance(value, int) and 0 <= value <= MAX_NUMBER else default


def metadata_strings(metadata: Mapping[str, Value]) -> Mapping[str, str]:
    """All metadata as Docker Model Runner writes it into an artifact's config."""
    return MappingProxyType(
        {
            key: _string(value)
            for key, value in metadata.items()
            if not isinstance(value, LongText)
            and not (isinstance(value, Array) and value.count > MAX_SHOWN_ITEMS)
        }
    )


def _string(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:f}"
    if isinstance(value, Array):
        items = value.items or ()
        return ", ".join(_string(item) for item in items if not isinstance(item, Array | LongText))
    return "" if isinstance(value, LongText) else str(value)
