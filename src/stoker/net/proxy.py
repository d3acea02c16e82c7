"""Which proxy a URL goes through, after the conventions of curl and Go. Pure."""

import ipaddress
from collections.abc import Mapping

from yarl import URL

from stoker.base.errors import InvalidSetting
from stoker.net.reach import literal_of


def proxy_for(url: URL, proxies: Mapping[str, str]) -> URL | None:
    """The proxy for this URL, or None. `proxies` has the keys http, https, all and no."""
    host = str(url.raw_host).lower()
    literal = literal_of(host)
    if host == "localhost" or host.endswith(".localhost") or (literal and literal.is_loopback):
        return None  # as in Go: a proxy cannot know our own loopback
    text = proxies.get(url.scheme) or proxies.get("all")
    if not text or any(_covers(rule, host, url.port) for rule in proxies.get("no", "").split(",")):
        return None
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        # Not shown: it may hold a password.
        raise InvalidSetting(
            f"the proxy setting for {url.scheme} is no URL",
            hint="set HTTPS_PROXY and HTTP_PROXY like http://proxy.example.com:3128",
        ) from None
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        raise InvalidSetting(
            f"the proxy setting names a {proxy.scheme} proxy; only http and https work",
            hint="set HTTPS_PROXY to an http:// proxy, or NO_PROXY for this host",
        )
    return proxy


def _covers(rule: str, host: str, port: int | None) -> bool:
    """One entry of NO_PROXY: `*`, an address or network, a name with all below it, or host:port."""
    rule = rule.strip().lower()
    if rule in {"", "*"}:
        return rule == "*"
    literal = literal_of(host)
    if literal:
        try:
            return literal in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return rule in {f"{host}:{port}", f"[{host}]:{port}"}
    name, colon, wanted = rule.rpartition(":")
    if colon:
        if wanted != str(port):
            return False
        rule = name
    bare = rule.removeprefix("*").removeprefix(".")
    return host == bare or host.endswith(f".{bare}")
