"""Where a registry may send us, and our password, for a token. Pure (security row 8)."""

from typing import Final

from yarl import URL

from stoker.base.errors import Denied
from stoker.net.hosts import host_name
from stoker.net.reach import Reach, literal_of

# Registries whose token service lives under another registered domain.
_KNOWN: Final = frozenset({("nvcr.io", "authn.nvidia.com"), ("lscr.io", "ghcr.io")})

# Suffixes under which strangers register names side by side, as far as registries live there. The
# whole public suffix list is 10,000 lines; a missing entry here lets one tenant of a cloud name
# another tenant's host as realm, never an address that `network` refuses.
_SHARED_SUFFIXES: Final = frozenset({
    "co.uk", "org.uk", "ac.uk", "gov.uk", "com.au", "net.au", "org.au", "co.nz", "co.jp", "or.jp",
    "ne.jp", "ac.jp", "com.br", "com.cn", "net.cn", "org.cn", "com.tw", "com.hk", "com.sg",
    "com.tr", "com.mx", "com.ar", "co.in", "co.kr", "or.kr", "co.za", "co.il", "com.pl",
    "azurecr.io", "azurecr.cn", "azurewebsites.net", "cloudapp.net", "amazonaws.com",
    "amazonaws.com.cn", "cloudfront.net", "aliyuncs.com", "myhuaweicloud.com", "tencentcr.com",
    "run.app", "appspot.com", "web.app", "github.io", "gitlab.io", "herokuapp.com", "fly.dev",
    "fly.io", "onrender.com", "vercel.app", "netlify.app", "pages.dev", "workers.dev", "ngrok.io",
    "ngrok.app", "ngrok-free.app", "trycloudflare.com", "duckdns.org", "jfrog.io", "scw.cloud",
    "ovh.net", "nip.io", "sslip.io",
})  # fmt: skip


def check_realm(
    realm: str, registry: URL, reach: Reach, trusted: frozenset[str]
) -> tuple[URL, Reach]:
    """The realm's URL, and the least private address it may have. Raises Denied.

    `reach` is that of the host that sent the challenge. A realm is good on the registry's own host,
    within its registered domain, as a known pair, or named as trusted. A private registry may use
    any other private host, since a company's token service often has a name of its own; so that
    no public host gets the password then, the second value is PRIVATE.
    """
    host = host_name(registry)
    try:
        url = URL(realm)
        usable = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except ValueError:
        raise Denied(f"{host} names a token service that is no URL", origin=host) from None
    if not usable or url.user is not None or url.password is not None:
        raise Denied(f"{host} names a token service that is no plain URL", origin=host)
    if registry.scheme == "https" and url.scheme == "http":
        raise Denied(
            f"{host} wants the password sent without TLS to {host_name(url)}; refused", origin=host
        )
    ours, theirs = str(registry.raw_host).lower(), str(url.raw_host).lower()
    url = url.with_fragment(None)
    if ours == theirs or (ours, theirs) in _KNOWN or {theirs, host_name(url)} & trusted:
        return url, Reach.PUBLIC
    domain = registered_domain(ours)
    if domain and domain == registered_domain(theirs):
        return url, Reach.PUBLIC
    if reach is not Reach.PUBLIC:
        return url, Reach.PRIVATE
    raise Denied(
        f"{host} names a token service elsewhere, {host_name(url)}; refused",
        origin=host,
        hint=f"if you trust it, set STOKER_TRUSTED_HOSTS={host_name(url)}",
    )


def registered_domain(host: str) -> str | None:
    """`example.com` of `registry.eu.example.com`; None for addresses and bare names."""
    labels = host.rstrip(".").split(".")
    if literal_of(host) is not None or len(labels) < 2 or not all(labels):
        return None
    for take in (3, 2):
        if ".".join(labels[-take:]) in _SHARED_SUFFIXES:
            return ".".join(labels[-take - 1 :]) if len(labels) > take else None
    return ".".join(labels[-2:])
