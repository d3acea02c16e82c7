"""`start-runner`, `stop-runner`, `restart-runner`: the daemon in the background."""

import signal
from typing import Final

import psutil

from stoker.base.errors import Conflict, InvalidSetting
from stoker.base.paths import paths_of
from stoker.cli import parser as cli
from stoker.cli.commands.serve import add_listen_flags, daemon_flags
from stoker.cli.output import put
from stoker.cli.session import Session
from stoker.cli.spinner import Spinner
from stoker.client.autostart import start_daemon
from stoker.client.endpoint import Endpoint, endpoint_of
from stoker.client.running import running

# Answers in progress are let out first; an engine that ignores that is killed by the daemon.
_STOP_TIMEOUT: Final = 60.0


class Options(cli.Options):
    command: str
    host: str | None
    port: int | None


def arguments(parser: cli.Parser) -> None:
    parser.set_defaults(command=parser.command.name, host=None, port=None)
    if parser.command.name != "stop-runner":
        add_listen_flags(parser)


def run(options: Options, _session: Session) -> int:
    endpoint = endpoint_of()
    if not endpoint.may_start:
        raise InvalidSetting(
            f"{endpoint.origin} names {endpoint}, which this command does not control",
            hint=f"unset {endpoint.origin} to work on this machine's own",
        )
    if options.command != "start-runner":
        _stop()
    elif endpoint.answers():
        put(f"Already running at {_address(endpoint)}\n")
        return 0
    if options.command != "stop-runner":
        _start(options)
    return 0


def _start(options: Options) -> None:
    with Spinner("starting"):
        endpoint: Endpoint = start_daemon(daemon_flags(host=options.host, port=options.port))
    put(f"Running at {_address(endpoint)}\n")


def _address(endpoint: Endpoint) -> str:
    """The address for other programs, when the daemon has written it down."""
    found = running(paths_of())
    return (found and found.address) or str(endpoint)


def _stop() -> None:
    found = running(paths_of())
    process = _daemon(found.pid) if found else None
    if process is None:
        put("Not running\n")
        return
    with Spinner("waiting for answers in progress"):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT)
        except psutil.TimeoutExpired as error:
            raise Conflict(
                f"process {process.pid} is still there after {_STOP_TIMEOUT:g} s",
                hint=f"end it for good with: kill -9 {process.pid}",
            ) from error
    put("Stopped\n")


def _daemon(pid: int) -> psutil.Process | None:
    """The process, if it is a daemon of ours: after a crash its number may be someone else's."""
    try:
        process = psutil.Process(pid)
        ours = any("stoker" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return None
    return process if ours else None
