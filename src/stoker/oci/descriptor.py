"""Descriptor: the OCI way to point at content (image specification, descriptor.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from stoker.oci.digest import Digest, digest_of


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Media type, digest and size in bytes of one piece of content."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @classmethod
    def of(cls, data: bytes, media_type: str) -> "Descriptor":
        """The descriptor of bytes at hand."""
        return cls(media_type, digest_of(data), len(data))
