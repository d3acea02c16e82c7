"""`version`: ours and the daemon's."""

import platform
import sys

from stoker import __version__
from stoker.base.errors import RemoteError
from stoker.cli import parser as cli
from stoker.cli.commands.status import KIND
from stoker.cli.output import put, put_json
from stoker.cli.session import Session

# Go's names, which everybody around Docker reads.
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class Options(cli.Options):
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--json", help="print as JSON")


def run(options: Options, session: Session) -> int:
    client = session.client(start=False)
    try:
        server = client.version()
    except RemoteError:
        server = ""
    machine = platform.machine()
    system = f"{sys.platform}/{_MACHINES.get(machine, machine)}"
    if options.json:
        put_json(
            {
                "client": {"version": __version__, "platform": system},
                "server": {"version": server or None, "endpoint": str(client.endpoint)},
            }
        )
        return 0
    missing = "(not reachable)"
    put(
        f"Client:\n Version:    {__version__}\n OS/Arch:    {system}\n\n"
        f"Server:\n Version:    {server or missing}\n Engine:     {KIND}\n"
    )
    return 0
