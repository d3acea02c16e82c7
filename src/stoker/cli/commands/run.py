"""`run`: one question, or a chat; pulls the model when it is not here."""

import os
import sys
from pathlib import Path

import msgspec

from stoker.base.paths import paths_of
from stoker.cli import parser as cli
from stoker.cli import transfer
from stoker.cli.attachments import Content, expand
from stoker.cli.chat import Conversation, Reply, interact
from stoker.cli.errors import UsageError, doing, say
from stoker.cli.output import put_json
from stoker.cli.prompt import line_reader
from stoker.cli.session import Session
from stoker.client.client import Client
from stoker.client.endpoint import parse_endpoint

DEFAULT_MODEL = "pilot"


class Options(cli.Options):
    detach: bool
    color: str
    backend: str
    system: str
    json: bool
    openaiurl: str


def arguments(parser: cli.Parser) -> None:
    flag, switch = parser.flag, parser.switch
    switch("-d", "--detach", help="load the model and return")
    flag("--system", default="", value="TEXT", help="what the model is told before your prompt")
    flag("--backend", default="", value="NAME", help="engine to use: llama.cpp, vllm")
    flag("--color", default="no", value="WHEN", help="auto, yes or no (default no)")
    flag("--openaiurl", default="", value="URL", help="chat with another OpenAI server")
    switch("--json", help="print the answer with its usage as JSON")
    parser.epilog = (
        "Without MODEL it is the bundled 'pilot'. Without PROMPT it is a chat.\n"
        "What comes in by a pipe is added to the prompt:\n"
        f'  git diff | {parser.program} run smollm2 "Write a commit message for this"\n'
        "@FILE puts a text file into the prompt, the path of a picture the picture."
    )


def run(options: Options, session: Session) -> int:
    words = options.words
    model = words[0] if words else DEFAULT_MODEL
    _check(options)
    prompt = "" if options.detach else _prompt(" ".join(words[1:]))
    if options.json and not prompt:
        raise UsageError("--json needs a PROMPT")
    if options.openaiurl:
        client = Client(parse_endpoint(options.openaiurl, origin="--openaiurl"))
    else:
        client = session.client()
        transfer.pull_if_missing(client, model)
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
        prefix="" if options.openaiurl else None,
        color=options.color == "yes" or (options.color == "auto" and sys.stderr.isatty()),
    )
    if prompt:
        _answer(conversation, prompt, options)
    else:
        interact(conversation, line_reader(_history()))
    return 0


def _check(options: Options) -> None:
    if options.color not in {"auto", "yes", "no"}:
        raise UsageError(f'--color must be one of: auto, yes, no (got "{options.color}")')
    if options.detach and options.openaiurl:
        raise UsageError("--detach flag cannot be used with --openaiurl flag")


def _answer(conversation: Conversation, prompt: Content, options: Options) -> None:
    with doing("Failed to generate a response"):
        reply = conversation.ask(prompt, quiet=options.json)
    if options.json:
        put_json(_as_json(conversation.model, reply))
    elif options.debug and reply.answer.usage:
        use = reply.answer.usage
        say(
            f"\nToken usage: {use.prompt_tokens} prompt + {use.completion_tokens} completion"
            f" = {use.total_tokens} total"
        )


def _prompt(text: str) -> Content:
    """The words with the files they name, and what is piped in, after an empty line."""
    typed = expand(text)
    if sys.stdin.isatty():
        return typed
    piped = sys.stdin.read().strip()
    if not typed and not piped:
        raise UsageError("nothing to ask: no PROMPT, and the standard input is empty")
    if not isinstance(typed, str):
        return [*typed, {"type": "text", "text": piped}] if piped else typed
    return "\n\n".join(part for part in (typed, piped) if part)


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
