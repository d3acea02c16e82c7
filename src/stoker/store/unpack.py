"""Layers that are tar archives, into a view. Only files and directories; nothing is followed.

An archive is read twice: everything about it is decided before the first byte is written, and
what is then written goes into a directory that nobody else knows yet.
"""

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from stoker.base.errors import CorruptStore, ParseError, UnsupportedFormat
from stoker.formats.code import why_not
from stoker.formats.tar import Member, MemberKind, TarParser
from stoker.oci.descriptor import Descriptor
from stoker.store.below import create_below, place_below
from stoker.store.layout import Layout
from stoker.store.partial import is_present

# One layer per file allows as many; see `oci/manifest`.
MAX_FILES: Final = 10_000
# Text compresses 3 to 10 times, weights not at all; what grows more is a bomb.
MAX_RATIO: Final = 100
# Below this even a bomb does no harm, and small texts full of blanks compress well. Bytes.
FREE_SIZE: Final = 64 * 1024 * 1024
_CHUNK: Final = 1024 * 1024
_HINT: Final = "tell the publisher of the model; nothing was unpacked"


@dataclass(frozen=True, slots=True)
class Archive:
    """A layer to be unpacked; `names` are its files, with `/`, as the view will have them."""

    descriptor: Descriptor
    names: tuple[str, ...]


def read_archives(layout: Layout, layers: Sequence[Descriptor]) -> tuple[Archive, ...]:
    """What is in these layers. Blocks for reading all of them.

    Names are as they stand, without `./` before them: the caller checks them, all together. Program
    code is left out. Raises UnsupportedFormat for links, devices, bombs and compressions without a
    reader, ParseError, StorageError.
    """
    for layer in layers:
        if not is_present(layout, layer.digest, layer.size):
            raise CorruptStore(
                f"{layer.digest} is not here in full length",
                hint="`stoker verify --repair`, then pull the model again",
            )
    return tuple(Archive(layer, tuple(_names(layout, layer))) for layer in layers)


def unpack(layout: Layout, archive: Archive, target: int) -> None:
    """Write the files below the open directory `target`, none of which may be there.

    Raises as `read_archives`, and OSError.
    """
    wanted = set(archive.names)
    for name, content in _files(layout, archive.descriptor):
        if name not in wanted:
            for _ in content:
                pass
            continue
        with (
            place_below(target, name) as (folder, last),
            os.fdopen(create_below(folder, last, 0o444), "wb") as file,
        ):
            for piece in content:
                file.write(piece)


def _names(layout: Layout, layer: Descriptor) -> Iterator[str]:
    for count, (name, content) in enumerate(_files(layout, layer)):
        if count == MAX_FILES:
            raise UnsupportedFormat(
                f"refused: the archive {layer.digest} has more than {MAX_FILES} files", hint=_HINT
            )
        for _ in content:
            pass
        if not why_not(name):
            yield name


def _files(layout: Layout, layer: Descriptor) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and content of each file; the content must be read before the next one is asked for."""
    parser = TarParser()
    events = _events(parser, layout.blob(layer.digest), layer)
    for event in events:
        if isinstance(event, Member):
            _check(event, layer)
            if event.kind is MemberKind.FILE:
                yield _plain(event.name), _content(events, event.size)
    parser.close()


def _content(events: Iterator[Member | bytes], size: int) -> Iterator[bytes]:
    while size > 0:
        piece = next(events, None)
        if not isinstance(piece, bytes):
            return  # cut short: closing the parser says so
        size -= len(piece)
        yield piece


def _check(member: Member, layer: Descriptor) -> None:
    if member.kind not in (MemberKind.FILE, MemberKind.DIRECTORY):
        raise UnsupportedFormat(
            f"refused: the archive {layer.digest} has {member.name[:100]!a},"
            f" which is {member.kind.value}",
            hint=_HINT,
        )


def _plain(name: str) -> str:
    """Without the `./` that `tar -C dir .` writes; everything else stays, to be refused."""
    while name.startswith("./"):
        name = name[2:]
    return name


def _events(parser: TarParser, path: Path, layer: Descriptor) -> Iterator[Member | bytes]:
    limit = max(FREE_SIZE, MAX_RATIO * layer.size)
    total = 0
    with path.open("rb") as file, _decompressed(file, layer) as stream:
        while chunk := _read(stream, layer):
            total += len(chunk)
            if total > limit:
                raise UnsupportedFormat(
                    f"refused: the archive {layer.digest} grows more than {MAX_RATIO} times"
                    " when it is unpacked",
                    hint=_HINT,
                )
            yield from parser.feed(chunk)


def _read(stream: BinaryIO, layer: Descriptor) -> bytes:
    try:
        return stream.read(_CHUNK)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ParseError(f"the archive {layer.digest} is no gzip file: {error}") from error


@contextlib.contextmanager
def _decompressed(file: BinaryIO, layer: Descriptor) -> Iterator[BinaryIO]:
    _, _, compression = layer.media_type.rpartition(".")[2].partition("+")
    if not compression:
        yield file
    elif compression == "gzip":
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream  # type: ignore[misc]  # a BinaryIO in all but name
    else:
        raise UnsupportedFormat(
            f"the layer {layer.digest} is compressed with {compression[:20]!a}, which Stoker does"
            " not read",
            hint="ask the publisher for an uncompressed or gzip version",
        )
