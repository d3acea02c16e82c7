"""`model.safetensors.index.json`: which shard holds which tensor."""

from typing import Final

import msgspec

from stoker.base.errors import ParseError

MAX_INDEX: Final = 64 * 1024 * 1024
"""Bytes; the largest, of models with 100,000 unmerged experts, have 10 MB."""


class _WireIndex(msgspec.Struct):
    weight_map: dict[str, str]


def shards_of_index(data: bytes) -> tuple[str, ...]:
    """File names of all shards, sorted. Raises ParseError, also for a name that is a path."""
    if len(data) > MAX_INDEX:
        raise ParseError(f"index: {len(data)} bytes, at most {MAX_INDEX} are read")
    try:
        index = msgspec.json.decode(data, type=_WireIndex)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"index: {error}") from error
    names = tuple(sorted(set(index.weight_map.values())))
    for name in names:
        if "/" in name or "\\" in name or "\0" in name or name in {"", ".", ".."}:
            raise ParseError(f"index: {name!r} is not a plain file name")
    return names
