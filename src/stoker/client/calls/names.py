"""Names inside routes."""

from urllib.parse import quote


def in_path(model: str) -> str:
    """A model name inside a path; its slashes and colons stay readable."""
    return quote(model, safe="/:@")


def engine_route(backend: str, rest: str) -> str:
    """A route of one engine, or without `backend` of the one that fits."""
    middle = f"/{quote(backend)}" if backend else ""
    return f"/engines{middle}{rest}"
