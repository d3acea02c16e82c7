"""`list`: the models in the store, one row per name."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing, printable, say
from stoker.cli.names import shown
from stoker.cli.output import age, put, put_json, put_table, short_id
from stoker.cli.session import Session
from stoker.client.client import Client
from stoker.client.endpoint import parse_endpoint
from stoker.wire.manage import Model

HEADER: Final = (
    "MODEL NAME", "PARAMETERS", "QUANTIZATION", "ARCHITECTURE",
    "MODEL ID", "CREATED", "CONTEXT", "SIZE",
)  # fmt: skip
HEADER_ELSEWHERE: Final = ("MODEL NAME", "CREATED")
UNTAGGED: Final = "<none>"


class Options(cli.Options):
    json: bool
    openai: bool
    quiet: bool
    openaiurl: str


def arguments(parser: cli.Parser) -> None:
    switch = parser.switch
    switch("--json", help="print what the API says")
    switch("--openai", help="print what OpenAI clients see")
    switch("-q", "--quiet", help="print ids only")
    parser.flag("--openaiurl", default="", value="URL", help="list another OpenAI server's models")


def run(options: Options, session: Session) -> int:
    if options.openaiurl:
        return _elsewhere(options)
    if options.openai and options.quiet:
        raise UsageError("--quiet flag cannot be used with --openai flag or OpenAI backend")
    client = session.client()
    fits = _fitting(*options.words)
    if options.openai:
        with doing("Failed to list models"):
            listing = client.models_openai()
        listing.data = [model for model in listing.data if fits(model.id)]
        put_json(listing)
        return 0
    with doing("Failed to list models"):
        models = [model for model in client.models() if any(map(fits, model.tags or [""]))]
    if options.json:
        put_json(models)
    elif options.quiet:
        put("".join(f"{short_id(model.id)}\n" for model in models))
    else:
        put_table(HEADER, rows(models, fits))
        for model in models:
            if model.code:
                say(printable(_about_code(model)))
    return 0


def _about_code(model: Model) -> str:
    name = shown(model.tags[0]) if model.tags else short_id(model.id)
    if model.trusted:
        return f"note: {name} brings Python code, which may run: you have consented"
    return f"note: {name} brings Python code, which is never run without your consent"


def _elsewhere(options: Options) -> int:
    if options.quiet:
        raise UsageError("--quiet flag cannot be used with --openaiurl flag")
    client = Client(parse_endpoint(options.openaiurl, origin="--openaiurl"))
    with doing("Failed to list models"):
        listing = client.models_openai(prefix="")
    wanted = options.words[:1]
    listing.data = [model for model in listing.data if not wanted or model.id == wanted[0]]
    if options.json or options.openai:
        put_json(listing)
    else:
        ordered = sorted(listing.data, key=lambda model: model.id.lower())
        put_table(HEADER_ELSEWHERE, [[model.id, age(model.created)] for model in ordered])
    return 0


def _fitting(wanted: str = "") -> Callable[[str], bool]:
    """Whether a tag is meant: all are when nothing was named."""
    if not wanted:
        return _anything
    # The grammar of names costs 4 ms, and most lists are whole.
    from stoker.cli.typed import fits  # noqa: PLC0415

    return partial(fits, wanted=wanted)


def _anything(_tag: str) -> bool:
    return True


def rows(models: Sequence[Model], fits: Callable[[str], bool] = _anything) -> list[list[str]]:
    """One row per tag that fits, sorted by name, then without tag, then by tag."""
    titled = [
        (shown(tag) if tag else UNTAGGED, model)
        for model in models
        for tag in model.tags or [""]
        if fits(tag)
    ]
    return [_row(name, model) for name, model in sorted(titled, key=lambda pair: _order(pair[0]))]


def _order(name: str) -> tuple[str, str]:
    base, _, tag = name.rpartition(":") if ":" in name else (name, "", "")
    return base.lower(), tag.lower()


def _row(name: str, model: Model) -> list[str]:
    config = model.config
    metadata = config.get("gguf") or {}
    context = config.get("context_size") or metadata.get("llama.context_length") or ""
    return [
        name,
        str(config.get("parameters") or ""),
        str(config.get("quantization") or ""),
        str(config.get("architecture") or ""),
        short_id(model.id),
        age(model.created),
        str(context),
        str(config.get("size") or ""),
    ]
