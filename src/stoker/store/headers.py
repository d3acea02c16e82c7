"""Headers of model files on this disk, through the bounded parsers of `formats`."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from stoker.base.errors import ModelNotFound, ParseError, StorageError, UserError
from stoker.formats import (
    GgufHeader,
    ModelFacts,
    Parser,
    SafetensorsHeader,
    facts_of_gguf,
    facts_of_safetensors,
    gguf_header,
    parse_hfconfig,
    run,
)
from stoker.formats import safetensors as st
from stoker.formats.hfconfig import MAX_CONFIG
from stoker.formats.index import INDEX, MAX_INDEX, check_index, weights_of_index
from stoker.formats.need import MAX_TOTAL

_T = TypeVar("_T")


def read_gguf(path: Path) -> GgufHeader:
    """The header of a GGUF file; also checks that the file is as long as its header says.

    Raises ModelNotFound, UserError, StorageError, ParseError.
    """
    return _read(path, lambda size: gguf_header(file_size=size), MAX_TOTAL)


def read_safetensors(path: Path) -> SafetensorsHeader:
    """Likewise of a safetensors file."""
    return _read(path, lambda size: st.safetensors_header(file_size=size), st.MAX_TOTAL)


def gguf_facts(*paths: Path) -> ModelFacts:
    """What all shards together are. Raises as `read_gguf`."""
    headers = [read_gguf(path) for path in paths]
    count = headers[0].metadata.get("split.count")
    if isinstance(count, int) and count > 1 and len(paths) == 1:
        raise ModelNotFound(
            f"{paths[0]} is one of {count} shards, and its name does not say which",
            hint="shards are found by their names: model-00001-of-00003.gguf",
        )
    try:
        return facts_of_gguf(*headers)
    except ParseError as error:
        raise type(error)(f"{paths[0]}: {error.message}", hint=error.hint) from error


def directory_facts(folder: Path, name: str) -> ModelFacts:
    """What the safetensors and the config.json of a directory are. Raises as `read_gguf`.

    Raises Incomplete when there is less of the model `name` than its index names.
    """
    headers = {path.name: read_safetensors(path) for path in sorted(folder.glob("*.safetensors"))}
    config, index = folder / "config.json", folder / INDEX
    if index.is_file():
        check_index(name, weights_of_index(read_small(index, MAX_INDEX)), headers)
    shape = parse_hfconfig(read_small(config, MAX_CONFIG)) if config.is_file() else None
    return facts_of_safetensors([*headers.values()], shape)


def read_small(path: Path, most: int) -> bytes:
    """All of a file; of one with more than `most` bytes one too many. Raises StorageError."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def check_file(path: Path, what: str = "file") -> os.stat_result:
    """The status of a non-empty regular file. Raises ModelNotFound, UserError, StorageError."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise ModelNotFound(f"{path}: no such {what}", hint="check the path") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path} is a directory, a {what} is wanted")
    if not stat.S_ISREG(status.st_mode):
        # A pipe would block for ever, a device never end.
        raise UserError(f"{path} is not a regular file")
    if not status.st_size:
        raise UserError(f"{path} is empty", hint="was its download cut short?")
    return status


def _read(path: Path, parser: Callable[[int], Parser[_T]], most: int) -> _T:
    check_file(path)
    try:
        with path.open("rb") as file:
            number = file.fileno()
            size = os.fstat(number).st_size
            return run(
                parser(size), lambda at, length: os.pread(number, length, at), max_bytes=most
            )
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    except ParseError as error:
        raise type(error)(
            f"{path}: {error.message}", offset=error.offset, hint=error.hint
        ) from error
