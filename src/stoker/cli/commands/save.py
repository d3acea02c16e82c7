"""`save`: models as one file, to carry to a machine without a network."""

import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stoker.base.errors import StorageError, UserError
from stoker.base.units import decimal_size
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing, say
from stoker.cli.filenames import file_path
from stoker.cli.local import local_root
from stoker.cli.lookup import find_here
from stoker.cli.meter import meter
from stoker.cli.session import Session
from stoker.cli.typed import target
from stoker.distribution.archive import Saved, archive_chunks, archive_size, layout_parts
from stoker.library import LocalModel
from stoker.oci.digest import Digest
from stoker.store import Store


class Options(cli.Options):
    output: str | None


def arguments(parser: cli.Parser) -> None:
    parser.flag("-o", "--output", value="FILE", help="where to, or - for the standard output")
    parser.epilog = (
        "The file is a tar of an OCI image layout: each part of the models once, with their\n"
        "names. `load` takes it in; other tools read it as oci-archive:FILE:NAME."
    )


def run(options: Options, session: Session) -> int:
    if not options.output:
        raise UsageError("no file to write to", hint=f"{session.program} save MODEL -o FILE")
    root = local_root()
    if root is None:
        return _save_elsewhere(options, session)
    store = Store.open(root)
    models = _find(store, options.words)
    digests = [blob.digest for model in models for blob in store.manifest(model.id).blobs]
    with store.lease(*(model.id for model in models), *digests):
        saved = [Saved(model.descriptor, _names(model, options.words)) for model in models]
        parts = layout_parts(store, saved)
        total = archive_size(parts)
        _write(options.output, archive_chunks(parts), total)
    say(f"Saved {len(models)} model(s), {decimal_size(total)}")
    return 0


def _save_elsewhere(options: Options, session: Session) -> int:
    if len(options.words) > 1:
        raise UserError(
            "a service on another machine sends one model at a time, and without its name",
            hint="save them one by one, or run this on that machine",
        )
    with doing("Failed to save model"):
        _write(options.output or "-", session.client().export(options.words[0]), 0)
    return 0


def _find(store: Store, names: Iterable[str]) -> list[LocalModel]:
    found: dict[Digest, LocalModel] = {}
    for name in names:
        model = find_here(store, name)
        found.setdefault(model.id, model)
    return list(found.values())


def _names(model: LocalModel, asked: Iterable[str]) -> tuple[str, ...]:
    """Those of its names that were asked for; all of them when it was asked for by id."""
    wanted = {str(target(word).tagged) for word in asked if not word.startswith("sha256:")}
    return tuple(name for name in model.names if name in wanted) or model.names


def _write(output: str, chunks: Iterable[bytes], total: int) -> None:
    with _sink(output) as file, meter("Saving", total) as shown:
        for chunk in chunks:
            file.write(chunk)
            shown.add(len(chunk))


@contextmanager
def _sink(output: str) -> Iterator[BinaryIO]:
    """The file appears under its name when it is whole; a pipe or device is written to as it is."""
    if output == "-":
        if sys.stdout.isatty():
            raise UsageError("this is a terminal, and a model is no text", hint="use -o FILE")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = file_path(output)
    if path.is_dir():
        raise UserError(f"{path} is a directory", hint="name the file to write")
    try:
        with _replacing(path) if path.is_file() or not path.exists() else path.open("wb") as file:
            yield file
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside it until the end; a link stays one. Nobody else writes to a file so called."""
    path = path.resolve()
    partial = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
