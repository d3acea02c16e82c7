"""`search`: models on Docker Hub and Hugging Face."""

import json
from typing import Final

from stoker.base.units import decimal_size
from stoker.cli import parser as cli
from stoker.cli.errors import doing, printable, say
from stoker.cli.output import put, put_json, put_table
from stoker.cli.session import Session
from stoker.wire.search import DEFAULT_LIMIT, HUGGING_FACE, FoundModel, sources_of

HEADER: Final = ("NAME", "DESCRIPTION", "BACKEND", "SIZE", "DOWNLOADS", "STARS", "SOURCE")


class Options(cli.Options):
    limit: int
    source: str
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.flag(
        "-n", "--limit", value="N", kind=int, default=DEFAULT_LIMIT,
        help=f"show at most so many ({DEFAULT_LIMIT})",
    )  # fmt: skip
    parser.flag("--source", value="NAME", default="all", help="all, dockerhub or huggingface (all)")
    parser.switch("--json", help="print a list for programs")


def run(options: Options, session: Session) -> int:
    term = options.words[0] if options.words else ""
    sources_of(options.source)  # refuse it before anything is asked
    with doing("search failed"):
        answer = session.client().search(term, limit=options.limit, source=options.source)
    for warning in answer.warnings:
        say(f"Warning: {printable(warning)}")
    if options.json:
        put_json(answer.models)
    elif answer.models:
        put_table(HEADER, [_row(model) for model in answer.models])
    else:
        matching = f" matching {json.dumps(term, ensure_ascii=False)}" if term else ""
        put(f"No models found{matching}\n")
    return 0


def count(number: int) -> str:
    """`1.2M`, `45.0K`, `999`."""
    if number >= 1_000_000:
        return f"{number / 1_000_000:.1f}M"
    return f"{number / 1_000:.1f}K" if number >= 1_000 else str(number)


def _row(model: FoundModel) -> list[str]:
    return [
        f"hf.co/{model.name}" if model.source == HUGGING_FACE else model.name,
        model.description,
        model.backend,
        decimal_size(model.size) if model.size else "",
        count(model.downloads),
        count(model.stars),
        model.source,
    ]
