"""`python -m stoker.daemon`: read the configuration, run the composed program until a signal."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Final

import stoker
from stoker.access import KeyFile
from stoker.api.origins import is_loopback
from stoker.base.config import Config, load_config
from stoker.base.errors import StokerError
from stoker.base.paths import Paths, paths_of
from stoker.daemon.compose import compose
from stoker.daemon.connections import ConnectionLimits
from stoker.daemon.lifecycle import (
    Running,
    listen_tcp,
    listen_unix,
    single_instance,
    until_signalled,
)
from stoker.daemon.serving import Listener, serving
from stoker.daemon.tls import Certificate, certificate_of
from stoker.observe.logs import set_up_logging

logger = logging.getLogger("stoker.daemon")

# Long answers are worth waiting for; an operator who is in a hurry sends the signal twice.
_DRAIN_SECONDS: Final = 30.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; answers the exit code."""
    arguments = _parser().parse_args(argv)
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    foreground = not given.pop("background", False)
    if "models_path" in given:
        os.environ["MODELS_PATH"] = given.pop("models_path")
    paths = paths_of()
    try:
        config = load_config(paths.config, os.environ, given, remembered=paths.runner)
        set_up_logging(
            paths.logs, level=config.log_level, form=config.log_format, foreground=foreground
        )
        _run(config, paths, certificate_of(config, paths))
    except StokerError as error:
        print(f"error: {error.message}", file=sys.stderr)  # noqa: T201  # the daemon's own rim
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stoker serve", description="Run the Stoker daemon.")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 12434)")
    parser.add_argument("--gpu", help="kind of GPU whose builds are preferred (default auto)")
    parser.add_argument("--models-path", help="directory of the model store")
    parser.add_argument("--log-level", help="debug, info, warning or error (default info)")
    parser.add_argument("--log-format", help="text or json (default text)")
    for flag, value in (("--require-keys", True), ("--without-keys", False)):
        parser.add_argument(flag, dest="require_keys", action="store_const", const=value)
    parser.add_argument("--tls", help="auto: encrypt with a certificate made here (default off)")
    parser.add_argument("--tls-cert", help="encrypt with this certificate, a PEM file")
    parser.add_argument("--tls-key", help="its key, a PEM file (default: in the same file)")
    parser.add_argument(
        "--background", action="store_true", default=None, help="log to the file only"
    )
    return parser


def _run(config: Config, paths: Paths, tls: Certificate | None) -> None:
    address = f"{'https' if tls else 'http'}://{config.host}:{config.port}"
    socket, models = str(paths.socket), str(paths.models)
    running = Running(os.getpid(), address, socket, stoker.__version__, models)
    with single_instance(paths.daemon_lock, running):
        try:
            import uvloop  # noqa: PLC0415  # absent on platforms it does not support
        except ImportError:
            asyncio.run(_serve(config, paths, tls))
        else:
            uvloop.run(_serve(config, paths, tls))


async def _serve(config: Config, paths: Paths, tls: Certificate | None) -> None:
    tcp = listen_tcp(config.host, config.port)
    unix = listen_unix(paths.socket)
    try:
        listeners = [Listener(tcp, tls.context if tls else None), Listener(unix)]
        async with (
            compose(config, paths) as daemon,
            serving(daemon.app, listeners, _limits(config)),
        ):
            logger.info(
                "listening address=%s://%s:%s socket=%s version=%s pid=%s",
                "https" if tls else "http", config.host, config.port,
                paths.socket, stoker.__version__, os.getpid(),
            )  # fmt: skip
            _warn(config, paths, tls)
            with tls.renewed() if tls else nullcontext():
                number = await until_signalled()
            logger.info("draining signal=%s", number)
            if not await daemon.scheduler.drain(_DRAIN_SECONDS):
                logger.warning("cutting requests that did not end in %s s", _DRAIN_SECONDS)
    finally:
        paths.socket.unlink(missing_ok=True)
    logger.info("stopped")


def _limits(config: Config) -> ConnectionLimits:
    return ConnectionLimits(
        total=config.max_connections,
        per_client=config.max_connections_per_client,
        header=config.header_timeout,
        write=config.write_timeout,
    )


def _warn(config: Config, paths: Paths, tls: Certificate | None) -> None:
    """Say what an operator may not have meant."""
    if config.require_keys is False:
        if not is_loopback(config.host):
            logger.warning("keys are switched off: whoever can connect may do everything")
        return
    if not is_loopback(config.host) and tls is None:
        logger.warning("not encrypted, keys neither: who is on the way can read along (--tls auto)")
    if (config.require_keys or not is_loopback(config.host)) and not KeyFile(paths.keys).read():
        logger.warning("no API key exists yet, hence nobody gets in: stoker key add NAME")
