"""Messages of `GET /search`, and the names of what is searched."""

from typing import Final

import msgspec

from stoker.base.errors import UserError

DOCKER_HUB: Final = "Docker Hub"
HUGGING_FACE: Final = "HuggingFace"
DEFAULT_LIMIT: Final = 32
MAX_LIMIT: Final = 1000

_SOURCES: Final = {
    "all": (DOCKER_HUB, HUGGING_FACE),
    "dockerhub": (DOCKER_HUB,),
    "docker": (DOCKER_HUB,),
    "hub": (DOCKER_HUB,),
    "huggingface": (HUGGING_FACE,),
    "hf": (HUGGING_FACE,),
}


class FoundModel(msgspec.Struct, rename="pascal"):
    """One model; the keys are Docker Model Runner's. `size` in bytes, 0 when nobody says."""

    name: str
    description: str
    downloads: int
    stars: int
    source: str
    official: bool
    updated_at: str
    backend: str
    size: int = 0


class SearchAnswer(msgspec.Struct):
    """`warnings` has a line for every source that failed while another did not."""

    models: list[FoundModel]
    warnings: list[str] = []


def sources_of(text: str) -> tuple[str, ...]:
    """What a `--source` means. Raises UserError with Docker Model Runner's text."""
    found = _SOURCES.get(text.strip().lower() or "all")
    if found is None:
        raise UserError(
            f'unknown source "{text}": valid options are '
            "'all', 'dockerhub', 'docker', 'hub', 'huggingface', 'hf'"
        )
    return found
