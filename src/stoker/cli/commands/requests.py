"""`requests`: what models were asked and what they answered, when the service records it."""

from contextlib import suppress

from stoker.base.errors import DaemonError, Unreachable
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing, say
from stoker.cli.output import put_json, put_json_line
from stoker.cli.session import Session
from stoker.client.client import Client


class Options(cli.Options):
    model: str
    follow: bool
    include_existing: bool


def arguments(parser: cli.Parser) -> None:
    parser.flag("--model", default="", value="MODEL", help="only those to this model")
    parser.switch("-f", "--follow", help="print requests as they finish, one JSON line each")
    parser.switch("--include-existing", help="with --follow: first those that are kept")
    parser.epilog = (
        "The last ten of each model are kept, in memory only. Prompts are private, so nothing is\n"
        "kept unless the service is told to; then it is as JSON, with prompts and answers:\n"
        f"  STOKER_RECORD_REQUESTS=1 {parser.program} restart-runner\n"
        "or `record_requests = true` in its config.toml, for good."
    )


def run(options: Options, session: Session) -> int:
    if options.include_existing and not options.follow:
        raise UsageError("--include-existing can only be used with --follow")
    client = session.client()
    with doing("Failed to read the requests"):
        if not _recording(client):
            say("Requests are not recorded by this service. To switch that on:")
            say(f"  STOKER_RECORD_REQUESTS=1 {session.program} restart-runner")
        if not options.follow:
            put_json(client.requests(options.model))
            return 0
        say("Connected to request stream. Press Ctrl+C to stop.")
        stream = client.follow_requests(options.model, include_existing=options.include_existing)
        # It has just answered; when it cannot be reached now, it ended, and so does the stream.
        with suppress(Unreachable):
            for recorded in stream:
                put_json_line(recorded)
    say("Stream closed by server.")
    return 0


def _recording(client: Client) -> bool:
    """False when it says so; Docker Model Runner, which has no such setting, always records."""
    try:
        settings = client.config()
    except DaemonError:
        return True
    return "record_requests" not in settings or settings["record_requests"].value is True
