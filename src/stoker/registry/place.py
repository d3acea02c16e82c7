"""How a host is called: in messages, in credentials, in settings. Pure."""

from typing import Final

from yarl import URL

# "docker.io" is a name for people; the API lives here.
HUB_API_HOST: Final = "registry-1.docker.io"


def host_name(url: URL) -> str:
    """`host`, or `host:port` when the port is not the scheme's own: as users write it."""
    return url.host_port_subcomponent or ""


def login_command(host: str) -> str:
    """What to type to log in there."""
    return "docker login" if host == HUB_API_HOST else f"docker login {host}"
