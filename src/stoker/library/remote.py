"""Models that are not here yet: what their headers say, read where they lie."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar, final

from stoker.base.errors import ModelNotFound, UnsupportedFormat
from stoker.formats import ModelFacts, Parser, facts_of_gguf, gguf_header
from stoker.formats.hfconfig import parse_hfconfig
from stoker.formats.need import MAX_TOTAL, run_async
from stoker.formats.safetensors import MAX_TOTAL as MAX_SAFETENSORS
from stoker.formats.safetensors import safetensors_header
from stoker.formats.safetensorsfacts import facts_of_safetensors
from stoker.hub import HubClient
from stoker.library.files import ModelFile, Role, files_of, format_of
from stoker.oci.content import Source
from stoker.oci.defaults import DEFAULT_REGISTRY
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import Manifest, parse_manifest
from stoker.oci.modelconfig import ModelConfig, check_config_type, parse_config
from stoker.oci.reference import Reference, parse_reference
from stoker.planner.spec import Format, ModelSpec
from stoker.registry.client import RegistryClient
from stoker.store import Store
from stoker.store.headers import gguf_facts
from stoker.transfer.glance import Glance, read_small

_T = TypeVar("_T")

_NOWHERE: Final = Digest(f"sha256:{'0' * 64}")
"""Id of a bundled model before it is an artifact."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that a pull would bring. Sizes in bytes.

    `spec` is what would be run, though its files are nowhere yet. `download`: what is not in the
    store already; `quantizations`: the variants beside it, by name.
    """

    spec: ModelSpec
    facts: ModelFacts
    download: int
    quantizations: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model elsewhere, as its manifest and its configuration describe it."""

    descriptor: Descriptor
    manifest: Manifest
    config: ModelConfig


@final
class RemoteModels:
    """Looks at models in registries and at the hub. `bundled`: the file of one that needs none."""

    def __init__(
        self,
        store: Store,
        registries: RegistryClient,
        hub: HubClient,
        *,
        bundled: Callable[[Reference], Path | None],
        default_registry: str = DEFAULT_REGISTRY,
    ) -> None:
        self._store = store
        self._registries = registries
        self._hub = hub
        self._bundled = bundled
        self._default_registry = default_registry

    async def look(self, text: str, *, token: str | None = None) -> Offer:
        """What a pull of this name would bring. Reads headers, and no weights.

        Raises InvalidReference, ModelNotFound, UnsupportedFormat, ParseError, RemoteError.
        """
        reference = self._reference(text)
        if reference.is_hub:
            source = await self._hub.model(reference, text, token=token)
            offer = await self._offer(source, reference, await source.facts())
            return Offer(offer.spec, offer.facts, offer.download, source.variants)
        file = self._bundled(reference)
        if file is not None:
            return _of_file(file, reference)
        return await self._offer(self._registries.repository(reference), reference, None)

    async def inspect(self, text: str, *, token: str | None = None) -> RemoteModel:
        """The model that a pull of this name would bring. Reads manifest and configuration only.

        Raises InvalidReference, ModelNotFound, UnsupportedFormat, ParseError, RemoteError.
        """
        reference = self._reference(text)
        if self._bundled(reference) is not None:
            raise ModelNotFound(
                f"{text} is in no registry: it comes along with Stoker", hint=f"stoker pull {text}"
            )
        source: Source = (
            await self._hub.model(reference, text, token=token)
            if reference.is_hub
            else self._registries.repository(reference)
        )
        root, manifest = await _manifest(source, reference)
        blob = await read_small(source, manifest.config, f"configuration of {reference}")
        return RemoteModel(root, manifest, parse_config(blob, manifest.config.media_type))

    def _reference(self, text: str) -> Reference:
        return parse_reference(text, default_registry=self._default_registry)

    async def _offer(self, source: Source, reference: Reference, facts: ModelFacts | None) -> Offer:
        root, manifest = await _manifest(source, reference)
        files = files_of(manifest)
        kind = format_of(files)
        weights = [file for file in files if file.role is Role.WEIGHTS and file.descriptor]
        if facts is None:
            facts = await _facts(source, kind, weights, files)
        if facts is None or kind is None:
            raise UnsupportedFormat(
                f"{reference} cannot be planned before it is pulled",
                hint=f"its weights lie in an archive or in a format without headers:"
                f" stoker pull {reference}",
            )
        projectors = [file.size for file in files if file.role is Role.MMPROJ]
        spec = ModelSpec(
            id=root.digest,
            name=str(reference),
            format=kind,
            weights=Path(weights[0].path),
            weights_size=sum(file.size for file in weights),
            mmproj_size=sum(projectors[:1]),
            context_size=facts.context_size,
            architecture=facts.architecture,
        )
        return Offer(spec, facts, self._missing(manifest))

    def _missing(self, manifest: Manifest) -> int:
        """Bytes that a pull would fetch: a blob that is here is not fetched again."""
        blobs = {blob.digest: blob for blob in manifest.blobs}.values()
        return sum(blob.size for blob in blobs if not self._store.blobs.has(blob))


async def _manifest(source: Source, reference: Reference) -> tuple[Descriptor, Manifest]:
    """Raises UnsupportedFormat for artifacts that are no models."""
    root = await source.resolve("")
    manifest = parse_manifest(await read_small(source, root, f"manifest of {reference}"))
    check_config_type(manifest.config.media_type)
    return root, manifest


def _of_file(file: Path, reference: Reference) -> Offer:
    facts = gguf_facts(file)
    size = file.stat().st_size
    spec = ModelSpec(
        id=_NOWHERE,
        name=str(reference),
        format=Format.GGUF,
        weights=file,
        weights_size=size,
        context_size=facts.context_size,
        architecture=facts.architecture,
    )
    return Offer(spec, facts, 0)


async def _facts(
    source: Source, kind: Format | None, weights: list[ModelFile], files: tuple[ModelFile, ...]
) -> ModelFacts | None:
    if kind is Format.GGUF:
        return facts_of_gguf(
            *[
                await _header(source, file, gguf_header(file_size=file.size), MAX_TOTAL)
                for file in weights
            ]
        )
    if kind is not Format.SAFETENSORS:
        return None
    headers = [
        await _header(source, file, safetensors_header(file_size=file.size), MAX_SAFETENSORS)
        for file in weights
    ]
    found = (file.descriptor for file in files if file.path == "config.json")
    config = next(found, None)
    shape = parse_hfconfig(await read_small(source, config, "config.json")) if config else None
    return facts_of_safetensors(headers, shape)


async def _header(source: Source, file: ModelFile, parser: Parser[_T], most: int) -> _T:
    if file.descriptor is None:
        raise AssertionError("weights in archives are sorted out before")
    async with Glance(source, file.descriptor) as glance:
        return await run_async(parser, glance.read, max_bytes=most)
