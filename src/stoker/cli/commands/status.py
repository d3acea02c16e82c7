"""`status`: is the daemon there, and which engines has it?"""

from typing import Final

from msgspec import to_builtins

from stoker.base.errors import DaemonError, Unreachable
from stoker.base.paths import paths_of
from stoker.cli import parser as cli
from stoker.cli.errors import FAILED, OK, say
from stoker.cli.output import put, table
from stoker.cli.session import Session
from stoker.client.client import Client
from stoker.client.runners import Runners
from stoker.client.running import running
from stoker.wire.runners import EngineBuild

HEADER: Final = ("BACKEND", "STATUS", "DETAILS")
_ORDER: Final = ("Running", "Error", "Not Installed", "Installing")
# Neither Docker Desktop nor a container: Docker Model Runner's name for a server of one's own.
KIND: Final = "Docker Engine (Manual Install)"


class Options(cli.Options):
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--json", help="one line for programs; exits with 0")
    parser.epilog = "Exits with 1 when it is not running."


def run(options: Options, session: Session) -> int:
    client = session.client(start=False)
    try:
        backends = client.status()
    except Unreachable:
        backends = None
    if options.json:
        put(_as_json(client, backends, _builds(client) if backends else []))
        return OK
    if backends is None:
        put("Docker Model Runner is not running\n")
        say(f"hint: start it with: {session.program} start-runner")
        return FAILED
    put("Docker Model Runner is running\n\n" + table(HEADER, rows(backends)))
    return OK


def rows(backends: dict[str, str]) -> list[list[str]]:
    """Running ones first; what follows the colon of a status is its details."""
    split = [(name, *text.partition(": ")[::2]) for name, text in backends.items()]
    return [[*row] for row in sorted(split, key=lambda row: (_rank(row[1]), row[0]))]


def _rank(status: str) -> int:
    return _ORDER.index(status) if status in _ORDER else len(_ORDER)


def _builds(client: Client) -> list[EngineBuild]:
    """All installed builds; none where the server does not know the word."""
    try:
        return Runners(client).builds()
    except DaemonError:
        return []


def _as_json(client: Client, backends: dict[str, str] | None, builds: list[EngineBuild]) -> str:
    import json  # noqa: PLC0415  # one line with DMR's key order; msgspec would need a struct

    # Who reads this wants to send requests, and few programs speak to a socket file.
    found = running(paths_of()) if client.endpoint.may_start else None
    base = f"{(found and found.address) or client.endpoint}/v1/"
    value: dict[str, object] = {
        "running": backends is not None,
        "backends": backends or {},
        "kind": KIND,
        "endpoint": base,
        "endpointHost": base,
    }
    if builds:  # Docker Model Runner's object ends above
        value["builds"] = [to_builtins(build) for build in builds]
    return json.dumps(value, separators=(",", ":")) + "\n"
