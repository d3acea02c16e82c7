"""`install-runner`, `reinstall-runner`: engines and builds of engines; without one, the service."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from stoker.base.errors import StokerError
from stoker.cli import parser as cli
from stoker.cli import steps
from stoker.cli.commands import runner
from stoker.cli.commands.serve import add_listen_flags
from stoker.cli.errors import doing, say
from stoker.cli.output import put
from stoker.cli.session import Session
from stoker.client.client import Client

_BUILD: Final = "llama.cpp"


class Options(runner.Options):
    backend: str
    gpu: str
    json: bool
    do_not_track: bool


def arguments(parser: cli.Parser) -> None:
    again = parser.command.name == "reinstall-runner"
    # What `start-runner` and `restart-runner` do, when no engine is named.
    parser.set_defaults(command="restart-runner" if again else "start-runner")
    parser.flag("--backend", default="", value="NAME", help="llama.cpp or vllm")
    parser.flag(
        "--gpu",
        default="",
        value="KIND",
        help="none, auto, cuda, rocm, vulkan or metal (auto)",
    )
    add_listen_flags(parser)
    parser.switch("--json", help="print progress as JSON lines")
    parser.switch("--do-not-track", help="nothing is tracked; for scripts made for docker model")
    parser.epilog = (
        "Without --backend it sees to it that the service runs; the built-in llama.cpp needs no\n"
        "installation. With it, an engine is made for this very machine:\n"
        f"  {parser.program} {parser.command.name} --backend llama.cpp\n"
        f"  {parser.program} {parser.command.name} --backend llama.cpp --gpu vulkan\n"
        f"  {parser.program} {parser.command.name} --backend vllm"
    )


def run(options: Options, session: Session) -> int:
    backend = options.backend or (_BUILD if options.gpu else "")
    if not backend:
        return runner.run(options, session)
    fresh = options.command == "restart-runner"
    client = session.client()
    with doing(f"Failed to install {backend}"), _cancelling(client, backend):
        records = client.install(backend, gpu=options.gpu or "auto", fresh=fresh)
        if options.json:
            for record in records:
                put(msgspec.json.encode(record).decode() + "\n")
                sys.stdout.flush()
        else:
            put(steps.show(records) + "\n")
    return 0


@contextmanager
def _cancelling(client: Client, backend: str) -> Iterator[None]:
    """Ctrl-C ends the installation, which would otherwise go on in the service."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(StokerError):  # it has just ended by itself
            client.cancel_install(backend)
        say("cancelled; a further installation goes on where this one stopped")
        raise
