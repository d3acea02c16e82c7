"""`purge`: remove every model, after asking."""

import sys

from stoker.cli import parser as cli
from stoker.cli.errors import doing, say
from stoker.cli.session import Session


class Options(cli.Options):
    force: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("-f", "--force", help="do not ask")


def run(options: Options, session: Session) -> int:
    if not options.force and not _agreed():
        say("Operation cancelled.")
        return 0
    client = session.client()
    with doing("Failed to purge models"):
        client.unload(everything=True)
        client.purge()
    return 0


def _agreed() -> bool:
    say("WARNING! This will remove the entire models directory.")
    say("Are you sure you want to continue? [y/N] ", end="")
    return sys.stdin.readline().strip() in {"y", "Y"}
