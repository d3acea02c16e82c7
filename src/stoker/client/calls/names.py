"""Names inside routes, and whose they are."""

from urllib.parse import quote

from stoker.wire.plan import HUB_TOKEN_HEADER


def in_path(model: str) -> str:
    """A model name inside a path; its slashes and colons stay readable."""
    return quote(model, safe="/:@")


def engine_route(backend: str, rest: str) -> str:
    """A route of one engine, or without `backend` of the one that fits."""
    middle = f"/{quote(backend)}" if backend else ""
    return f"/engines{middle}{rest}"


def hub_header(token: str) -> dict[str, str]:
    """What lets the daemon read a gated repository of Hugging Face."""
    return {HUB_TOKEN_HEADER: token} if token else {}
