"""The hub's JSON and headers, decoded and bounded. Pure.

Shapes after https://huggingface.co/docs/hub/api and the `huggingface_hub` package.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from stoker.base.errors import InvalidReference, ParseError
from stoker.net.retry import parse_retry_after
from stoker.oci.digest import Digest, parse_digest
from stoker.oci.manifest import MAX_SIZE

_T = TypeVar("_T")

MAX_INFO: Final = 16 * 1024 * 1024
"""Bytes of a model's info: it lists every file, and some 100 KB of card data."""
MAX_PAGE: Final = 16 * 1024 * 1024
"""Bytes of one page of a listing: 1000 entries of some 300 bytes."""
MAX_PAGES: Final = 100
MAX_FILES: Final = 50_000
"""Of a repository; the hub itself advises against more than 100,000."""

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,254}")
_LINK = re.compile(r"<([^<>]{1,4096})>\s*;\s*rel=\"?next\"?")
_RESET = re.compile(r"(?:^|;)\s*t=(\d{1,9})(?:;|$)")


@dataclass(frozen=True, slots=True)
class RepoFile:
    """A file of a repository at one commit; `size` in bytes.

    `sha256` is known for files kept by LFS (all weights), `git_oid`, git's own hash, for the rest.
    """

    path: str
    size: int
    sha256: Digest | None = None
    git_oid: str = ""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """What comes before the name, empty at the top."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A repository at one commit. `modified` is RFC 3339, empty when the hub does not say."""

    name: str
    commit: str
    modified: str = ""
    gated: bool = False
    private: bool = False


class _WireInfo(msgspec.Struct):
    sha: str
    id: str = ""
    lastModified: str = ""  # noqa: N815  # the wire's name
    gated: Any = False
    private: bool = False


class _WireLfs(msgspec.Struct):
    oid: str
    size: int


class _WireEntry(msgspec.Struct):
    type: str
    path: str
    size: int = 0
    oid: str = ""
    lfs: _WireLfs | None = None


def check_repository(text: str) -> str:
    """`org/name`, or the bare name of an old repository. Raises InvalidReference."""
    parts = text.split("/")
    good = len(parts) <= 2 and all(_PART.fullmatch(part) for part in parts)
    if not good or ".." in text or text.endswith((".", "-")):
        shown = ascii(text if len(text) <= 100 else f"{text[:97]}...")
        raise InvalidReference(
            f"{shown} is not the name of a Hugging Face repository",
            hint="write it like hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
        )
    return text


def check_revision(text: str) -> str:
    """A branch, tag or commit. Raises InvalidReference."""
    if not _REVISION.fullmatch(text) or ".." in text:
        shown = ascii(text if len(text) <= 100 else f"{text[:97]}...")
        raise InvalidReference(f"{shown} is not a revision", hint="a branch, tag or commit id")
    return text


def parse_info(data: bytes, *, asked: str) -> ModelInfo:
    """Decode `/api/models/<name>/revision/<revision>`. Raises ParseError."""
    wire = _decode(data, _WireInfo, f"model info of {asked}")
    if not _COMMIT.fullmatch(wire.sha):
        raise ParseError(f"model info of {asked}: {wire.sha[:80]!a} is no commit id")
    return ModelInfo(
        name=wire.id or asked,
        commit=wire.sha,
        modified=_rfc3339(wire.lastModified),
        gated=bool(wire.gated),
        private=wire.private,
    )


def parse_page(data: bytes, *, asked: str) -> list[RepoFile]:
    """Decode one page of `/api/models/<name>/tree/<commit>`; folders are left out.

    Raises ParseError.
    """
    what = f"file list of {asked}"
    return [
        _file(entry, what)
        for entry in _decode(data, list[_WireEntry], what)
        if entry.type == "file"
    ]


def next_page(link: str | None) -> str | None:
    """The address of the page after this one, out of a `Link` header (RFC 8288)."""
    found = _LINK.search(link or "")
    return found[1] if found else None


def retry_after(said: str | None, rate_limit: str | None, *, now: float) -> float | None:
    """Seconds to wait: `Retry-After` (RFC 9110 section 10.2.3), else `t` of the hub's `RateLimit`.

    `now` is Unix time.
    """
    seconds = parse_retry_after(said, now=now)
    if seconds is not None:
        return seconds
    reset = _RESET.search(rate_limit or "")
    return float(reset[1]) if reset else None


def _file(entry: _WireEntry, what: str) -> RepoFile:
    size = entry.lfs.size if entry.lfs else entry.size
    if not 0 <= size <= MAX_SIZE:
        raise ParseError(f"{what}: {entry.path[:100]!a} has the impossible size {size}")
    if entry.lfs is None:
        oid = entry.oid if _SHA1.fullmatch(entry.oid) else ""
        return RepoFile(entry.path, size, git_oid=oid)
    try:
        digest = parse_digest(f"sha256:{entry.lfs.oid.removeprefix('sha256:')}")
    except ParseError as error:
        raise ParseError(f"{what}: {entry.path[:100]!a}: {error.message}") from error
    return RepoFile(entry.path, size, digest)


def _decode(data: bytes, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"{what}: {error}", hint="is HF_ENDPOINT a Hugging Face hub?") from error


def _rfc3339(text: str) -> str:
    """The moment as Go writes it (`2024-11-05T10:00:00Z`): equal moments give equal digests."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return ""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        whole = moment.astimezone(UTC).isoformat(timespec="microseconds")
    except OverflowError:
        return ""
    seconds, _, rest = whole.partition(".")
    fraction = rest[:6].rstrip("0")
    return f"{seconds}.{fraction}Z" if fraction else f"{seconds}Z"
