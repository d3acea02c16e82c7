"""The daemon of this user in the background: start it, stop it, hand it to the service manager."""

import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psutil

from stoker.base.certificate import server_context
from stoker.base.config import VARIABLES, Config, load_config
from stoker.base.errors import Conflict, InvalidSetting
from stoker.base.paths import paths_of
from stoker.base.remembered import KEYS, read_remembered, remembering
from stoker.cli.addresses import for_programs
from stoker.cli.errors import say
from stoker.cli.output import put
from stoker.cli.spinner import Spinner
from stoker.client.autostart import await_daemon
from stoker.client.endpoint import Endpoint, endpoint_of, parse_endpoint
from stoker.client.running import Running, running
from stoker.client.service import Service, bring_up, service_of

# Answers in progress are let out first; an engine that ignores that is killed by the daemon.
_STOP_TIMEOUT: Final = 60.0


_UNTOLD: Final = {"gpu": "auto", "tls": "off", "tls_cert": "", "tls_key": ""}
"""What holds when nobody said otherwise."""


def own_endpoint() -> Endpoint:
    """Where this user's daemon is. Raises InvalidSetting when another one is named."""
    endpoint = endpoint_of()
    if not endpoint.may_start:
        raise InvalidSetting(
            f"{endpoint.origin} names {endpoint}, which this command does not control",
            hint=f"to work on this machine's own: {endpoint.undo}",
        )
    return endpoint


def start(told: Mapping[str, object]) -> None:
    """Start it, unless it runs. `told` holds those of `remembered.KEYS` that were given.

    They are remembered. Raises InvalidSetting, Conflict when it runs with others, Unreachable when
    it does not start; then nothing is remembered.
    """
    endpoint = own_endpoint()
    _check(told)
    if endpoint.answers():
        _check_same(told)
        put(f"Already running at {for_programs(endpoint)}\n")
        return
    _begin(told, lambda: bring_up(_flags(told)))


def restart(told: Mapping[str, object]) -> None:
    """Stop it and start it. Raises as `start` does; for what it is told, before it is stopped."""
    own_endpoint()
    _check_address(_check(told))
    stop()
    start(told)


def stop() -> None:
    """Stop it, after the answers in progress. Raises Conflict when it stays."""
    own_endpoint()
    found = running(paths_of())
    process = _process(found) if found else None
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


def register(told: Mapping[str, object]) -> None:
    """Have the service manager start it, now and at each login. `told` is remembered.

    So is what this shell's variables say of the same settings: the service will not see them.
    Raises UserError, Conflict, Unreachable; then nothing is registered.
    """
    endpoint = own_endpoint()
    service = service_of(os.environ)
    if not service.answers:
        raise service.silent()
    settings = {**_by_variables(os.environ), **told}
    _check(settings)
    if endpoint.answers():
        stop()

    def begin() -> Endpoint:
        try:
            return await_daemon(service.register)
        except BaseException:
            service.forget()
            raise

    _begin(settings, begin)
    put(f"Registered as {service.manager.unit}\n")
    if advice := service.manager.advice:
        say(f"hint: {advice}")


def unregister() -> bool:
    """Begin it no more at login, and stop it; False when it was not registered."""
    service: Service = service_of(os.environ)
    if not service.is_registered:
        return False
    service.forget()
    put(f"Removed {service.manager.unit}\n")
    return True


def _check(told: Mapping[str, object]) -> Config:
    """What it would start with. Raises InvalidSetting for what it would not start with."""
    paths = paths_of()
    config = load_config(paths.config, os.environ, told, remembered=paths.runner)
    if config.tls_cert:
        server_context(Path(config.tls_cert), Path(config.tls_key or config.tls_cert))
    return config


def _check_address(config: Config) -> None:
    """Raises InvalidSetting for what could not be listened on when the daemon that runs is gone."""
    found = running(paths_of())
    ours = found and found.address and parse_endpoint(found.address, origin="default").port
    port = 0 if config.port == ours else config.port
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, port))
        except OSError as error:
            raise InvalidSetting(
                f"cannot listen on {config.host}:{config.port}: {error.strerror}",
                hint="--host is an address of this machine, or 0.0.0.0 for all of them",
            ) from error


def _begin(told: Mapping[str, object], begin: Callable[[], Endpoint]) -> None:
    with remembering(paths_of().runner, told), Spinner("starting"):
        endpoint = begin()
    put(f"Running at {for_programs(endpoint)}\n")


def _by_variables(environ: Mapping[str, str]) -> dict[str, object]:
    named = ((key, environ.get(name)) for key in KEYS for name in VARIABLES[key])
    return {key: value for key, value in named if value}


def _check_same(told: Mapping[str, object]) -> None:
    paths = paths_of()
    found = running(paths)
    now: dict[str, object] = {**_UNTOLD, **read_remembered(paths.runner)}
    if found and found.address:
        listens = parse_endpoint(found.address, origin=str(paths.daemon_lock))
        now |= {"host": listens.host, "port": listens.port}
    others = [name for name, value in told.items() if now.get(name) != value]
    if others:
        flags = _flags({name: value for name, value in told.items() if value != ""})
        raise Conflict(
            f"it is running already, with another {' and '.join(others)}",
            hint=f"stoker restart-runner {' '.join(flags)}",
        )


def _flags(told: Mapping[str, object]) -> list[str]:
    named = ((f"--{name.replace('_', '-')}", str(value)) for name, value in told.items())
    return [word for pair in named for word in pair]


def _process(found: Running) -> psutil.Process | None:
    """The process, if it is a daemon of ours: after a crash its number may be someone else's."""
    try:
        process = psutil.Process(found.pid)
        ours = any("stoker" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return None
    return process if ours else None
