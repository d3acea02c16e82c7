"""`doctor`: what this machine offers to models, and what would make them faster."""

from typing import Final

from stoker.cli import parser as cli
from stoker.cli.errors import doing, printable
from stoker.cli.output import put, put_json
from stoker.cli.session import Session

_SIGNS: Final = {"ok": "+", "note": "-", "problem": "!"}


class Options(cli.Options):
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--json", help="print what the API says")
    parser.epilog = "+ is fine, - is worth knowing, ! wants something done: -> says what."


def run(options: Options, session: Session) -> int:
    with doing("Failed to examine this machine"):
        found = session.client().doctor()
    if options.json:
        put_json(found)
        return 0
    width = max((len(check.topic) for check in found), default=0)
    for check in found:
        put(
            printable(f"{_SIGNS.get(check.state, '?')} {check.topic:<{width}}  {check.text}") + "\n"
        )
        if check.advice:
            put(printable(f"  {'':<{width}}  -> {check.advice}") + "\n")
    return 0
