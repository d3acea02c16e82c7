"""`install-runner`, `reinstall-runner`: engines and builds of engines; without one, the service."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from stoker.base.errors import StokerError
from stoker.cli import background, steps
from stoker.cli import parser as cli
from stoker.cli.commands.runner import told
from stoker.cli.commands.serve import add_listen_flags, add_tls_flags, tls_settings
from stoker.cli.errors import UsageError, doing, say
from stoker.cli.filenames import file_path
from stoker.cli.output import put, put_json_line
from stoker.cli.session import Session
from stoker.client.client import Client

_BUILD: Final = "llama.cpp"


class Options(cli.Options):
    fresh: bool
    backend: str
    gpu: str
    host: str | None
    port: int | None
    tls: str | None
    tls_cert: str | None
    tls_key: str | None
    service: bool
    source: str
    digest: str
    json: bool
    do_not_track: bool


def arguments(parser: cli.Parser) -> None:
    parser.set_defaults(fresh=parser.command.name == "reinstall-runner")
    parser.flag("--backend", default="", value="NAME", help="llama.cpp or vllm")
    parser.flag(
        "--gpu",
        default="",
        value="KIND",
        help="none, auto, cuda, rocm, vulkan or metal (auto)",
    )
    parser.flag("--from", default="", value="ARCHIVE", help="a release of llama.cpp", into="source")
    parser.flag("--digest", default="", value="SHA256", help="what that archive must be")
    add_listen_flags(parser)
    add_tls_flags(parser)
    parser.switch("--service", help="have systemd or launchd start it at each login")
    parser.switch("--json", help="print progress as JSON lines")
    parser.switch("--do-not-track", help="nothing is tracked; for scripts made for docker model")
    parser.epilog = (
        "Without --backend it sees to it that the service runs; the built-in llama.cpp needs no\n"
        "installation. With it, an engine is made for this very machine:\n"
        f"  {parser.program} {parser.command.name} --backend llama.cpp\n"
        f"  {parser.program} {parser.command.name} --backend llama.cpp --gpu vulkan\n"
        f"  {parser.program} {parser.command.name} --backend vllm\n"
        "Or llama.cpp is taken as others have built it, in a .tar.gz with llama-server in it:\n"
        f"  {parser.program} {parser.command.name} --from URL --digest sha256:..."
    )


def run(options: Options, session: Session) -> int:
    backend = options.backend or (_BUILD if options.gpu or options.source else "")
    if options.digest and not options.source:
        raise UsageError("--digest goes with --from: which archive is meant?")
    if not backend:
        _run_daemon(options)
        return 0
    if options.service or _settings(options):
        _run_daemon(options)
    client = session.client()
    with doing(f"Failed to install {backend}"), _cancelling(client, backend):
        records = client.install(
            backend,
            gpu=options.gpu or "auto",
            fresh=options.fresh,
            source=_address(options.source),
            digest=options.digest,
        )
        if options.json:
            for record in records:
                put_json_line(record)
        else:
            put(steps.show(records) + "\n")
    return 0


def _address(source: str) -> str:
    """A path as an address; the daemon works in another directory."""
    if not source or "://" in source:
        return source
    return file_path(source).absolute().as_uri()


def _run_daemon(options: Options) -> None:
    """What `start-runner` and `restart-runner` do; or what the service manager does."""
    if options.service:
        background.register(_settings(options))
        return
    begin = background.restart if options.fresh else background.start
    begin(_settings(options))


def _settings(options: Options) -> dict[str, object]:
    listen = told(host=options.host, port=options.port)
    return listen | tls_settings(options.tls, options.tls_cert, options.tls_key)


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
