"""`df`: disk space of models and engines."""

from typing import Final

from stoker.base.units import decimal_size
from stoker.cli import parser as cli
from stoker.cli.errors import doing
from stoker.cli.output import put, put_json, table
from stoker.cli.session import Session

HEADER: Final = ("TYPE", "SIZE")


class Options(cli.Options):
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--json", help="print bytes as JSON")


def run(options: Options, session: Session) -> int:
    with doing("Failed to get disk usage"):
        usage = session.client().df()
    if options.json:
        put_json(usage)
        return 0
    rows = [["Models", decimal_size(usage.models_disk_usage)]]
    if usage.default_backend_disk_usage:
        rows.append(["Inference engine", decimal_size(usage.default_backend_disk_usage)])
    put(table(HEADER, rows))
    return 0
