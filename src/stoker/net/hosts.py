"""How a host is called, in messages and in settings. Pure."""

from yarl import URL


def host_name(url: URL) -> str:
    """`host`, or `host:port` when the port is not the scheme's own: as users write it."""
    return url.host_port_subcomponent or ""


def hosts_of(text: str) -> frozenset[str]:
    """The entries of a comma-separated list, lower case."""
    return frozenset(part.strip() for part in text.lower().split(",") if part.strip())


def is_plain_url(text: str) -> bool:
    """An http(s) URL of a host, maybe with a path, and nothing else: what a setting may name."""
    try:
        url = URL(text)
        usable = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except ValueError:
        return False
    return usable and not (url.user or url.password or url.query_string or url.fragment)
