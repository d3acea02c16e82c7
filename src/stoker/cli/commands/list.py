"""`list`: the models in the store, one row per name."""

from collections.abc import Sequence
from typing import Final

from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing
from stoker.cli.names import named, shown
from stoker.cli.output import age, put, put_json, short_id, table
from stoker.cli.session import Session
from stoker.oci.reference import Reference
from stoker.wire.manage import Model

HEADER: Final = (
    "MODEL NAME", "PARAMETERS", "QUANTIZATION", "ARCHITECTURE",
    "MODEL ID", "CREATED", "CONTEXT", "SIZE",
)  # fmt: skip
UNTAGGED: Final = "<none>"


class Options(cli.Options):
    json: bool
    openai: bool
    quiet: bool


def arguments(parser: cli.Parser) -> None:
    switch = parser.switch
    switch("--json", help="print what the API says")
    switch("--openai", help="print what OpenAI clients see")
    switch("-q", "--quiet", help="print ids only")


def run(options: Options, session: Session) -> int:
    if options.openai and options.quiet:
        raise UsageError("--quiet flag cannot be used with --openai flag or OpenAI backend")
    client = session.client()
    wanted = options.words[0] if options.words else ""
    if options.openai:
        with doing("Failed to list models"):
            listing = client.models_openai()
        listing.data = [model for model in listing.data if not wanted or fits(model.id, wanted)]
        put_json(listing)
        return 0
    with doing("Failed to list models"):
        models = [model for model in client.models() if not wanted or _any_fits(model, wanted)]
    if options.json:
        put_json(models)
    elif options.quiet:
        put("".join(f"{short_id(model.id)}\n" for model in models))
    else:
        put(table(HEADER, rows(models, wanted)))
    return 0


def rows(models: Sequence[Model], wanted: str = "") -> list[list[str]]:
    """One row per tag that fits, sorted by name, then without tag, then by tag."""
    titled = [
        (shown(tag) if tag else UNTAGGED, model)
        for model in models
        for tag in model.tags or [""]
        if not wanted or fits(tag, wanted)
    ]
    return [_row(name, model) for name, model in sorted(titled, key=lambda pair: _order(pair[0]))]


def fits(tag: str, wanted: str) -> bool:
    """True when `wanted` means this tag: with a tag exactly, without one any tag of the name."""
    if not tag:
        return False
    asked, found = named(wanted), named(tag)
    if not isinstance(asked, Reference) or not isinstance(found, Reference):
        return False
    exact = ":" in wanted.rpartition("/")[2]
    return asked.name == found.name and (not exact or asked.tag == found.tag)


def _any_fits(model: Model, wanted: str) -> bool:
    return any(fits(tag, wanted) for tag in model.tags)


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
