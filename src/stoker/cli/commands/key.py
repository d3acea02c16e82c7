"""`key`: make, list and remove the API keys of this machine's daemon.

They are a file of the daemon's user, and this command changes that file: no key, however mighty,
can make another one through the network.
"""

import os
from typing import Final

from stoker.access import KeyFile
from stoker.base.errors import StokerError
from stoker.base.paths import paths_of
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, say
from stoker.cli.local import require_local
from stoker.cli.output import age, put, put_json, put_table
from stoker.cli.session import Session
from stoker.observe.audit import AuditLog, Change, user_name

HEADER: Final = ("NAME", "MODELS", "AT A TIME", "CREATED")


class Options(cli.Options):
    model: list[str]
    concurrency: int
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.many(
        "--model", value="NAME", help="add: only for this model; may be given several times"
    )
    parser.flag(
        "--concurrency",
        kind=int,
        default=0,
        value="N",
        help="add: at most so many requests at a time (any)",
    )
    parser.switch("--json", help="list: for programs")
    parser.epilog = (
        "A key with --model can use these models and manage nothing. Changes count at once.\n"
        "Programs send it as their API key; this command line takes it from STOKER_API_KEY."
    )


def candidates(words: list[str]) -> list[str]:
    """Names of keys, where they may stand."""
    if words[:1] not in (["rm"], ["remove"]):
        return []
    try:
        names = [key.name for key in KeyFile(paths_of().keys).read()]
    except StokerError:
        return []  # the shell waits for an answer, not for an error
    return [name for name in names if name not in words]


def run(options: Options, _session: Session) -> int:
    require_local("keys are made on the machine that they are for")
    paths = paths_of()
    keys, audit = KeyFile(paths.keys), AuditLog(paths.audit)
    match options.words:
        case ["add", name]:
            _add(keys, name, options)
            what = {"models": options.model, "concurrency": options.concurrency}
            audit.note(Change(_user(), f"key add {name}", "ok", what={**what}))
        case ["list" | "ls"]:
            _list(keys, options)
        case ["rm" | "remove", first, *more]:
            for name in (first, *more):
                keys.remove(name)
                audit.note(Change(_user(), f"key rm {name}", "ok"))
                put(f"Removed: {name}\n")
        case _:
            raise UsageError(
                f"'stoker key {' '.join(options.words)}' is not complete or not known",
                hint="one of: stoker key add NAME, stoker key list, stoker key rm NAME...",
            )
    return 0


def _user() -> str:
    return f"user {user_name(os.getuid())}"


def _add(keys: KeyFile, name: str, options: Options) -> None:
    secret = keys.add(name, options.model, options.concurrency)
    put(f"{secret}\n")
    say("Keep it: it is not stored here and is shown only this once.")


def _list(keys: KeyFile, options: Options) -> None:
    found = keys.read()
    if options.json:
        put_json([{"name": k.name, "models": k.models, "concurrency": k.concurrency,
                   "created": k.created} for k in found])  # fmt: skip
        return
    rows = [
        (key.name, ", ".join(key.models) or "all", str(key.concurrency or "any"), age(key.created))
        for key in found
    ]
    put_table(HEADER, rows)
