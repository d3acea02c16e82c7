"""`uninstall-runner`: remove an engine; without one, stop the service and remove all of them."""

from stoker.cli import background
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing
from stoker.cli.output import put
from stoker.cli.session import Session
from stoker.client.client import Client


class Options(cli.Options):
    backend: str
    gpu: str
    service: bool
    models: bool
    images: bool


def arguments(parser: cli.Parser) -> None:
    parser.flag("--backend", default="", value="NAME", help="only this engine")
    parser.flag("--gpu", default="", value="KIND", help="with --backend: only builds for this kind")
    parser.switch("--service", help="only what systemd or launchd was told")
    parser.switch("--models", help="the models too")
    parser.switch("--images", help="the engines too")
    parser.epilog = (
        "The llama.cpp that came with this program always stays; other builds are removed."
    )


def run(options: Options, session: Session) -> int:
    if options.backend:
        _remove(session.client(), options.backend, options.gpu)
        return 0
    if options.gpu:
        raise UsageError("--gpu goes with --backend: which engine's builds are meant?")
    if options.service:
        if not background.unregister():
            put("Not registered\n")
        return 0
    background.own_endpoint()
    if options.images or options.models:
        client = session.client()
        for backend in client.status() if options.images else ():
            _remove(client, backend, wait=True)  # there will be no service to go on with it
        if options.models:
            with doing("Failed to remove models"):
                client.purge()
    background.unregister()
    background.stop()
    return 0


def _remove(client: Client, backend: str, gpu: str = "", *, wait: bool = False) -> None:
    with doing(f"Failed to uninstall {backend}"):
        client.uninstall(backend, gpu=gpu, wait=wait)
    put(f"Uninstalled {backend} backend{f' (--gpu {gpu})' if gpu else ''}\n")
