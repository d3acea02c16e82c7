"""The service's address as other programs may use it: few speak to a socket file."""

import sys
from typing import Final
from urllib.parse import urlsplit

from stoker.base.paths import paths_of
from stoker.client.endpoint import Endpoint
from stoker.client.running import running

_EVERY_INTERFACE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# Docker Desktop's name for the machine it runs on; it leads to loopback addresses there too.
_DESKTOP_HOST: Final = "host.docker.internal"
# What docker0 has unless somebody changed it.
_DOCKER_BRIDGE: Final = "172.17.0.1"


def for_programs(endpoint: Endpoint) -> str:
    """Its URL for programs on this machine, without a slash at the end."""
    text = _listening(endpoint)
    wildcard = urlsplit(text).hostname in _EVERY_INTERFACE
    return _with_host(text, "127.0.0.1") if wildcard else text


def for_containers(endpoint: Endpoint) -> str:
    """Its URL for containers on this machine; see `reaches_containers`."""
    text = _listening(endpoint)
    host = urlsplit(text).hostname
    if host in _LOOPBACK and sys.platform != "linux":
        return _with_host(text, _DESKTOP_HOST)
    return _with_host(text, bridge_address()) if host in _EVERY_INTERFACE else text


def reaches_containers(endpoint: Endpoint) -> bool:
    """False when containers have a loopback of their own, and the service listens on ours only."""
    return urlsplit(for_containers(endpoint)).hostname not in _LOOPBACK


def bridge_address() -> str:
    """The address by which containers reach this machine, on Linux."""
    import psutil  # noqa: PLC0415  # 10 ms, for two commands

    addresses = psutil.net_if_addrs().get("docker0", [])
    return next((a.address for a in addresses if a.family.name == "AF_INET"), _DOCKER_BRIDGE)


def _listening(endpoint: Endpoint) -> str:
    """The address that the daemon wrote down, when it is this user's own; else the endpoint."""
    found = running(paths_of())
    ours = endpoint.may_start or (found and found.socket == endpoint.path)
    return (found.address if found and ours else "") or str(endpoint)


def _with_host(url: str, host: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{host}:{parts.port}").geturl()
