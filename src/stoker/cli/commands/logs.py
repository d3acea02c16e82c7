"""`logs`: what daemon and engines wrote; from the file when the daemon is down."""

import sys

from stoker.base.errors import Unreachable
from stoker.base.paths import paths_of
from stoker.cli import parser as cli
from stoker.cli.errors import doing, say
from stoker.cli.session import Session


class Options(cli.Options):
    follow: bool
    no_engines: bool
    backend: str
    audit: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("-f", "--follow", help="go on printing what is added")
    parser.switch("--no-engines", help="leave out what the engines say")
    parser.flag("--backend", default="", value="NAME", help="only what this engine says")
    parser.switch("--audit", help="who changed what, as JSON lines, instead")


def run(options: Options, session: Session) -> int:
    client = session.client(start=False)
    chunks = client.logs(
        follow=options.follow,
        engines=not options.no_engines,
        backend=options.backend,
        audit=options.audit,
    )
    began = False
    try:
        with doing("Failed to read the logs"):
            for data in chunks:
                began = True
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
    except Unreachable:
        if began and options.follow:
            say("Stream closed by server.")  # it ended, as services do; its last words are above
        elif options.audit and client.endpoint.may_start and paths_of().audit.exists():
            sys.stdout.write(paths_of().audit.read_text(encoding="utf-8"))
        elif not client.endpoint.may_start or not _last_words(session):
            raise
    return 0


def _last_words(session: Session) -> bool:
    """Why did it go away? The answer is in the files it wrote; False when there are none."""
    from stoker.client.autostart import log_file, log_tail  # noqa: PLC0415  # subprocess, 10 ms

    paths = paths_of()
    # The service's own log, and what it printed when it could not even begin one.
    files = [paths.logs / "stoker.log", log_file(paths)]
    tails = {file: tail for file in files if (tail := log_tail(file))}
    for file, tail in tails.items():
        say(f"{session.program}: not running; the end of {file}:")
        sys.stdout.write("".join(f"{line}\n" for line in tail))
        sys.stdout.flush()
    return bool(tails)
