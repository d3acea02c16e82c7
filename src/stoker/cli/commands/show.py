"""`show`: one model for people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from stoker.cli import parser as cli
from stoker.cli.errors import doing, printable
from stoker.cli.output import put
from stoker.cli.session import Session
from stoker.cli.transfer import hub_token
from stoker.wire.manage import Model

_FACTS: Final = (
    ("Format:", "format"),
    ("Architecture:", "architecture"),
    ("Parameters:", "parameters"),
    ("Size:", "size"),
    ("Quantization:", "quantization"),
    ("Context Size:", "context_size"),
)
_SECTIONS: Final = (
    ("GGUF Metadata:", "gguf"),
    ("Safetensors Metadata:", "safetensors"),
    ("Diffusers Metadata:", "diffusers"),
)
# A tokenizer's merges are metadata too; nobody wants to read 2 MiB of them.
_MAX_VALUE: Final = 200


class Options(cli.Options):
    remote: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("-r", "--remote", help="ask the registry, without pulling")


def run(options: Options, session: Session) -> int:
    name = options.words[0]
    with doing(f"Failed to get model {name}"):
        model = session.client().inspect(name, remote=options.remote, token=hub_token(name))
    put(printable(describe(model)))
    return 0


def describe(model: Model) -> str:
    """The text, with a newline at its end."""
    lines = [f"Model:       {model.id}"]
    if model.tags:
        lines.append(f"Tags:        {', '.join(model.tags)}")
    if model.created > 0:
        local = datetime.fromtimestamp(model.created, UTC).astimezone()
        lines.append(f"Created:     {local.isoformat()}")
    if model.code:
        trusted = "may run" if model.trusted else "never run without your consent"
        lines.append(f"Code:        {', '.join(file.path for file in model.code)} ({trusted})")
    facts = [f"{label:<14}{model.config[key]}" for label, key in _FACTS if model.config.get(key)]
    lines += ["", *facts] if facts else []
    for title, key in _SECTIONS:
        lines += _section(title, model.config.get(key) or {})
    return "\n".join(lines) + "\n"


def _section(title: str, values: Mapping[str, Any]) -> list[str]:
    if not values:
        return []
    return ["", title, *(f"  {key}: {_short(str(values[key]))}" for key in sorted(values))]


def _short(text: str) -> str:
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}..."
