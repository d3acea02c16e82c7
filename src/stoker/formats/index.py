"""`model.safetensors.index.json`: which shard holds which tensor."""

from collections.abc import Mapping
from typing import Final

import msgspec

from stoker.base.errors import Incomplete, ParseError
from stoker.formats.safetensors import SafetensorsHeader

INDEX: Final = "model.safetensors.index.json"
"""The one that engines read. Shards lie beside it."""
MAX_INDEX: Final = 64 * 1024 * 1024
"""Bytes; the largest, of models with 100,000 unmerged experts, have 10 MB."""


class _WireIndex(msgspec.Struct):
    weight_map: dict[str, str]


def weights_of_index(data: bytes) -> Mapping[str, str]:
    """Tensor to the file name of its shard. Raises ParseError, also for a name that is a path."""
    if len(data) > MAX_INDEX:
        raise ParseError(f"index: {len(data)} bytes, at most {MAX_INDEX} are read")
    try:
        index = msgspec.json.decode(data, type=_WireIndex)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"index: {error}") from error
    for name in set(index.weight_map.values()):
        if "/" in name or "\\" in name or "\0" in name or name in {"", ".", ".."}:
            raise ParseError(f"index: {name!r} is not a plain file name")
    return index.weight_map


def shards_of_index(data: bytes) -> tuple[str, ...]:
    """File names of all shards, sorted. Raises as `weights_of_index`."""
    return tuple(sorted(set(weights_of_index(data).values())))


def check_index(
    model: str, index: Mapping[str, str], shards: Mapping[str, SafetensorsHeader]
) -> None:
    """Refuse weights that lack something of what the index names. Raises Incomplete.

    `model` is what to call it. Engines leave a tensor that they do not find as it is, and answer
    with whatever was there. One that lies in another shard than the index says is found.
    """
    absent = sorted({shard for shard in index.values() if shard not in shards})
    if absent:
        raise _incomplete(model, "files", absent)
    held = {tensor.name for header in shards.values() for tensor in header.tensors}
    lost = sorted(f"{tensor} in {index[tensor]}" for tensor in index.keys() - held)
    if lost:
        raise _incomplete(model, "tensors", lost)


def _incomplete(model: str, what: str, names: list[str]) -> Incomplete:
    first = ascii(names[0][:200])[1:-1]
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return Incomplete(
        f"{model} is incomplete: its index names {what} that are not there: {first}{others}",
        hint="the model was published, or downloaded, in part: get it anew",
    )
