"""Docker Hub's two names, and how one logs in. Pure."""

from typing import Final

# "docker.io" is a name for people; the API lives here.
HUB_API_HOST: Final = "registry-1.docker.io"


def login_command(host: str) -> str:
    """What to type to log in there."""
    return "docker login" if host == HUB_API_HOST else f"docker login {host}"
