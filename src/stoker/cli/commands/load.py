"""`load`: models out of a file that `save` wrote, or that Docker Model Runner exported."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from stoker.base.errors import NotFound, StokerError, StorageError, UserError
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing, say
from stoker.cli.filenames import file_path
from stoker.cli.local import local_root
from stoker.cli.meter import Meter, meter
from stoker.cli.names import shown
from stoker.cli.output import put, short_id
from stoker.cli.session import Session
from stoker.cli.typed import new_name
from stoker.distribution.loading import Loaded, load
from stoker.oci.reference import Reference
from stoker.store import Store

_CHUNK: Final = 1024 * 1024


class Options(cli.Options):
    input: str


def arguments(parser: cli.Parser) -> None:
    parser.flag("-i", "--input", value="FILE", help="where from (default: -)", default="-")
    parser.epilog = (
        "NAME is for a file with one model that does not say its name, such as an export of\n"
        "Docker Model Runner. Nothing is listed before the whole file has been checked."
    )


def run(options: Options, session: Session) -> int:
    reference = new_name(options.words[0]) if options.words else None
    root = local_root()
    with _source(options.input) as (file, size), meter("Loading", size) as moved:
        if root is None:
            return _load_elsewhere(session, file, moved, reference)
        store = Store.open(root)
        models = asyncio.run(load(store, _pieces(file), read=moved.add))
    if reference:
        models = (_named(store, models, reference),)
    for model in models:
        for name in model.names:
            put(f"Loaded {shown(name)}: {short_id(model.manifest.digest)}\n")
        if not model.names:
            identifier = short_id(model.manifest.digest)
            put(f"Loaded {identifier}\n")
            say(f"hint: it has no name yet: {session.program} tag {identifier} NAME")
    return 0


def _named(store: Store, models: tuple[Loaded, ...], reference: Reference) -> Loaded:
    if len(models) != 1:
        raise UserError(
            f"the file has {len(models)} models, NAME can be but one of them;"
            " they were loaded under their own names",
            hint="leave NAME out; tag gives each of them one more",
        )
    store.tag(str(reference.tagged), models[0].manifest)
    return Loaded(models[0].manifest, (*models[0].names, str(reference.tagged)))


def _load_elsewhere(
    session: Session, file: BinaryIO, moved: Meter, reference: Reference | None
) -> int:
    if reference:
        raise UserError(
            "the service is on another machine: it names what it loads itself",
            hint="leave NAME out, then `list` and `tag`",
        )

    def pieces() -> Iterator[bytes]:
        while chunk := os.read(file.fileno(), _CHUNK):
            moved.add(len(chunk))
            yield chunk

    with doing("Failed to load model"):
        session.client().load(pieces())
    put("Model loaded successfully\n")
    return 0


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """What has come so far. The disk is waited for in a thread, a pipe without: that may be long,
    and Ctrl-C ends no thread.
    """
    number = file.fileno()
    await _until_readable(number)
    while chunk := await asyncio.to_thread(os.read, number, _CHUNK):
        yield chunk
        await _until_readable(number)


async def _until_readable(number: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(number, ready.set)
    except PermissionError:
        return  # a file on a disk: there is nothing to wait for
    try:
        await ready.wait()
    finally:
        loop.remove_reader(number)


@contextmanager
def _source(text: str) -> Iterator[tuple[BinaryIO, int]]:
    """The file and its size in bytes, 0 when unknown."""
    if text == "-":
        if sys.stdin.isatty():
            raise UsageError("nothing comes from the standard input", hint="use -i FILE")
        yield sys.stdin.buffer, 0
        return
    path = file_path(text)
    try:
        with path.open("rb", buffering=0) as file:
            yield file, path.stat().st_size
    except FileNotFoundError as error:
        raise NotFound(f"{path}: no such file") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    except StokerError as error:
        if error.hint is None:
            error.hint = f"{path} is left as it was; nothing of it was listed"
        raise
