"""Model names: what people type, and the one canonical form it has everywhere else.

Grammar after the distribution project's `reference` package; defaults (`docker.io`, `ai/`,
`:latest`, `hf.co`) as Docker Model Runner applies them. Parsing is total: a value or
InvalidReference. For every Reference `r`, `parse_reference(str(r)) == r`.
"""

import re
from dataclasses import dataclass
from typing import Final

from stoker.base.errors import InvalidReference
from stoker.oci.defaults import DEFAULT_NAMESPACE, DEFAULT_REGISTRY, DEFAULT_TAG
from stoker.oci.digest import Digest

HUB_REGISTRY: Final = "huggingface.co"

# "A name is limited to 255 characters" (distribution reference grammar); with tag and digest
# nothing longer than this can be right, so longer text is refused before any regex sees it.
_MAX_TEXT: Final = 255 + 1 + 128 + 1 + 136
_MAX_NAME: Final = 255
_MAX_PORT: Final = 65535

_DOMAIN = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[(?P<address>[0-9a-fA-F:]+)\])(?::(?P<port>[0-9]{1,5}))?"
)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_ID = re.compile(r"[0-9a-f]{12}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model in a registry. `digest`, when given, decides; `tag` is then only its local name."""

    registry: str
    repository: str
    tag: str = DEFAULT_TAG
    digest: Digest | None = None

    def __str__(self) -> str:
        """The canonical form, always with registry and tag: `docker.io/ai/smollm2:latest`."""
        pin = f"@{self.digest}" if self.digest else ""
        return f"{self.name}:{self.tag}{pin}"

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def is_hub(self) -> bool:
        """True when the model comes from Hugging Face and not from an OCI registry."""
        return self.registry == HUB_REGISTRY

    @property
    def tagged(self) -> "Reference":
        """The same without the digest: what it is called in the store."""
        return Reference(self.registry, self.repository, self.tag)


@dataclass(frozen=True, slots=True)
class ModelId:
    """The first 12 or all 64 hex digits of a manifest's sha256 digest."""

    prefix: str

    def __str__(self) -> str:
        return self.prefix

    def matches(self, digest: str) -> bool:
        """True when this is the beginning of that digest."""
        return digest.startswith(f"sha256:{self.prefix}")


Name = Reference | ModelId
"""What a name on the command line or in a request can turn out to be."""


def parse_name(text: str, *, default_registry: str = DEFAULT_REGISTRY) -> Name:
    """What a user typed: a reference, a model id (12 or 64 hex) or a bare `sha256:` digest.

    A 12-hex string may also be the name of a model: the library tries the id first and then
    `parse_reference`. Raises InvalidReference.
    """
    body = text.strip()
    if _ID.fullmatch(body):
        return ModelId(body)
    if re.fullmatch(r"sha256:[0-9a-f]{64}", body):
        return ModelId(body.removeprefix("sha256:"))
    return parse_reference(body, default_registry=default_registry)


def parse_reference(text: str, *, default_registry: str = DEFAULT_REGISTRY) -> Reference:
    """Parse `[registry/][namespace/]name[:tag][@digest]` and fill in the defaults.

    The name is lower-cased, the tag keeps its case. Raises InvalidReference.
    """
    body = text.strip()
    if not body:
        raise InvalidReference("the model name is empty", hint="for example: stoker run pilot")
    if len(body) > _MAX_TEXT:
        raise _invalid(body, f"longer than {_MAX_TEXT} characters")
    if not body.isascii():
        # Before lower-casing: it would turn look-alikes such as the Kelvin sign into letters.
        raise _invalid(body, "only ASCII letters, digits and . _ - / : @ can be in a name")
    body, digest = _split_digest(body)
    name, tag = _split_tag(body)
    registry, repository = _split_registry(name.lower(), default_registry)
    _check(text, registry, repository, tag)
    return Reference(registry, repository, tag, digest)


def _split_digest(body: str) -> tuple[str, Digest | None]:
    name, at, digest = body.partition("@")
    if not at:
        return body, None
    if not _DIGEST.fullmatch(digest):
        raise _invalid(body, "what follows @ is not sha256:<64 lower-case hex digits>")
    return name, Digest(digest)


def _split_tag(body: str) -> tuple[str, str]:
    """A colon after the last slash starts a tag; before it, it starts a port."""
    colon = body.rfind(":")
    if colon <= body.rfind("/"):
        return body, DEFAULT_TAG
    return body[:colon], body[colon + 1 :] or DEFAULT_TAG


def _split_registry(name: str, default_registry: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash:
        return default_registry, f"{DEFAULT_NAMESPACE}/{name}"
    # As in Docker: only a dot or a port makes the first component a registry.
    if "." in first or ":" in first:
        return _canonical_registry(first), rest
    return default_registry, name


def _canonical_registry(registry: str) -> str:
    return {"index.docker.io": DEFAULT_REGISTRY, "hf.co": HUB_REGISTRY}.get(registry, registry)


def _check(text: str, registry: str, repository: str, tag: str) -> None:
    if not _is_registry(registry):
        raise _invalid(text, f"{_quote(registry)} is not a registry host")
    if len(registry) + 1 + len(repository) > _MAX_NAME:
        raise _invalid(text, f"the name is longer than {_MAX_NAME} characters")
    for component in repository.split("/"):
        if not component:
            raise _invalid(text, "something is missing before or after a slash")
        if not _COMPONENT.fullmatch(component):
            raise _invalid(
                text,
                f"{_quote(component)} may hold only a-z, 0-9 and single . _ or - between them",
            )
    if not _TAG.fullmatch(tag):
        raise _invalid(text, f"the tag {_quote(tag)} may hold only letters, digits, _ . and -")


def _is_registry(text: str) -> bool:
    """A host, maybe with a port; both must be possible, for a URL will be made of them."""
    found = _DOMAIN.fullmatch(text)
    if not found or int(found["port"] or 0) > _MAX_PORT:
        return False
    if not found["address"]:
        return True
    import ipaddress  # noqa: PLC0415  # few have one in a name, and it costs a start 2 ms

    try:
        ipaddress.IPv6Address(found["address"])
    except ValueError:
        return False
    return True


def _quote(text: str) -> str:
    # ascii() escapes control and look-alike characters: the text may end in a log or a terminal.
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


def _invalid(text: str, why: str) -> InvalidReference:
    return InvalidReference(
        f"invalid model reference {_quote(text)}: {why}",
        hint="write it like smollm2, myorg/model:Q4_K_M or registry.example.com/team/model:tag",
    )


def hub_repository(text: str) -> str:
    """`org/repo` with its case kept, out of `hf.co/Org/Repo:TAG`; the hub is case-sensitive."""
    body = text.strip().partition("@")[0]
    name, _ = _split_tag(body)
    return name.partition("/")[2]
