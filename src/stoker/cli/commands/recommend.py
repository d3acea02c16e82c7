"""`recommend`: which quantizations of a model fit this machine, and how fast they would be."""

from collections.abc import Iterator

from stoker.base.units import binary_size
from stoker.cli import parser as cli
from stoker.cli.errors import doing
from stoker.cli.names import shown
from stoker.cli.output import put_json, put_table
from stoker.cli.session import Session
from stoker.cli.transfer import hub_token
from stoker.wire.plan import Choice


class Options(cli.Options):
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--json", help="print what the API says")
    parser.epilog = (
        "Without a model: how the models on this machine fit it. Of a Hugging Face repository the\n"
        "quantizations it has, before any of them is pulled. Else sizes of quantizations that are\n"
        "not on this machine are scaled from the one that is."
    )


def run(options: Options, session: Session) -> int:
    name = options.words[0] if options.words else ""
    with doing("Failed to recommend anything"):
        choices = session.client().recommend(name, token=hub_token(name))
    if options.json:
        put_json(choices)
        return 0
    head = "QUANTIZATION" if name else "MODEL NAME"
    header = (head, "SIZE", "NEEDS", "FITS", "MAX CONTEXT", "TOKENS/S", "")
    put_table(header, [_row(choice, models=not name) for choice in choices])
    return 0


def _row(choice: Choice, *, models: bool) -> list[str]:
    speed = choice.tokens_per_second
    return [
        shown(choice.name) if models else choice.name,
        binary_size(choice.size),
        binary_size(choice.needs),
        choice.where if choice.fits else "no",
        str(choice.context) if choice.context else "",
        f"~{speed:.0f}" if speed else "",
        ", ".join(_marks(choice, models=models)),
    ]


def _marks(choice: Choice, *, models: bool) -> Iterator[str]:
    if choice.best:
        yield "recommended"
    if choice.here and not models:
        yield "here"
