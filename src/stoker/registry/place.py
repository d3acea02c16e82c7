"""How a host is called: in messages, in credentials, in settings. Pure."""

from yarl import URL


def host_name(url: URL) -> str:
    """`host`, or `host:port` when the port is not the scheme's own: as users write it."""
    return url.host_port_subcomponent or ""
