"""One repository of a registry, as Source and Sink (OCI distribution specification 1.1)."""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, final

from stoker.base.errors import (
    InvalidReference,
    ModelNotFound,
    RegistryError,
)
from stoker.net.ranges import HeldBody, Span, WireBody
from stoker.net.request import Request
from stoker.oci.content import Body, Ingest
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, parse_digest
from stoker.oci.manifest import MAX_METADATA
from stoker.oci.mediatypes import MANIFESTS
from stoker.oci.reference import Reference
from stoker.registry.endpoint import Endpoint, failure_of
from stoker.registry.errand import Errand, pull_scope, push_scope
from stoker.registry.manifests import ACCEPT, INDEXES, check_child, check_manifest, only_manifest
from stoker.registry.options import RegistryOptions
from stoker.registry.publish import ManifestUpload
from stoker.registry.reading import Readers
from stoker.registry.sessions import Place, UploadBook
from stoker.registry.upload import BlobUpload
from stoker.registry.upload_wire import UploadWire

_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# Manifests remembered between `resolve` and `open`; a copy needs one or two.
_HELD_MANIFESTS: Final = 8


@final
class Repository:
    """Content of one model name. Made by `RegistryClient.repository`; needs no closing."""

    def __init__(
        self,
        reference: Reference,
        endpoints: Sequence[Endpoint],
        *,
        book: UploadBook,
        options: RegistryOptions,
    ) -> None:
        self.reference: Final = reference
        # The last one is the registry itself; those before are mirrors of it, for reading.
        self._endpoint: Final = endpoints[-1]
        scope = pull_scope(reference.repository)
        pulling = Errand("pull", str(reference), frozenset({scope}))
        self._readers: Final = Readers(endpoints, pulling)
        scope = push_scope(reference.repository)
        self._pushing: Final = Errand("push", str(reference), frozenset({scope}))
        self._book = book
        self._chunk = options.upload_chunk
        self._policy = options.net.retry
        self._manifests: dict[Digest, bytes] = {}

    def __repr__(self) -> str:
        return f"Repository({self.reference.name})"

    async def resolve(self, name: str = "") -> Descriptor:
        """The model manifest behind a tag or digest; empty means the reference's own.

        An index is looked through when it holds exactly one manifest. Raises ModelNotFound,
        DigestMismatch, ParseError, UnsupportedFormat, RemoteError.
        """
        target = self._target(name)
        where = f"{self.reference.name}{'@' if ':' in target else ':'}{target}"
        wanted = parse_digest(target) if ":" in target else None
        data, headers = await self._get_manifest(target)
        found = check_manifest(data, headers, wanted=wanted, where=where)
        if found.media_type in INDEXES:
            found = only_manifest(data, where)
            data, _ = await self._get_manifest(found.digest)
            check_child(data, found, where)
        self._hold(found.digest, data)
        return found

    @contextlib.asynccontextmanager
    async def open(
        self, descriptor: Descriptor, *, at: int = 0, length: int | None = None
    ) -> AsyncIterator[Body]:
        """Read a blob or a manifest from byte `at`, at most `length` bytes.

        A registry that does not grant the range answers with everything: `Body.offset` is 0.
        Raises ModelNotFound, SizeMismatch, RemoteError; checking the digest is the sink's work.
        """
        span = Span.of(descriptor.size, at, length)
        if span.is_empty:
            yield HeldBody(b"", span.start)
        elif descriptor.media_type in MANIFESTS:
            data = await self._manifest(descriptor)
            yield HeldBody(data[span.start : span.end], span.start)
        else:
            async with contextlib.AsyncExitStack() as stack:
                body = await self._open_blob(stack, descriptor, span)
                self._book.saw(self._place(descriptor))
                yield body

    async def exists(self, descriptor: Descriptor) -> bool:
        """True when a push of this content would change nothing.

        A blob is there when the repository has it; a manifest only when the reference's tag means
        it, since pushing a manifest is what moves the tag.
        """
        if descriptor.media_type not in MANIFESTS:
            found = await self._wire(descriptor).is_there()
            if found:
                self._book.saw(self._place(descriptor))
            return found
        endpoint = self._endpoint
        url = endpoint.url(f"{self.reference.repository}/manifests/{self._target('')}")
        request = Request("HEAD", url, {"Accept": ACCEPT})
        async with endpoint.send(request, self._pushing) as response:
            if response.status == 404:
                return False
            if response.status != 200:
                raise await failure_of(response, self._pushing)
            return response.headers.get("Docker-Content-Digest") == descriptor.digest

    @contextlib.asynccontextmanager
    async def ingest(self, descriptor: Descriptor) -> AsyncIterator[Ingest]:
        """Push a blob, or the manifest under the reference's tag (or digest, when it has one).

        Left without a commit, an upload stays open in the registry, and the next `ingest` of this
        process goes on where it stopped. A blob that another repository of this registry is known
        to have is mounted from there: `offset` is then its size, and nothing is sent.
        """
        if descriptor.media_type in MANIFESTS:
            yield ManifestUpload(
                self._endpoint,
                self._pushing,
                repository=self.reference.repository,
                name=self._target(""),
                descriptor=descriptor,
            )
            return
        place = self._place(descriptor)
        async with self._book.writer(place) as waited:
            wire = self._wire(descriptor)
            upload = self._upload(wire, descriptor)
            try:
                if waited and await wire.is_there():
                    upload.finish()
                elif session := self._book.take(place):
                    await upload.resume(session)
                elif elsewhere := self._book.elsewhere(place):
                    await upload.mount(elsewhere)
                yield upload
            finally:
                if upload.is_complete:
                    self._book.saw(place)
                elif upload.session:
                    self._book.leave(place, upload.session)

    async def mount(self, descriptor: Descriptor, from_repository: str) -> bool:
        """Take a blob from another repository of this registry; False when it must be uploaded."""
        place = self._place(descriptor)
        upload = self._upload(self._wire(descriptor), descriptor)
        async with self._book.writer(place):
            await upload.mount(from_repository)
            if upload.is_complete:
                self._book.saw(place)
            else:
                await upload.restart()
        return upload.is_complete

    def _place(self, descriptor: Descriptor) -> Place:
        return Place(self._endpoint.host, self.reference.repository, descriptor.digest)

    def _upload(self, wire: UploadWire, descriptor: Descriptor) -> BlobUpload:
        return BlobUpload(wire, descriptor, chunk=self._chunk, policy=self._policy)

    def _wire(self, descriptor: Descriptor) -> UploadWire:
        return UploadWire(
            self._endpoint,
            self._pushing,
            repository=self.reference.repository,
            descriptor=descriptor,
        )

    async def _open_blob(
        self, stack: contextlib.AsyncExitStack, descriptor: Descriptor, span: Span
    ) -> WireBody:
        path = f"{self.reference.repository}/blobs/{descriptor.digest}"
        if not span.is_whole:
            attempt = await stack.enter_async_context(contextlib.AsyncExitStack())
            response = await self._readers.get(attempt, path, {"Range": span.header})
            if response.status == 206 and span.granted_by(response.headers.get("Content-Range")):
                return WireBody(response, span, descriptor.digest)
            if response.status == 200:
                return WireBody(response, span.whole, descriptor.digest)
            # 416, or a range nobody asked for: bytes of unknown place are worth nothing.
            await attempt.aclose()
        response = await self._readers.get(stack, path, {})
        if response.status != 200:
            raise RegistryError(
                f"{response.host} answered a plain download with status {response.status}",
                origin=response.host,
                status=response.status,
            )
        return WireBody(response, span.whole, descriptor.digest)

    async def _manifest(self, descriptor: Descriptor) -> bytes:
        held = self._manifests.get(descriptor.digest)
        if held is None:
            held, _ = await self._get_manifest(descriptor.digest)
            check_child(held, descriptor, self.reference.name)
            self._hold(descriptor.digest, held)
        return held

    async def _get_manifest(self, target: str) -> tuple[bytes, Mapping[str, str]]:
        path = f"{self.reference.repository}/manifests/{target}"
        async with contextlib.AsyncExitStack() as stack:
            response = await self._readers.get(stack, path, {"Accept": ACCEPT})
            return await response.read(MAX_METADATA), response.headers

    def _target(self, name: str) -> str:
        """A tag or digest out of what `resolve` was given."""
        own = self.reference.digest or self.reference.tag
        target = name.removeprefix(self.reference.name).lstrip(":@") if name else own
        if "@" in target:
            target = target.rpartition("@")[2]  # tag and digest: the digest decides
        if _TAG.fullmatch(target):
            return target
        if "/" in target:
            raise ModelNotFound(f"{name[:200]!r} is not a name within {self.reference.name}")
        if ":" not in target:
            raise InvalidReference(f"{name[:200]!r} is no tag or digest of {self.reference.name}")
        return parse_digest(target)

    def _hold(self, digest: Digest, data: bytes) -> None:
        if len(self._manifests) >= _HELD_MANIFESTS:
            self._manifests.clear()
        self._manifests[digest] = data
