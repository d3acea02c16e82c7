"""`run`: one question, or a chat; pulls the model when it is not here."""

import os
import sys
from pathlib import Path

import msgspec

from stoker.base.errors import DaemonError
from stoker.base.paths import paths_of
from stoker.cli import parser as cli
from stoker.cli import transfer
from stoker.cli.chat import Conversation, Reply, interact
from stoker.cli.errors import UsageError, doing, say
from stoker.cli.output import put_json
from stoker.cli.prompt import line_reader
from stoker.cli.session import Session
from stoker.client.client import Client

DEFAULT_MODEL = "pilot"


class Options(cli.Options):
    detach: bool
    color: str
    backend: str
    system: str
    json: bool


def arguments(parser: cli.Parser) -> None:
    flag, switch = parser.flag, parser.switch
    switch("-d", "--detach", help="load the model and return")
    flag("--system", default="", value="TEXT", help="what the model is told before your prompt")
    flag("--backend", default="", value="NAME", help="engine to use: llama.cpp, vllm")
    flag("--color", default="no", value="WHEN", help="auto, yes or no (default no)")
    switch("--json", help="print the answer with its usage as JSON")
    parser.epilog = (
        "Without MODEL it is the bundled 'pilot'. Without PROMPT it is a chat.\n"
        "What comes in by a pipe is added to the prompt:\n"
        f'  git diff | {parser.program} run smollm2 "Write a commit message for this"'
    )


def run(options: Options, session: Session) -> int:
    if options.color not in {"auto", "yes", "no"}:
        raise UsageError(f'--color must be one of: auto, yes, no (got "{options.color}")')
    words = [*options.words, *options.rest]
    model = words[0] if words else DEFAULT_MODEL
    prompt = "" if options.detach else _prompt(" ".join(words[1:]))
    if options.json and not prompt:
        raise UsageError("--json needs a PROMPT")
    client = session.client()
    _ensure_local(client, model)
    if options.detach:
        client.preload(model, backend=options.backend)
        if options.debug:
            say(f"Model {model} loaded successfully")
        return 0
    conversation = Conversation(
        client,
        model,
        backend=options.backend,
        system=options.system,
        color=options.color == "yes" or (options.color == "auto" and sys.stderr.isatty()),
    )
    if not prompt:
        conversation.preload()
        interact(conversation, line_reader(_history()))
        return 0
    with doing("Failed to generate a response"):
        reply = conversation.ask(prompt, quiet=options.json)
    if options.json:
        put_json(_as_json(model, reply))
    elif options.debug and reply.answer.usage:
        use = reply.answer.usage
        say(
            f"\nToken usage: {use.prompt_tokens} prompt + {use.completion_tokens} completion"
            f" = {use.total_tokens} total"
        )
    return 0


def _prompt(text: str) -> str:
    """The words, and what is piped in, after an empty line."""
    if sys.stdin.isatty():
        return text
    piped = sys.stdin.read().strip()
    if not text and not piped:
        raise UsageError("nothing to ask: no PROMPT, and the standard input is empty")
    return "\n\n".join(part for part in (text, piped) if part)


def _ensure_local(client: Client, model: str) -> None:
    try:
        client.inspect(model)
    except DaemonError as error:
        if error.status != 404:
            error.args = (f"Failed to inspect model: {error.message}",)
            raise
        say(f"Unable to find model '{model}' locally. Pulling from the server.")
        say(transfer.pull(client, model))


def _as_json(model: str, reply: Reply) -> dict[str, object]:
    return {
        "model": model,
        "content": reply.text,
        "reasoning_content": reply.reasoning,
        "finish_reason": reply.answer.finish_reason,
        "usage": msgspec.to_builtins(reply.answer.usage),
    }


def _history() -> Path | None:
    return None if os.environ.get("DOCKER_MODEL_NOHISTORY") else paths_of().history
