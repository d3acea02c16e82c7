"""llama.cpp as others have built it: an archive at an address of the user's, pinned by its digest.

The digest is the user's word for what may run here, so nothing is unpacked before it is verified.
Stoker keeps no list of releases: whoever publishes one says its digest beside it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Final

from yarl import URL

from stoker.base.errors import DigestMismatch, InvalidSetting, RemoteError, StorageError
from stoker.engines.llamacpp_kits import GPUS
from stoker.engines.llamacpp_program import NAME, Program, version_of
from stoker.engines.recipe import Places, Recipe, Step
from stoker.net.options import NetOptions
from stoker.net.ranges import total_of
from stoker.net.request import Request
from stoker.net.service import Service
from stoker.net.transport import Transport
from stoker.oci.digest import Digest, hasher_for, parse_digest, short_id

logger = logging.getLogger(__name__)

LLAMA_SERVER: Final = "bin/llama-server"
"""Below a build's directory, see `release_unpack`."""
_WORKER: Final = Path(__file__).with_name("release_unpack.py")
_GIB: Final = 1024**3
_CHUNK: Final = 1024 * 1024

SERVICE: Final = Service(
    noun="download",
    failure=RemoteError,
    untrusted="its certificate is not trusted here: SSL_CERT_FILE can name another authority",
    no_tls="{host} does not speak TLS; write http:// if that is what you want",
    unknown="is the address right, and is there a network?",
    silent="is the address right, and does {host} run?",
)


@dataclass(frozen=True, slots=True)
class Release:
    """`address` is `http:`, `https:` or `file:`."""

    address: URL
    digest: Digest


def parse_release(address: str, digest: str) -> Release:
    """Check both. Raises InvalidSetting, ParseError."""
    try:
        url = URL(address)
    except ValueError as error:
        raise InvalidSetting(f"{address!r} is no address: {error}") from error
    if url.scheme not in ("http", "https", "file") or not (url.host or url.scheme == "file"):
        raise InvalidSetting(f"{address!r} is no address of a file", hint="http, https or a path")
    if not digest:
        raise InvalidSetting(
            "an archive needs --digest sha256:...: what it holds will run here",
            hint="its publisher says it: on GitHub, beside the file in the list of a release",
        )
    return Release(url, parse_digest(digest))


def release_recipe(release: Release, gpu: str, places: Places) -> Recipe:
    """How its archive, once it is here, becomes a build. Raises InvalidSetting for a GPU."""
    if gpu not in GPUS:
        raise InvalidSetting(
            f'unknown GPU specification: "{gpu}"', hint=f"llama.cpp knows {', '.join(GPUS)}"
        )
    archive = str(archive_of(release, places.cache))
    argv = (places.python, "-I", str(_WORKER), archive, str(places.staging))
    return Recipe(
        engine=NAME,
        variant="release" if gpu in ("auto", "none") else f"release-{gpu}",
        version="",
        requirement=release.digest,
        program=LLAMA_SERVER,
        steps=(Step("unpacking it", argv),),
        disk=2 * _GIB,
        memory=0,
        scratch=(_folder(release, places.cache),),
    )


def settled(recipe: Recipe, staging: Path) -> Recipe:
    """The recipe with the version that the program says it has."""
    return replace(recipe, version=version_of(Program("release", staging / LLAMA_SERVER)))


def archive_of(release: Release, cache: Path) -> Path:
    """Where its archive is until it has become a build."""
    if release.address.scheme == "file":
        return Path(release.address.path)
    return _folder(release, cache) / "archive.tar"


def _folder(release: Release, cache: Path) -> Path:
    return cache / f"release-{short_id(release.digest)}"


async def fetch(
    release: Release, cache: Path, options: NetOptions, percent: Callable[[int | None], None]
) -> None:
    """See to it that the archive is here and verified; it is not downloaded a second time.

    `percent` hears how far the download is, None where nobody knows. Raises DigestMismatch,
    StorageError, Unreachable, Denied, RemoteError.
    """
    path = archive_of(release, cache)
    if release.address.scheme != "file" and not await asyncio.to_thread(path.exists):
        await _download(release, path, options, percent)
    await asyncio.to_thread(_verify, path, release)


async def _download(
    release: Release, path: Path, options: NetOptions, percent: Callable[[int | None], None]
) -> None:
    """Go on where an earlier attempt stopped, where the server can."""
    part = path.with_suffix(".part")
    percent(None)
    try:
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        with part.open("ab") as file:
            async with _answer(release, options, file.tell()) as (body, at, total):
                await asyncio.to_thread(file.truncate, at)
                said = 0
                async for chunk in body:
                    await asyncio.to_thread(file.write, chunk)
                    share = min(99, 100 * file.tell() // total) if total else 0
                    if share > said:
                        said = share
                        percent(share)
        part.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {part}: {error.strerror}") from error


@asynccontextmanager
async def _answer(
    release: Release, options: NetOptions, at: int
) -> AsyncIterator[tuple[AsyncIterator[bytes], int, int | None]]:
    """The archive from byte `at` on, or from 0 where that was refused; which, and its whole size.

    Raises RemoteError for any other answer.
    """
    request = Request("GET", release.address)
    if at:
        request = request.with_headers(Range=f"bytes={at}-")
    transport = Transport(options, SERVICE)
    try:
        async with transport.send(request) as response:
            granted = response.headers.get("Content-Range", "")
            if response.status == HTTPStatus.PARTIAL_CONTENT and granted.startswith(f"bytes {at}-"):
                async with aclosing(response.chunks()) as chunks:
                    yield chunks, at, total_of(granted)
            elif response.status == HTTPStatus.OK:
                async with aclosing(response.chunks()) as chunks:
                    yield chunks, 0, response.content_length
            elif at:  # beyond the end, or no ranges here
                async with _answer(release, options, 0) as whole:
                    yield whole
            else:
                raise RemoteError(
                    f"{response.host} answers {response.status} for {release.address.path}",
                    origin=response.host,
                    status=response.status,
                    hint="is it the address of the archive itself?",
                )
    finally:
        await transport.aclose()


def _verify(path: Path, release: Release) -> None:
    hasher = hasher_for(release.digest)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    algorithm = release.digest.partition(":")[0]
    found = f"{algorithm}:{hasher.hexdigest()}"
    if found == release.digest:
        return
    if release.address.scheme != "file":
        path.unlink(missing_ok=True)
    raise DigestMismatch(
        f"{release.address.name} is not what the digest says: it is {found}",
        hint="compare it with what the publisher says; nothing was unpacked",
    )
