"""`df`: disk space of models and engines."""

from typing import Final

from stoker.base.units import decimal_size
from stoker.cli import parser as cli
from stoker.cli.errors import doing
from stoker.cli.names import shown
from stoker.cli.output import put, put_json, put_table, short_id
from stoker.cli.session import Session
from stoker.wire.manage import Model

HEADER: Final = ("TYPE", "SIZE")
MODELS: Final = ("MODEL NAME", "MODEL ID", "SIZE")


class Options(cli.Options):
    json: bool
    verbose: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("-v", "--verbose", help="also the size of each model")
    parser.switch("--json", help="print bytes as JSON")


def run(options: Options, session: Session) -> int:
    client = session.client()
    with doing("Failed to get disk usage"):
        usage = client.df()
        models = client.models() if options.verbose else []
    if options.json:
        put_json(usage)
        return 0
    rows = [["Models", decimal_size(usage.models_disk_usage)]]
    if usage.default_backend_disk_usage:
        rows.append(["Inference engine", decimal_size(usage.default_backend_disk_usage)])
    put_table(HEADER, rows)
    if models:
        # What models share is counted for each of them here, and once above.
        largest = sorted(models, key=lambda model: model.size or 0, reverse=True)
        put("\n")
        put_table(MODELS, [_row(model) for model in largest])
    return 0


def _row(model: Model) -> list[str]:
    names = "\n".join(map(shown, model.tags)) or "<none>"
    return [names, short_id(model.id), decimal_size(model.size or 0)]
