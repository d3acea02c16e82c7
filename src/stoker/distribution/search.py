"""Models elsewhere: Docker Hub and Hugging Face asked together, one list."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

import msgspec

from stoker.base.errors import RemoteError, StokerError
from stoker.hub import FoundModel as HubModel
from stoker.hub import HubClient
from stoker.oci import mediatypes as mt
from stoker.oci.manifest import Manifest, parse_manifest
from stoker.oci.reference import parse_reference
from stoker.registry.catalogue import NAMESPACE, FoundRepository
from stoker.registry.client import RegistryClient
from stoker.wire.search import DOCKER_HUB, HUGGING_FACE, FoundModel, SearchAnswer

_UNKNOWN: Final = "unknown"
_BACKENDS: Final = {
    mt.DOCKER_GGUF: "llama.cpp",
    mt.CNCF_WEIGHT_GGUF: "llama.cpp",
    mt.DOCKER_SAFETENSORS: "vllm",
    mt.CNCF_WEIGHT_SAFETENSORS: "vllm",
    mt.DOCKER_DDUF: "diffusers",
    # What Hugging Face calls them.
    "gguf": "llama.cpp",
    "safetensors": "vllm",
}
_ENGINES: Final = tuple(dict.fromkeys(_BACKENDS.values()))
_DESCRIPTION: Final = 50
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for a source, and for a look at all models: somebody waits for the list."""

    source: float = 30.0
    models: float = 15.0


@final
class Searcher:
    """Asks the sources."""

    def __init__(
        self,
        registries: RegistryClient,
        hub: HubClient,
        *,
        default_registry: str,
        patience: Patience | None = None,
    ) -> None:
        self._registries = registries
        self._hub = hub
        self._default_registry = default_registry
        self._patience = patience or Patience()
        self._sources: dict[str, Callable[[str, int], Awaitable[list[FoundModel]]]] = {
            DOCKER_HUB: self._docker_hub,
            HUGGING_FACE: self._hugging_face,
        }

    async def __call__(self, term: str, *, limit: int, sources: Sequence[str]) -> SearchAnswer:
        """At most `limit` models, Docker Hub's first, each source's most downloaded first.

        A source that fails is a warning while another one answers. Raises RemoteError when none
        does.
        """
        answers = await asyncio.gather(*(self._ask(name, term, limit) for name in sources))
        failures = [answer for answer in answers if isinstance(answer, str)]
        if len(failures) == len(answers):
            raise RemoteError(
                f"all search sources failed: [{'; '.join(failures)}]", origin=", ".join(sources)
            )
        models = [model for answer in answers if not isinstance(answer, str) for model in answer]
        return SearchAnswer(
            await self._looked_into(models[:limit]),
            [f"failed to search {failure}" for failure in failures],
        )

    async def _ask(self, source: str, term: str, limit: int) -> list[FoundModel] | str:
        """What a source has, or the line that says why not."""
        seconds = self._patience.source
        try:
            async with asyncio.timeout(seconds):
                return await self._sources[source](term, limit)
        except TimeoutError:
            return f"{source}: no answer within {seconds:.0f} s"
        except StokerError as error:
            return f"{source}: {error.message}"

    async def _docker_hub(self, term: str, limit: int) -> list[FoundModel]:
        found = await self._registries.search(term, limit=limit)
        return [_of_docker_hub(repository) for repository in found]

    async def _hugging_face(self, term: str, limit: int) -> list[FoundModel]:
        found = await self._hub.search(term, limit=limit)
        return [_of_hugging_face(model) for model in found]

    async def _looked_into(self, models: Sequence[FoundModel]) -> list[FoundModel]:
        """The same with backend and size of those whose manifest has to tell."""
        free = asyncio.Semaphore(_AT_ONCE)
        end = asyncio.get_running_loop().time() + self._patience.models

        async def one(model: FoundModel) -> FoundModel:
            if model.source != DOCKER_HUB:
                return model
            try:
                async with asyncio.timeout_at(end), free:
                    manifest = await self._manifest(model.name)
            except (StokerError, TimeoutError):
                return model  # the list is good without
            return msgspec.structs.replace(
                model,
                size=manifest.size,
                backend=backends(layer.media_type for layer in manifest.layers),
            )

        return list(await asyncio.gather(*(one(model) for model in models)))

    async def _manifest(self, name: str) -> Manifest:
        reference = parse_reference(name, default_registry=self._default_registry)
        repository = self._registries.repository(reference)
        descriptor = await repository.resolve()
        async with repository.open(descriptor) as body:
            return parse_manifest(b"".join([chunk async for chunk in body]))


def backends(kinds: Iterable[str]) -> str:
    """The engines for weights of these media types or formats, in Docker Model Runner's order."""
    found = {_BACKENDS[kind] for kind in kinds if kind in _BACKENDS}
    return ", ".join(name for name in _ENGINES if name in found) or _UNKNOWN


def _of_docker_hub(found: FoundRepository) -> FoundModel:
    return FoundModel(
        name=found.name,
        description=_cut(found.description),
        downloads=found.downloads,
        stars=found.stars,
        source=DOCKER_HUB,
        official=found.name.startswith(f"{NAMESPACE}/"),
        updated_at=found.updated,
        backend=_UNKNOWN,
    )


def _of_hugging_face(found: HubModel) -> FoundModel:
    return FoundModel(
        name=found.name,
        description=_cut(", ".join([*filter(None, [found.task]), *found.topics]) or "AI model"),
        downloads=found.downloads,
        stars=found.likes,
        source=HUGGING_FACE,
        official=False,
        updated_at=found.modified,
        backend=backends(found.formats),
        size=found.size,
    )


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _DESCRIPTION else f"{flat[: _DESCRIPTION - 3]}..."
