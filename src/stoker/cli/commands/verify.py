"""`verify`: is every byte of the models still what it was?"""

import os
from pathlib import Path
from typing import Final

import msgspec

from stoker.base.units import decimal_size
from stoker.cli import parser as cli
from stoker.cli.errors import printable
from stoker.cli.local import open_local
from stoker.cli.lookup import find_here
from stoker.cli.meter import meter
from stoker.cli.names import shown
from stoker.cli.output import put, put_json
from stoker.cli.session import Session
from stoker.oci.digest import Digest
from stoker.store import Report, Store

_DAMAGED: Final = 1


class Options(cli.Options):
    repair: bool
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--repair", help="set damaged content aside, and take its models off the list")
    parser.switch("--json", help="print the result as JSON")
    parser.epilog = (
        "Reads everything, or all of one model: 0.6 s per GB. Exits with 1 when something is\n"
        "wrong. After --repair whatever is listed is whole; pull again what is gone."
    )


def run(options: Options, session: Session) -> int:
    store = open_local("verify")
    only = _content(store, options.words[0]) if options.words else None
    with meter("Verifying", _size(store, only)) as read:
        report = store.fsck(deep=True, repair=options.repair, only=only, hashed=read.add)
    if options.json:
        put_json(msgspec.to_builtins(report))
    else:
        _tell(report, options.repair, session.program)
    return 0 if report.clean else _DAMAGED


def _content(store: Store, name: str) -> frozenset[Digest]:
    model = find_here(store, name)
    return frozenset({model.id, *(blob.digest for blob in model.manifest.blobs)})


def _size(store: Store, only: frozenset[Digest] | None) -> int:
    """Bytes to be read."""
    if only is not None:
        return sum(p.stat().st_size for p in map(store.blobs.path_of, only) if p.exists())
    total = 0
    for directory, _, names in os.walk(store.root / "blobs"):
        total += sum(Path(directory, name).lstat().st_size for name in names)
    return total


def _tell(report: Report, repair: bool, program: str) -> None:  # noqa: FBT001
    for problem in report.problems:
        verb = "repaired" if problem.repaired else "damaged"
        put(printable(f"{verb}: {_where(problem.where)}: {problem.what}\n"))
    size = decimal_size(report.bytes)
    if not report.problems:
        put(f"{report.models} model(s) are whole: {size} read\n")
    elif not repair:
        put(f"{len(report.problems)} problem(s); `{program} verify --repair` sets them aside\n")
    else:
        put("What is listed now is whole; pull again what is missing\n")


def _where(text: str) -> str:
    return text if text.startswith("sha256:") else shown(text)
