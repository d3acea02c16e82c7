"""What an import finds, and the small things that all kinds of places need."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from stoker.base.errors import (
    IntegrityError,
    InvalidReference,
    ParseError,
    StorageError,
    UserError,
)
from stoker.distribution.artifact import Artifact
from stoker.distribution.layers import Hashed, created_of
from stoker.distribution.package import Plan, build
from stoker.oci.manifest import MAX_METADATA
from stoker.oci.reference import Reference, parse_reference
from stoker.store.headers import check_file

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Found:
    """A model that can be imported; `build` hashes its files, `size` bytes of them."""

    name: Reference
    size: int
    build: Callable[[Hashed], Artifact]
    notes: tuple[str, ...] = ()
    aliases: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something that should be a model and cannot be imported, and why."""

    where: str
    why: str


def each(
    places: Iterable[_T], find: Callable[[_T], Iterator[Found | Unusable]]
) -> Iterator[Found | Unusable]:
    """What is in these places; one that cannot be read does not hide the others."""
    for place in places:
        try:
            yield from find(place)
        except (ParseError, UserError, IntegrityError, StorageError) as error:
            yield Unusable(str(place), error.message)


def planned(plan: Plan, name: Reference) -> Found:
    def make(hashed: Hashed) -> Artifact:
        return build(plan, created=created_of(plan.paths), hashed=hashed)

    return Found(name, plan.size, make, plan.notes)


def reference(text: str, tag: str = "") -> Reference:
    """A name made of a file's: what no name may hold becomes a dash."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
    plain = "-".join(part for part in plain.split("-") if part)[:100]
    try:
        return parse_reference(f"{plain or 'model'}{f':{tag}' if tag else ''}")
    except InvalidReference:
        return parse_reference(plain or "model")


def reference_of(text: str, fallback: str, tag: str = "") -> Reference:
    try:
        return parse_reference(text)
    except InvalidReference:
        return reference(fallback, tag)


def read(path: Path) -> bytes:
    if check_file(path).st_size > MAX_METADATA:
        raise ParseError(f"{path} is larger than any file of its kind")
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def decode(path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(read(path), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"{path}: {error}") from error
