"""Settings of the registry client: one frozen record, read from the environment once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stoker import __version__
from stoker.oci.reference import DEFAULT_REGISTRY
from stoker.registry.network import Reach, literal_of, reach_of
from stoker.registry.place import HUB_API_HOST
from stoker.registry.retry import RetryPolicy
from stoker.registry.tls import certificate_directories

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})


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


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """How to talk to registries.

    `insecure` names hosts (`host` or `host:port`) spoken to without TLS; localhost, loopback
    addresses and `*.local` are so anyway unless `certs_d` knows them. `trusted_hosts` may be
    reached on private addresses and named as token realm even by a public registry. `mirrors` are
    asked before Docker Hub, for pulls only.
    """

    insecure: frozenset[str] = frozenset()
    insecure_all: bool = False
    trusted_hosts: frozenset[str] = frozenset()
    mirrors: tuple[str, ...] = ()
    certs_d: tuple[Path, ...] = ()
    ca_files: tuple[Path, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    user_agent: str = f"stoker/{__version__}"
    # Per upload request: larger than S3's smallest part (5 MiB), small enough to lose.
    upload_chunk: int = 8 * 1024 * 1024

    def scheme(self, host: str) -> str:
        """`http` or `https` for this `host[:port]`."""
        bare = host_of(host)
        if certificate_directories(self.certs_d, host):
            return "https"  # someone went to the trouble of giving it a certificate
        if self.insecure_all or host in self.insecure or bare in self.insecure:
            return "http"
        literal = literal_of(bare)
        if bare == "localhost" or bare.endswith((".localhost", ".local")):
            return "http"
        return "http" if literal and reach_of(literal) is Reach.LOOPBACK else "https"


def options_of(environ: Mapping[str, str] | None = None) -> RegistryOptions:
    """The options that these environment variables select."""
    env = os.environ if environ is None else environ
    insecure = env.get("INSECURE_REGISTRY", "").strip().lower()
    home = Path(env.get("HOME") or "~").expanduser()
    bundles = (env.get("SSL_CERT_FILE"), env.get("REQUESTS_CA_BUNDLE"))
    return RegistryOptions(
        insecure=frozenset() if insecure in _TRUE | _FALSE else _listed(insecure),
        insecure_all=insecure in _TRUE,
        trusted_hosts=_listed(env.get("STOKER_TRUSTED_HOSTS", "").lower()),
        mirrors=_mirrors(env.get("MODEL_RUNNER_REGISTRY_MIRRORS", "")),
        certs_d=(Path("/etc/docker/certs.d"), home / ".docker" / "certs.d"),
        ca_files=tuple(dict.fromkeys(Path(path) for path in bundles if path)),
        proxies=_proxies(env),
    )


def api_host(registry: str) -> str:
    """Where the API of a registry named in a reference lives."""
    return HUB_API_HOST if registry == DEFAULT_REGISTRY else registry


def host_of(host: str) -> str:
    """The host without its port, IPv6 brackets removed, lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _listed(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def _mirrors(text: str) -> tuple[str, ...]:
    parts = (part.strip().rstrip("/") for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


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
