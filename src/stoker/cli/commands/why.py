"""`why`: what the scheduler decided about a model of late, and for what reason."""

from datetime import UTC, datetime

from stoker.cli import parser as cli
from stoker.cli.errors import doing
from stoker.cli.names import shown
from stoker.cli.output import put, put_json, put_table
from stoker.cli.session import Session
from stoker.wire.plan import Happening


class Options(cli.Options):
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--json", help="print what the API says")


def run(options: Options, session: Session) -> int:
    name = options.words[0] if options.words else ""
    with doing("Failed to ask why"):
        entries = session.client().why(name)
    if options.json:
        put_json(entries)
    elif entries:
        put_table(("TIME", "MODEL", "WHAT", "WHY"), [_row(entry) for entry in entries])
    else:
        put("Nothing was decided since the service was started.\n")
    return 0


def _row(entry: Happening) -> list[str]:
    when = datetime.fromtimestamp(entry.time, UTC).astimezone()
    name = entry.model if entry.model.startswith("sha256:") else shown(entry.model.lower())
    return [f"{when:%H:%M:%S}", name, entry.what, entry.why]
