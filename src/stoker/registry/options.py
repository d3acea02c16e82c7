"""Settings of the registry client: one frozen record, read from the environment once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from stoker.base.errors import InvalidSetting, RegistryError
from stoker.net.hosts import hosts_of, is_plain_url
from stoker.net.options import NetOptions, net_options_of
from stoker.net.reach import Reach, literal_of, reach_of
from stoker.net.service import Service
from stoker.net.tls import certificate_directories
from stoker.oci.defaults import DEFAULT_REGISTRY
from stoker.registry.place import HUB_API_HOST

CATALOGUE: Final = "https://hub.docker.com"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})


REGISTRY: Final = Service(
    noun="registry",
    failure=RegistryError,
    untrusted="add its authority with SSL_CERT_FILE or ~/.docker/certs.d/<host>/ca.crt",
    no_tls="if the registry speaks plain HTTP, set INSECURE_REGISTRY={host}",
    unknown="check the spelling of the registry, and this machine's DNS and network",
    silent="is the registry running, and does a firewall or proxy stand in between?",
)


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """How to talk to registries.

    `insecure` names hosts (`host` or `host:port`) spoken to without TLS; localhost, loopback
    addresses and `*.local` are so anyway unless `certs_d` knows them. The trusted hosts of `net`
    may be named as token realm even by a public registry. `mirrors` are asked before Docker Hub,
    for pulls only. `catalogue` is Docker Hub's website, which knows what there is.
    """

    net: NetOptions = field(default_factory=NetOptions)
    insecure: frozenset[str] = frozenset()
    insecure_all: bool = False
    mirrors: tuple[str, ...] = ()
    catalogue: str = CATALOGUE
    # Per upload request: larger than S3's smallest part (5 MiB), small enough to lose.
    upload_chunk: int = 8 * 1024 * 1024

    def scheme(self, host: str) -> str:
        """`http` or `https` for this `host[:port]`."""
        bare = host_of(host)
        if certificate_directories(self.net.certs_d, host):
            return "https"  # someone went to the trouble of giving it a certificate
        if self.insecure_all or host in self.insecure or bare in self.insecure:
            return "http"
        literal = literal_of(bare)
        if bare == "localhost" or bare.endswith((".localhost", ".local")):
            return "http"
        return "http" if literal and reach_of(literal) is Reach.LOOPBACK else "https"


def options_of(environ: Mapping[str, str] | None = None) -> RegistryOptions:
    """The options that these environment variables select. Raises InvalidSetting."""
    env = os.environ if environ is None else environ
    insecure = env.get("INSECURE_REGISTRY", "").strip().lower()
    return RegistryOptions(
        net=net_options_of(env),
        insecure=frozenset() if insecure in _TRUE | _FALSE else hosts_of(insecure),
        insecure_all=insecure in _TRUE,
        mirrors=_mirrors(env.get("MODEL_RUNNER_REGISTRY_MIRRORS", "")),
        catalogue=_catalogue(env.get("STOKER_DOCKER_HUB", "").strip() or CATALOGUE),
    )


def api_host(registry: str) -> str:
    """Where the API of a registry named in a reference lives."""
    return HUB_API_HOST if registry == DEFAULT_REGISTRY else registry


def host_of(host: str) -> str:
    """The host without its port, IPv6 brackets removed, lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _catalogue(text: str) -> str:
    if not is_plain_url(text):
        raise InvalidSetting(
            "STOKER_DOCKER_HUB is no plain http or https URL", hint=f"unset it for {CATALOGUE}"
        )
    return text.rstrip("/")


def _mirrors(text: str) -> tuple[str, ...]:
    parts = (part.strip().rstrip("/") for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))
