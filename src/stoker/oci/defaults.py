"""What a model's name may leave out, and its short form, which does."""

from typing import Final

DEFAULT_REGISTRY: Final = "docker.io"
DEFAULT_NAMESPACE: Final = "ai"
DEFAULT_TAG: Final = "latest"


def display_name(canonical: str, *, default_registry: str = DEFAULT_REGISTRY) -> str:
    """The short form shown in tables: without default registry, `ai/` and `:latest`."""
    short = canonical
    for prefix in ("index.docker.io/", f"{default_registry}/"):
        if short.startswith(prefix):
            short = short.removeprefix(prefix)
            break
    return short.removeprefix(f"{DEFAULT_NAMESPACE}/").removesuffix(f":{DEFAULT_TAG}")
