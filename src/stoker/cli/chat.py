"""Talking with a model: prints answers as they come, and the interactive loop."""

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TextIO

from stoker.base.errors import StokerError
from stoker.cli.attachments import Content, expand
from stoker.cli.errors import report, say
from stoker.cli.prompt import LineReader
from stoker.cli.spinner import Spinner
from stoker.client.chat import Answer, ChatMessage, Delta
from stoker.client.client import Client
from stoker.wire.manage import Configure

_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"
_CONTROLS: Final = {
    code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}
_QUOTES: Final = '"""'

HELP: Final = """\
Available commands:
  /set system TEXT    What the model is told before everything else; no TEXT clears it
  /set num_ctx N      Context size in tokens (reloads the model)
  /clear              Forget the conversation
  /bye                Leave (also /exit, Ctrl + d)
  /?, /help           This text

Use \"\"\" to begin a multi-line message and \"\"\" to end it.
@FILE puts a text file into your message, the path of a picture the picture.
Ctrl + c stops an answer; the unfinished exchange is forgotten."""


@dataclass(slots=True)
class Reply:
    """One answer, complete."""

    text: str
    reasoning: str
    answer: Answer


@dataclass(slots=True)
class Conversation:
    """The turns so far; every question sends them all again."""

    client: Client
    model: str
    backend: str = ""
    system: str = ""
    color: bool = False
    prefix: str | None = None
    """Where chat is on a server that is not Stoker; see `Client.chat`."""
    turns: list[ChatMessage] = field(default_factory=list)

    def ask(self, content: Content, *, quiet: bool = False) -> Reply:
        """Ask, print the answer while it comes (unless quiet) and remember both.

        An answer that is interrupted or fails leaves no trace in the conversation.
        """
        question = ChatMessage("user", content)
        opening = [ChatMessage("system", self.system)] if self.system else []
        messages = [*opening, *self.turns, question]
        printer = _Printer(color=self.color, quiet=quiet)
        with (
            Spinner(f"waiting for {self.model}") as spinner,
            self.client.chat(
                self.model, messages, backend=self.backend, prefix=self.prefix
            ) as answer,
        ):
            for delta in answer:
                if delta.state:
                    spinner.text = f"waiting for {self.model}: {delta.state}"
                    continue
                spinner.stop()
                printer.show(delta)
        printer.end()
        reply = Reply(printer.text, printer.reasoning, answer)
        self.turns += [question, ChatMessage("assistant", reply.text)]
        return reply

    def preload(self) -> None:
        """Load the model while the user types; if that fails, the first question says why."""

        def load() -> None:
            with suppress(StokerError):
                self.client.preload(self.model, backend=self.backend)

        threading.Thread(target=load, daemon=True).start()


class _Printer:
    """The answer to stdout; reasoning, which is not the answer, to stderr."""

    def __init__(self, *, color: bool, quiet: bool) -> None:
        self._dim, self._reset = (_DIM, _RESET) if color else ("", "")
        self._quiet = quiet
        self._texts: list[str] = []
        self._thoughts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        return "".join(self._thoughts)

    def show(self, delta: Delta) -> None:
        if delta.notice:
            say(_harmless(delta.notice, sys.stderr))
        if delta.reasoning:
            heading = "" if self._thoughts else "Thinking:\n"
            self._think(f"{heading}{delta.reasoning}")
            self._thoughts.append(delta.reasoning)
        if delta.text:
            if self._thoughts and not self._texts:
                self._think("\n\n--\n\n")
            self._texts.append(delta.text)
            if not self._quiet:
                sys.stdout.write(_harmless(delta.text, sys.stdout))
                sys.stdout.flush()

    def end(self) -> None:
        if not self._quiet and not self.text.endswith("\n"):
            sys.stdout.write("\n")
            sys.stdout.flush()

    def _think(self, text: str) -> None:
        if not self._quiet:
            say(f"{self._dim}{_harmless(text, sys.stderr)}{self._reset}", end="")


def _harmless(text: str, to: TextIO) -> str:
    """On a terminal without escape sequences: a model may repeat what a web page told it."""
    return text.translate(_CONTROLS) if to.isatty() else text


def interact(conversation: Conversation, reader: LineReader) -> None:
    """Read, answer, repeat, until the user leaves."""
    if conversation.prefix is None:
        conversation.preload()
    while True:
        try:
            text = _message(reader)
        except EOFError:
            return
        except KeyboardInterrupt:
            say("\nUse Ctrl + d or /bye to exit.")
            continue
        if text.startswith("/"):
            if not _command(conversation, text):
                return
        elif text:
            _turn(conversation, text)


def _turn(conversation: Conversation, text: str) -> None:
    try:
        conversation.ask(expand(text))
        say("")
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (StokerError, OSError) as error:
        # The chat goes on: the next question may work, and the turns so far are worth keeping.
        report(error)


def _message(reader: LineReader) -> str:
    """A line, or everything between two triple quotes."""
    line = reader.read("> ").strip()
    if not line.startswith(_QUOTES):
        return line
    body = line.removeprefix(_QUOTES)
    while not body.rstrip().endswith(_QUOTES):
        body += ("\n" if body else "") + reader.read(". ")
    return body.rstrip().removesuffix(_QUOTES).strip()


def _command(conversation: Conversation, text: str) -> bool:
    """Obey a slash command; False when it means to leave."""
    word, _, rest = text.partition(" ")
    if word in {"/bye", "/exit"}:
        return False
    actions: dict[str, Callable[[Conversation, str], None]] = {
        "/?": _help,
        "/help": _help,
        "/clear": _clear,
        "/set": _set,
    }
    action = actions.get(word)
    if action is None:
        say(f"Unknown command '{word}'. Type /? for help")
    else:
        action(conversation, rest.strip())
    return True


def _help(_conversation: Conversation, _rest: str) -> None:
    say(HELP)


def _clear(conversation: Conversation, _rest: str) -> None:
    conversation.turns.clear()
    say("Cleared the conversation.")


def _set(conversation: Conversation, rest: str) -> None:
    name, _, value = rest.removeprefix("parameter ").partition(" ")
    value = value.strip().strip('"')
    if name == "system":
        conversation.system = value
        say("Set system message." if value else "Cleared system message.")
    elif name == "num_ctx" and value.isdecimal():
        try:
            conversation.client.configure(
                Configure(model=conversation.model, context_size=int(value)),
                backend=conversation.backend,
            )
        except StokerError as error:
            report(error)
        else:
            say(f"Set num_ctx to {value}")
    else:
        say("Usage: /set system TEXT, or /set num_ctx N")
