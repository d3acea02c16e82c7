"""`unload`: free the memory of models that are not answering just now."""

from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing
from stoker.cli.output import put, put_json
from stoker.cli.session import Session


class Options(cli.Options):
    all: bool
    backend: str
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--all", help="every loaded model")
    parser.flag("--backend", default="", value="NAME", help="only on this engine")
    parser.switch("--json", help="print the count as JSON")


def run(options: Options, session: Session) -> int:
    name = f"{session.program} unload"
    if options.all and options.words:
        raise UsageError(f"'{name}' does not take MODEL when --all is specified.")
    if not options.all and not options.words:
        raise UsageError(f"'{name}' requires MODEL unless --all is specified.")
    with doing("Failed to unload models"):
        count = session.client().unload(
            options.words, backend=options.backend, everything=options.all
        )
    if options.json:
        put_json({"unloaded_runners": count})
    elif count:
        put(f"Unloaded {count} model(s).\n")
    else:
        put("No models are running.\n" if options.all else "No such model(s) running.\n")
    return 0
