"""`rm`: untag or delete models, in the order given, until one fails."""

from stoker.base.errors import DaemonError
from stoker.cli import parser as cli
from stoker.cli.errors import refusal
from stoker.cli.output import put
from stoker.cli.session import Session


class Options(cli.Options):
    force: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("-f", "--force", help="remove it with all its tags")


def run(options: Options, session: Session) -> int:
    client = session.client()
    for name in options.words:
        try:
            done = client.remove(name, force=options.force)
        except DaemonError as error:
            missing = f"no such model: {name}"
            why = missing if error.status == 404 else refusal(f"removing {name}", error)
            error.args = (f"Failed to remove model: {why}",)
            if error.status == 404:
                error.hint = f"{session.program} list shows what is here"
            raise
        put("".join(f"{verb}: {what}\n" for step in done for verb, what in step.items()))
    return 0
