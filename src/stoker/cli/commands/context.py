"""`context`: names for addresses of services, and which of them commands ask."""

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import to_builtins

from stoker.base.errors import Conflict, InvalidSetting
from stoker.base.paths import paths_of
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, say
from stoker.cli.filenames import file_path
from stoker.cli.output import put, put_json, put_table
from stoker.cli.session import Session
from stoker.client.contexts import DEFAULT, Context, Contexts, Tls, read_contexts
from stoker.client.endpoint import VARIABLES, parse_endpoint

HEADER: Final = ("NAME", "HOST", "DESCRIPTION", "CURRENT")
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


class Options(cli.Options):
    host: str
    tls: bool
    tls_skip_verify: bool
    tls_ca_cert: str
    description: str
    json: bool


def arguments(parser: cli.Parser) -> None:
    flag, switch = parser.flag, parser.switch
    flag("--host", default="", value="URL", help="create: http://host:port or unix:///path")
    flag("--description", default="", value="TEXT", help="create: what it is, for `ls`")
    switch("--tls", help="create: speak TLS")
    switch("--tls-skip-verify", help="create: do not check its certificate")
    flag("--tls-ca-cert", default="", value="FILE", help="create: trust this authority")
    switch("--json", help="ls: print as JSON")
    program = parser.program
    parser.epilog = (
        "What each action does:\n"
        "  create NAME --host URL   remember an address\n"
        "  use NAME                 ask that one from now on; `default` is this machine's own\n"
        "  ls                       all of them (also list)\n"
        "  show                     the name of the one in use\n"
        "  inspect NAME...          as JSON\n"
        "  rm NAME...               forget (also remove)\n\n"
        "STOKER_HOST and MODEL_RUNNER_HOST come before any context:\n"
        f"  {program} context create gpu --host http://gpu-box:12434\n"
        f"  {program} context use gpu"
    )


def candidates(words: list[str]) -> list[str]:
    """Names that may follow these words."""
    try:
        known = sorted(_read().contexts)
    except InvalidSetting:
        return []  # the shell waits for an answer, not for an error
    match words[:1]:
        case ["use"]:
            return [DEFAULT, *known] if len(words) == 1 else []
        case ["rm" | "remove" | "inspect"]:
            return [name for name in known if name not in words]
    return []


def run(options: Options, _session: Session) -> int:
    actions: dict[str, Callable[[list[str], Options], None]] = {
        "create": _create,
        "use": _use,
        "ls": _list,
        "list": _list,
        "show": _show,
        "inspect": _inspect,
        "rm": _remove,
        "remove": _remove,
    }
    word, *names = options.words
    if word not in actions:
        raise UsageError(f"unknown action: {word}", hint="create, use, ls, show, inspect or rm")
    actions[word](names, options)
    return 0


def _create(names: list[str], options: Options) -> None:
    name = _one(names, "create")
    if name == DEFAULT or not _NAME.fullmatch(name):
        why = "is reserved" if name == DEFAULT else "must be letters, digits, '_', '.' and '-'"
        raise InvalidSetting(f'a context cannot be called "{name}": the name {why}')
    if not options.host:
        raise UsageError("--host is required", hint="like --host http://gpu-box:12434")
    parse_endpoint(options.host, origin="--host", tls=options.tls)
    authority = options.tls_ca_cert and str(file_path(options.tls_ca_cert).absolute())
    if authority and not Path(authority).is_file():
        raise InvalidSetting(f"--tls-ca-cert: there is no file {authority}")
    made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    tls = Tls(options.tls, options.tls_skip_verify, authority)
    with _changing() as contexts:
        if name in contexts.contexts:
            raise Conflict(f'context "{name}" already exists', hint="remove it first, or use it")
        contexts.contexts[name] = Context(options.host, tls, options.description, made)
    put(f'Context "{name}" created.\n')


def _use(names: list[str], _options: Options) -> None:
    name = _one(names, "use")
    with _changing() as contexts:
        if name != DEFAULT:
            contexts.find(name)
        contexts.current = "" if name == DEFAULT else name
    put(f'Current context is now "{name}".\n')
    _warn()


def _list(names: list[str], options: Options) -> None:
    if names:
        raise UsageError(f"ls accepts no arguments, got {names[0]!r}")
    contexts = _read()
    if options.json:
        put_json([_described(name, contexts) for name in sorted(contexts.contexts)])
        return
    rows = [[DEFAULT, "(auto-detect)", "The service of this machine", _mark(contexts, "")]]
    rows += [
        [name, context.host, context.description, _mark(contexts, name)]
        for name, context in sorted(contexts.contexts.items())
    ]
    put_table(HEADER, rows)
    _warn()


def _show(names: list[str], _options: Options) -> None:
    if names:
        raise UsageError(f"show accepts no arguments, got {names[0]!r}", hint="inspect NAME")
    put(f"{_read().current or DEFAULT}\n")
    _warn()


def _inspect(names: list[str], _options: Options) -> None:
    contexts = _read()
    put_json([_described(name, contexts) for name in names or [_one(names, "inspect")]])


def _remove(names: list[str], _options: Options) -> None:
    for name in names or [_one(names, "rm")]:
        with _changing() as contexts:
            contexts.find(name)
            if name == contexts.current:
                raise Conflict(
                    f'context "{name}" is currently active; switch to another context first',
                    hint="stoker context use default",
                )
            del contexts.contexts[name]
        put(f'Context "{name}" removed.\n')


def _one(names: list[str], action: str) -> str:
    if len(names) != 1:
        raise UsageError(f"'context {action}' needs the name of a context, got {len(names)}")
    return names[0]


def _described(name: str, contexts: Contexts) -> dict[str, object]:
    if name == DEFAULT:
        return {"name": DEFAULT, "host": "", "current": not contexts.current}
    value: dict[str, object] = to_builtins(contexts.find(name))
    return {"name": name, **value, "current": name == contexts.current}


def _mark(contexts: Contexts, name: str) -> str:
    return "*" if contexts.current == name else ""


def _warn() -> None:
    for variable in VARIABLES:
        if os.environ.get(variable):
            say(f'Warning: {variable}="{os.environ[variable]}" overrides the active context.')
            return


def _read() -> Contexts:
    return read_contexts(paths_of().contexts)


def _changing() -> AbstractContextManager[Contexts]:
    # The store's way to replace a file; only a change pays for its import.
    from stoker.client.context_file import changing  # noqa: PLC0415

    return changing(paths_of().contexts)
