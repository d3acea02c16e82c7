"""`status`: is the daemon there, which engines has it, and in which builds?"""

from datetime import datetime
from typing import Final

from msgspec import to_builtins

from stoker.base.errors import DaemonError, Unreachable
from stoker.cli import parser as cli
from stoker.cli.addresses import for_containers, for_programs
from stoker.cli.errors import FAILED, OK, say
from stoker.cli.output import age, put, put_table
from stoker.cli.session import Session
from stoker.client.client import Client
from stoker.client.endpoint import Endpoint, endpoint_of
from stoker.wire.runners import EngineBuild

HEADER: Final = ("BACKEND", "VERSION", "BUILD", "INSTALLED", "STATE")
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
    builds = _builds(client) if backends else []
    if options.json:
        put(_as_json(client, backends, builds))
        return OK
    if backends is None:
        put("Docker Model Runner is not running\n")
        _explain(endpoint_of(), session.program)
        return FAILED
    put("Docker Model Runner is running\n\nStatus:\n" + lines(backends))
    if builds:
        put("\n")
        put_table(HEADER, rows(builds))
    return OK


def _explain(endpoint: Endpoint, program: str) -> None:
    if endpoint.may_start:
        say(f"hint: start it with: {program} start-runner")
        return
    say(f"{endpoint.origin} names {endpoint}, where nothing answers")
    if endpoint.undo:
        say(f"hint: to ask this machine's own: {endpoint.undo}")


def lines(backends: dict[str, str]) -> str:
    """One for each engine, running ones first: `vllm: running vllm version: 0.32.0`."""
    split = [(name, *text.partition(": ")[::2]) for name, text in backends.items()]
    ordered = sorted(split, key=lambda one: (_rank(one[1]), one[0]))
    return "".join(f"{name}: {_described(name, *rest)}\n" for name, *rest in ordered)


def _described(name: str, status: str, details: str) -> str:
    if status == "Running" and details:
        # `llama.cpp b11549 (native), not confined`; which build that is, the table below tells.
        version, _, build = details.removeprefix(f"{name} ").partition(" (")
        return f"running {name} version: {version}{build.partition(')')[2]}"
    return f"{status.lower()}: {details}" if details else status.lower()


def rows(builds: list[EngineBuild]) -> list[list[str]]:
    """As they come: of each engine the one in use first."""
    return [
        [build.backend, build.version, build.source, _installed(build), _state(build)]
        for build in builds
    ]


def _installed(build: EngineBuild) -> str:
    return age(int(datetime.fromisoformat(build.made).timestamp())) if build.made else ""


def _state(build: EngineBuild) -> str:
    if build.retired:
        return f"given up: {build.retired}"
    return "in use" if build.active else ""


def _rank(status: str) -> int:
    return _ORDER.index(status) if status in _ORDER else len(_ORDER)


def _builds(client: Client) -> list[EngineBuild]:
    """All installed builds; none where the server does not know the word."""
    try:
        return client.builds()
    except DaemonError:
        return []


def _as_json(client: Client, backends: dict[str, str] | None, builds: list[EngineBuild]) -> str:
    import json  # noqa: PLC0415  # one line with DMR's key order; msgspec would need a struct

    value: dict[str, object] = {
        "running": backends is not None,
        "backends": backends or {},
        "kind": KIND,
        # As in Docker Model Runner: the first for containers, the second for this machine.
        "endpoint": f"{for_containers(client.endpoint)}/v1/",
        "endpointHost": f"{for_programs(client.endpoint)}/v1/",
    }
    if builds:  # Docker Model Runner's object ends above
        value["builds"] = [to_builtins(build) for build in builds]
    return json.dumps(value, separators=(",", ":")) + "\n"
