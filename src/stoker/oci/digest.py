"""Content digests after the OCI image specification, descriptor.md, "Digests"."""

import hashlib
import re
from typing import NewType, Protocol

from stoker.base.errors import ParseError

Digest = NewType("Digest", str)
"""A checked `sha256:<64 hex>` or `sha512:<128 hex>`: safe to build a path from."""

# "Implementations MAY implement ... sha512"; upper case hex "MUST NOT" be used.
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class Hasher(Protocol):
    """What `hashlib` hands out, as far as we use it."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


def parse_digest(text: str) -> Digest:
    """Check a digest string. Raises ParseError on anything but the two registered algorithms."""
    if not _DIGEST.fullmatch(text):
        shown = text if len(text) <= 100 else f"{text[:100]}..."
        raise ParseError(f"not a digest: {shown!r} (wanted sha256:<64 lower-case hex digits>)")
    return Digest(text)


def digest_of(data: bytes) -> Digest:
    """The sha256 digest of these bytes."""
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def split_digest(digest: Digest) -> tuple[str, str]:
    """Algorithm and hex part."""
    algorithm, _, encoded = digest.partition(":")
    return algorithm, encoded


def hasher_for(digest: Digest) -> Hasher:
    """A fresh hasher of the digest's algorithm."""
    return hashlib.new(split_digest(digest)[0])


def short_id(digest: Digest) -> str:
    """The 12 hex digits shown to people."""
    return split_digest(digest)[1][:12]
