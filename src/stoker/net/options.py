"""Settings that every client of foreign hosts has, read from the environment once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stoker import __version__
from stoker.base.paths import home_of
from stoker.net.hosts import hosts_of
from stoker.net.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds by phase; there is no limit on a whole transfer."""

    connect: float = 15.0
    first_byte: float = 60.0
    idle: float = 60.0
    # The end of an upload: a registry on object storage then puts 40 GB together.
    commit: float = 900.0
    # A body that goes out slower than this, in bytes per second, counts as stalled.
    slowest_upload: int = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class NetOptions:
    """How to talk to foreign hosts.

    `trusted_hosts` (`host` or `host:port`) may be reached on private addresses even when a public
    host names them. `certs_d` are directories in the layout of Docker's `certs.d`.
    """

    trusted_hosts: frozenset[str] = frozenset()
    certs_d: tuple[Path, ...] = ()
    ca_files: tuple[Path, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    user_agent: str = f"stoker/{__version__}"


def net_options_of(environ: Mapping[str, str] | None = None) -> NetOptions:
    """The options that these environment variables select."""
    env = os.environ if environ is None else environ
    home = home_of(env)
    bundles = map(env.get, ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    return NetOptions(
        trusted_hosts=hosts_of(env.get("STOKER_TRUSTED_HOSTS", "")),
        certs_d=(Path("/etc/docker/certs.d"), home / ".docker" / "certs.d"),
        ca_files=tuple(dict.fromkeys(Path(path) for path in bundles if path)),
        proxies=_proxies(env),
    )


def _proxies(env: Mapping[str, str]) -> Mapping[str, str]:
    """`http`, `https`, `all` and `no` proxies; the lower-case spelling wins, as in curl."""
    found: dict[str, str] = {}
    for kind in ("http", "https", "all", "no"):
        # HTTP_PROXY in capitals can be set by a request's `Proxy:` header under CGI; we are no CGI
        # program, and containers do set it.
        value = env.get(f"{kind}_proxy") or env.get(f"{kind.upper()}_PROXY")
        if value:
            found[kind] = value
    return found
