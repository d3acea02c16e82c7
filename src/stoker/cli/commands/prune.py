"""`prune`: free what no model needs."""

from stoker.base.units import decimal_size
from stoker.cli import parser as cli
from stoker.cli.local import open_local
from stoker.cli.output import put, put_json
from stoker.cli.session import Session


class Options(cli.Options):
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--json", help="print the result as JSON")
    parser.epilog = (
        "Removes content that no model refers to, and downloads that nobody has continued for a\n"
        "week. Models, and transfers under way, are left alone."
    )


def run(options: Options, session: Session) -> int:
    del session
    done = open_local("prune").gc()
    if options.json:
        put_json({"removed": list(done.removed), "bytes": done.bytes})
    else:
        put(f"Removed {len(done.removed)} blob(s)\n")
        put(f"Total reclaimed space: {decimal_size(done.bytes)}\n")
    return 0
