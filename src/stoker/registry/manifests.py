"""Checking a manifest answer: its digest, its type, and which manifest an index means. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from stoker.base.errors import DigestMismatch, ParseError, UnsupportedFormat
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, digest_of, hasher_for, parse_digest
from stoker.oci.manifest import MAX_METADATA, parse_index
from stoker.oci.mediatypes import DOCKER_MANIFEST, MANIFESTS, OCI_INDEX, OCI_MANIFEST

DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES: Final = frozenset({OCI_INDEX, DOCKER_INDEX})
ACCEPT: Final = f"{OCI_MANIFEST}, {DOCKER_MANIFEST}, {OCI_INDEX}, {DOCKER_INDEX}"
# BuildKit puts these beside the real manifests of an index.
_REFERENCE_TYPE: Final = "vnd.docker.reference.type"


class _Shape(msgspec.Struct, rename="camel"):
    """The keys that tell a manifest from an index; an absent one is an empty `Raw`."""

    media_type: str | None = None
    config: msgspec.Raw = msgspec.Raw()
    layers: msgspec.Raw = msgspec.Raw()
    manifests: msgspec.Raw = msgspec.Raw()


def check_manifest(
    data: bytes, headers: Mapping[str, str], *, wanted: Digest | None, where: str
) -> Descriptor:
    """The descriptor of these manifest or index bytes.

    Asked by digest, the bytes must have it; asked by tag, they must have the digest that the
    registry claims. Raises DigestMismatch, ParseError, UnsupportedFormat.
    """
    claimed = wanted or _claimed_digest(headers)
    if claimed and claimed != (found := _digest_like(claimed, data)):
        raise DigestMismatch(
            f"the manifest of {where} has the digest {found}, wanted {claimed}",
            hint="the registry or something in between changed it; do not trust this copy",
        )
    media_type = _media_type(data, headers.get("Content-Type", ""), where)
    return Descriptor(media_type, wanted or digest_of(data), len(data))


def only_manifest(data: bytes, where: str) -> Descriptor:
    """The one model manifest of an index. Raises UnsupportedFormat unless there is exactly one."""
    suitable = [
        descriptor
        for descriptor in parse_index(data).manifests
        if descriptor.media_type in MANIFESTS and _REFERENCE_TYPE not in descriptor.annotations
    ]
    if len(suitable) != 1:
        listed = ", ".join(descriptor.digest for descriptor in suitable[:4]) or "none"
        raise UnsupportedFormat(
            f"{where} is an index of {len(suitable)} manifests; a model is one manifest",
            hint=f"name one of them by its digest: {listed}" if suitable else None,
        )
    return suitable[0]


def check_child(data: bytes, descriptor: Descriptor, where: str) -> None:
    """The bytes must be what the descriptor says. Raises DigestMismatch."""
    found = _digest_like(descriptor.digest, data)
    if found != descriptor.digest:
        raise DigestMismatch(
            f"the manifest of {where} has the digest {found}, wanted {descriptor.digest}"
        )


def _claimed_digest(headers: Mapping[str, str]) -> Digest | None:
    """`Docker-Content-Digest`, optional in the distribution specification."""
    text = headers.get("Docker-Content-Digest", "").strip()
    return parse_digest(text) if text else None


def _digest_like(like: Digest, data: bytes) -> Digest:
    hasher = hasher_for(like)
    hasher.update(data)
    return Digest(f"{like.partition(':')[0]}:{hasher.hexdigest()}")


def _media_type(data: bytes, content_type: str, where: str) -> str:
    """The type that header and body agree on.

    A document that could be read as manifest and as index is refused, after the image
    specification's advice on CVE-2021-41190.
    """
    if len(data) > MAX_METADATA:
        raise ParseError(f"the manifest of {where} is larger than {MAX_METADATA} bytes")
    try:
        shape = msgspec.json.decode(data, type=_Shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"the manifest of {where} is no JSON object: {error}") from error
    lists_manifests = bool(memoryview(shape.manifests))
    if lists_manifests and (memoryview(shape.layers) or memoryview(shape.config)):
        raise UnsupportedFormat(f"{where} is a manifest and an index at once; refused")
    header = content_type.partition(";")[0].strip().lower()
    known = MANIFESTS | INDEXES
    kind = shape.media_type or (header if header in known else "")
    if not kind:
        kind = OCI_INDEX if lists_manifests else OCI_MANIFEST
    if header in known and header != kind:
        raise UnsupportedFormat(f"{where} is sent as {header} but calls itself {kind[:100]!r}")
    if kind not in known or (kind in INDEXES) != lists_manifests:
        raise UnsupportedFormat(
            f"{where} is of the type {kind[:100]!r}, not a model manifest",
            hint="it may be a container image of an old kind",
        )
    return kind
