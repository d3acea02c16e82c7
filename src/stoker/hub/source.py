"""A Hugging Face repository seen as a Source: one model of it, at one commit."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final, TypeVar, final

from stoker.base.errors import (
    DigestMismatch,
    HubError,
    ModelNotFound,
    ParseError,
    UnsupportedFormat,
)
from stoker.formats.facts import Kind, ModelFacts
from stoker.formats.gguf import gguf_header
from stoker.formats.gguffacts import facts_of_gguf
from stoker.formats.hfconfig import MAX_CONFIG, parse_hfconfig
from stoker.formats.index import INDEX, MAX_INDEX, check_index, weights_of_index
from stoker.formats.need import MAX_TOTAL as MAX_GGUF_HEADER
from stoker.formats.need import Parser, run_async
from stoker.formats.quant import FileClass
from stoker.formats.safetensors import MAX_TOTAL, safetensors_header
from stoker.formats.safetensorsfacts import facts_of_safetensors
from stoker.hub.gather import each
from stoker.hub.ggufchoice import Variant
from stoker.hub.remote import Remote
from stoker.hub.select import Chosen, Selection
from stoker.hub.wire import ModelInfo, RepoFile
from stoker.net.ranges import HeldBody
from stoker.oci import mediatypes as mt
from stoker.oci.content import Body
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, digest_of
from stoker.oci.manifest import Manifest, manifest_bytes
from stoker.oci.modelconfig import docker_config_bytes
from stoker.planner.describe import model_config_of

_T = TypeVar("_T")

# The hub takes files above 10 MB only through LFS, which has their sha256.
MAX_UNHASHED: Final = 16 * 1024 * 1024
# Small files are kept after they were hashed, so that the transfer need not ask again.
MAX_HELD: Final = 64 * 1024 * 1024


@final
class HubSource:
    """Made by `HubClient.repository`; needs no closing, and lives no longer than its client."""

    def __init__(
        self,
        remote: Remote,
        info: ModelInfo,
        selection: Selection,
        variants: tuple[Variant, ...] = (),
    ) -> None:
        self._remote = remote
        self._info = info
        self._selection = selection
        self._variants = variants
        self._files: dict[Digest, RepoFile] = {}
        # Manifest, config and small files, by digest.
        self._held: dict[Digest, bytes] = {}
        self._root: Descriptor | None = None
        self._facts: ModelFacts | None = None
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"HubSource({self._info.name}@{self._info.commit[:12]})"

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user: what was selected and, after `resolve`, what to look out for."""
        warnings = self._facts.warnings if self._facts else ()
        return (*self._selection.notes, *warnings)

    @property
    def variants(self) -> dict[str, int]:
        """The quantizations there are of the selected GGUF model, and the bytes of each."""
        mine = self._selection.weights[:1]
        chosen = next((v for v in self._variants if v.files[:1] == mine), None)
        return {
            v.quantization: sum(file.size for file in v.files)
            for v in self._variants
            if chosen and v.quantization and not v.missing and v.family == chosen.family
        }

    @property
    def commit(self) -> str:
        """Everything of this source comes from it."""
        return self._info.commit

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(chosen.file.size for chosen in self._selection.files)

    async def resolve(self, name: str = "") -> Descriptor:
        """The manifest of the model; `name` matters only when it pins a digest (`…@sha256:…`).

        Reads the headers of all weights and every small file, no weights. The same commit always
        gives the same digest. Raises ModelNotFound, ParseError, DigestMismatch, SizeMismatch,
        RemoteError.
        """
        async with self._turn:
            if self._root is None:
                self._root = await self._build()
        pinned = name.rpartition("@")[2]
        if pinned.startswith("sha256:") and pinned != self._root.digest:
            raise ModelNotFound(
                f"{self._info.name} at commit {self._info.commit[:12]} is {self._root.digest},"
                f" not {pinned[:71]!a}",
                hint="the repository has moved on; leave the digest out for what it has now",
            )
        return self._root

    @contextlib.asynccontextmanager
    async def open(
        self, descriptor: Descriptor, *, at: int = 0, length: int | None = None
    ) -> AsyncIterator[Body]:
        """Read content from byte `at`, at most `length` bytes.

        Raises ModelNotFound for content that is not of this model, SizeMismatch, RemoteError;
        checking the digest is the sink's work.
        """
        held = self._held.get(descriptor.digest)
        file = self._files.get(descriptor.digest)
        start = min(max(at, 0), descriptor.size)
        if held is not None:
            end = len(held) if length is None else start + max(length, 0)
            yield HeldBody(held[start:end], start)
        elif file is None:
            raise ModelNotFound(f"{self._info.name} has no content {descriptor.digest}")
        elif start >= file.size or length == 0:
            yield HeldBody(b"", start)
        else:
            async with self._remote.open(self._info.commit, file, start, length) as body:
                yield body

    async def facts(self) -> ModelFacts:
        """What the headers of its weights say. Raises as `resolve`."""
        await self.resolve()
        if self._facts is None:
            raise AssertionError("resolving reads the headers")
        return self._facts

    async def _build(self) -> Descriptor:
        layers = await each(self._selection.files, self._layer)
        facts = await self._read_facts()
        if facts.kind in {Kind.ADAPTER, Kind.PROJECTOR}:
            raise UnsupportedFormat(
                f"{self._info.name}: {self._selection.weights[0].path!a} is only the"
                f" {facts.kind.value} of a model",
                hint="pull the repository of the model that it belongs to",
            )
        self._facts = facts
        gguf = self._selection.format is FileClass.GGUF
        config = docker_config_bytes(
            replace(
                model_config_of(facts),
                created=self._info.modified,
                diff_ids=tuple(layer.digest for layer in layers),
            )
        )
        kind = mt.DOCKER_CONFIG_V01 if gguf else mt.DOCKER_CONFIG_V02
        manifest = Manifest(Descriptor.of(config, kind), tuple(layers))
        document = manifest_bytes(manifest)
        root = Descriptor.of(document, manifest.media_type)
        self._held[manifest.config.digest] = config
        self._held[root.digest] = document
        return root

    async def _layer(self, chosen: Chosen) -> Descriptor:
        file = chosen.file
        digest = file.sha256 or await self._hashed(file)
        self._files.setdefault(digest, file)
        annotations = {mt.ANNOTATION_FILEPATH: file.path, mt.ANNOTATION_MEDIATYPE_UNTESTED: "false"}
        return Descriptor(chosen.media_type, digest, file.size, annotations)

    async def _hashed(self, file: RepoFile) -> Digest:
        """Fetch a file that the hub has no sha256 of; git's own hash tells whether it is it."""
        if file.size > MAX_UNHASHED:
            raise HubError(
                f"{self._info.name}: the hub gives no sha256 for {file.path!a} ({file.size} bytes)",
                origin=self._remote.host,
            )
        data = await self._remote.read(self._info.commit, file, 0, file.size)
        blob = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
        blob.update(data)
        if file.git_oid and blob.hexdigest() != file.git_oid:
            raise DigestMismatch(
                f"{self._info.name}: {file.path!a} is not the file that was listed",
                hint="the repository or a cache in between has changed; try again",
            )
        digest = digest_of(data)
        if sum(map(len, self._held.values())) + len(data) <= MAX_HELD:
            self._held[digest] = data
        return digest

    async def _read_facts(self) -> ModelFacts:
        weights = self._selection.weights
        if self._selection.format is FileClass.GGUF:
            return facts_of_gguf(
                *await each(
                    weights,
                    lambda f: self._header(f, gguf_header(file_size=f.size), MAX_GGUF_HEADER),
                )
            )
        headers = await each(
            weights, lambda f: self._header(f, safetensors_header(file_size=f.size), MAX_TOTAL)
        )
        index = self._selection.find(INDEX)
        if index:
            named = weights_of_index(await self._read(index, 0, MAX_INDEX + 1))
            shards = dict(zip((f.path for f in weights), headers, strict=True))
            check_index(self._info.name, named, shards)
        file = self._selection.find("config.json")
        config = parse_hfconfig(await self._read(file, 0, MAX_CONFIG + 1)) if file else None
        kinds = {chosen.media_type for chosen in self._selection.files}
        return facts_of_safetensors(
            headers, config, has_chat_template=mt.DOCKER_CHAT_TEMPLATE in kinds
        )

    async def _header(self, file: RepoFile, parser: Parser[_T], limit: int) -> _T:
        try:
            return await run_async(
                parser, lambda at, length: self._read(file, at, length), max_bytes=limit
            )
        except ParseError as error:
            raise ParseError(
                f"{self._info.name}: {file.path!a}: {error.message}",
                offset=error.offset,
                hint=error.hint,
            ) from error

    async def _read(self, file: RepoFile, at: int, length: int) -> bytes:
        for digest, known in self._files.items():
            if known is file and digest in self._held:
                return self._held[digest][at : at + length]
        return await self._remote.read(self._info.commit, file, at, length)
