"""`start-runner`, `stop-runner`, `restart-runner`: the daemon in the background."""

from typing import Final

from stoker.base.errors import NotFound, NotInstalled
from stoker.cli import background
from stoker.cli import parser as cli
from stoker.cli.commands.serve import add_gpu_flag, add_listen_flags, add_tls_flags, tls_settings
from stoker.cli.commands.status import lines
from stoker.cli.errors import doing, say
from stoker.cli.output import put
from stoker.cli.session import Session
from stoker.client.client import Client

_MADE_FOR: Final = ("cuda", "rocm", "vulkan")
"""GPUs that no engine supports as it comes: a build has to be made for them."""


class Options(cli.Options):
    command: str
    backend: str
    gpu: str | None
    host: str | None
    port: int | None
    tls: str | None
    tls_cert: str | None
    tls_key: str | None
    models: bool


def arguments(parser: cli.Parser) -> None:
    parser.set_defaults(command=parser.command.name, gpu=None, host=None, port=None)
    if parser.command.name == "stop-runner":
        parser.flag("--backend", default="", value="NAME", help="only the models of this engine")
        parser.switch("--models", help="remove all models too")
        return
    parser.flag("--backend", default="", value="NAME", help="an engine that must be installed")
    add_gpu_flag(parser)
    add_listen_flags(parser)
    add_tls_flags(parser)
    parser.switch("--do-not-track", help="nothing is tracked; for scripts made for docker model")
    parser.epilog = "--gpu, --host, --port and --tls hold for later starts too, until changed."


def run(options: Options, session: Session) -> int:
    background.own_endpoint()
    if options.command == "stop-runner":
        _stop(options, session)
        return 0
    settings = told(host=options.host, port=options.port, gpu=options.gpu)
    settings |= tls_settings(options.tls, options.tls_cert, options.tls_key)
    begin = background.restart if options.command == "restart-runner" else background.start
    begin(settings)
    client = session.client(start=False)
    if options.gpu in _MADE_FOR and not _has_build(client, options.gpu):
        say(f"note: no engine has a build for --gpu {options.gpu}; to make one:")
        say(f"  {session.program} install-runner --backend llama.cpp --gpu {options.gpu}")
    if options.backend:
        put(lines({options.backend: _status(client, options.backend)}))
    return 0


def told(**values: object) -> dict[str, object]:
    """Those that were given."""
    return {name: value for name, value in values.items() if value is not None}


def _stop(options: Options, session: Session) -> None:
    if options.models:
        with doing("Failed to remove models"):
            session.client().purge()
    if not options.backend:
        background.stop()
        return
    client = session.client(start=False)
    _status(client, options.backend)
    count = client.unload(backend=options.backend, everything=True)
    put(f"Unloaded {count} model(s).\n")


def _status(client: Client, backend: str) -> str:
    """What the daemon says of an engine. Raises NotFound, NotInstalled."""
    known = client.status()
    if backend not in known:
        raise NotFound(f"unknown backend: {backend!r}", hint=f"supported: {', '.join(known)}")
    status = known[backend]
    if status.startswith("Not Installed"):
        raise NotInstalled(
            f"{backend} is not installed",
            engine=backend,
            hint=f"stoker install-runner --backend {backend}",
        )
    return status


def _has_build(client: Client, gpu: str) -> bool:
    return any(build.active and build.gpu == gpu for build in client.builds())
