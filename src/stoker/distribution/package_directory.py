"""A directory with safetensors, as Hugging Face repositories have them, to be packaged."""

import os
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from stoker.base.errors import ModelNotFound, ParseError, StorageError, UnsupportedFormat
from stoker.distribution.layers import Wanted
from stoker.distribution.package import Plan, check_names_differ
from stoker.formats import (
    FileClass,
    HfConfig,
    SafetensorsHeader,
    facts_of_safetensors,
    file_class,
    parse_hfconfig,
    shard_names,
    shards_of_index,
)
from stoker.formats.code import is_source, why_not
from stoker.formats.hfconfig import MAX_CONFIG
from stoker.formats.index import MAX_INDEX, check_index, weights_of_index
from stoker.oci import mediatypes as mt
from stoker.oci.manifest import MAX_LAYERS
from stoker.planner.describe import model_config_of
from stoker.store.headers import read_safetensors, read_small
from stoker.store.viewnames import flaw_of

_TYPES: Final = {
    FileClass.SAFETENSORS: mt.DOCKER_SAFETENSORS,
    FileClass.CHAT_TEMPLATE: mt.DOCKER_CHAT_TEMPLATE,
    FileClass.LICENSE: mt.DOCKER_LICENSE,
}
_INDEX: Final = ".safetensors.index.json"


def plan_directory(folder: Path, *, inside: Path | None = None, code: bool = False) -> Plan:
    """All files of the tree, one layer each, sorted by their paths. Code and links stay out.

    With `code` Python source comes along; no engine is given it without consent. Links to files
    below `inside` are packaged as what they lead to: caches of downloads are full of them. Raises
    ModelNotFound, ParseError, UnsupportedFormat, StorageError.
    """
    if not folder.is_dir():
        raise ModelNotFound(f"{folder}: no such directory")
    wanted: list[Wanted] = []
    notes: list[str] = []
    for path, name in _walk(folder):
        source = code and is_source(name)
        why = "" if source else why_not(name)
        why = why or ("a link" if _leads_elsewhere(path, inside) else "") or _useless(path, name)
        if why:
            notes.append(f"left out {name}: {why}")
        else:
            notes += [f"took {name}: program code, never run without consent"] if source else []
            wanted.append(Wanted(path, name, _TYPES.get(file_class(name), mt.DOCKER_MODEL_FILE)))
    wanted.sort(key=lambda one: one.name)
    _check(folder, wanted)
    weights = [one for one in wanted if one.media_type == mt.DOCKER_SAFETENSORS]
    headers = {one.name: read_safetensors(one.path) for one in weights}
    _check_tensors(folder, wanted, headers)
    template = any(one.media_type == mt.DOCKER_CHAT_TEMPLATE for one in wanted)
    facts = facts_of_safetensors([*headers.values()], _config(folder), has_chat_template=template)
    config = model_config_of(facts)
    return Plan(tuple(wanted), config, mt.DOCKER_CONFIG_V02, (*notes, *facts.warnings))


def _leads_elsewhere(path: Path, inside: Path | None) -> bool:
    if not path.is_symlink():
        return False
    return inside is None or not path.resolve().is_relative_to(inside.resolve())


def _useless(path: Path, name: str) -> str:
    """Why nobody would have anything of it; empty if somebody would. Weights are never left out."""
    if file_class(name) is FileClass.SAFETENSORS:
        return ""
    # JSON is never empty: that is a download cut short, and refused as one.
    empty = not path.stat().st_size and not name.endswith(".json")
    return flaw_of(name) or ("it is empty" if empty else "")


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files and links to files below, with their relative paths; nothing hidden."""

    def fail(error: OSError) -> None:
        raise StorageError(f"{error.filename}: {error.strerror}") from error

    for place, directories, names in os.walk(folder, onerror=fail, followlinks=False):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            # Sockets and pipes are nobody's model; what a link leads to is checked by the caller.
            if not name.startswith(".") and path.is_file():
                yield path, path.relative_to(folder).as_posix()


def _check(folder: Path, wanted: list[Wanted]) -> None:
    check_names_differ(wanted)
    classes = {file_class(one.name) for one in wanted}
    for other in (FileClass.GGUF, FileClass.DDUF):
        if other in classes:
            raise UnsupportedFormat(
                f"{folder} has {other} files too: a model has one format",
                hint=f"package the {other} file by itself",
            )
    if FileClass.SAFETENSORS not in classes:
        raise ModelNotFound(
            f"{folder} has no .safetensors files",
            hint="links are not followed; `stoker import` takes models out of caches",
        )
    if len(wanted) > MAX_LAYERS:
        raise UnsupportedFormat(
            f"{folder} has {len(wanted)} files, at most {MAX_LAYERS} are packaged"
        )
    _check_shards(folder, {one.name: one for one in wanted})


def _check_shards(folder: Path, wanted: dict[str, Wanted]) -> None:
    """Every shard that a name or an index speaks of must be there."""
    for name, one in wanted.items():
        parent = name.rpartition("/")[0]
        siblings: tuple[str, ...] = ()
        if one.media_type == mt.DOCKER_SAFETENSORS:
            siblings = tuple(shard_names(one.path.name))
        elif name.endswith(_INDEX):
            siblings = shards_of_index(read_small(one.path, MAX_INDEX))
        missing = [s for s in siblings if (f"{parent}/{s}" if parent else s) not in wanted]
        if missing:
            raise ModelNotFound(
                f"{folder}: {name} speaks of {', '.join(missing[:3])}"
                f"{' and others' if len(missing) > 3 else ''}, not found",
                hint="was the download cut short?",
            )


def _check_tensors(
    folder: Path, wanted: list[Wanted], headers: Mapping[str, SafetensorsHeader]
) -> None:
    """Every tensor that an index names must be in the shards beside it."""
    for one in wanted:
        if not one.name.endswith(_INDEX):
            continue
        beside = {
            posixpath.basename(name): header
            for name, header in headers.items()
            if posixpath.dirname(name) == posixpath.dirname(one.name)
        }
        check_index(str(folder), weights_of_index(read_small(one.path, MAX_INDEX)), beside)


def _config(folder: Path) -> HfConfig | None:
    path = folder / "config.json"
    if not path.is_file():
        return None
    try:
        return parse_hfconfig(read_small(path, MAX_CONFIG))
    except ParseError as error:
        raise ParseError(f"{path}: {error.message}", hint=error.hint) from error
