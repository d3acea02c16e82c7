"""Model names as people type and read them here; `DEFAULT_REGISTRY` moves what may be left out."""

import os

from stoker.oci.reference import DEFAULT_REGISTRY, Name, Reference, parse_name, parse_reference
from stoker.oci.reference import display_name as _display_name


def default_registry() -> str:
    """The registry of names that name none."""
    return os.environ.get("DEFAULT_REGISTRY") or DEFAULT_REGISTRY


def shown(canonical: str) -> str:
    """The short form for tables."""
    return _display_name(canonical, default_registry=default_registry())


def named(text: str) -> Name:
    """What was typed: a reference or an id. Raises InvalidReference."""
    return parse_name(text, default_registry=default_registry())


def target(text: str) -> Reference:
    """What was typed where only a reference will do. Raises InvalidReference."""
    return parse_reference(text, default_registry=default_registry())


def fits(tag: str, wanted: str) -> bool:
    """True when `wanted` means this tag: with a tag exactly, without one any tag of the name."""
    if not tag:
        return False
    asked, found = named(wanted), named(tag)
    if not isinstance(asked, Reference) or not isinstance(found, Reference):
        return False
    exact = ":" in wanted.rpartition("/")[2]
    return asked.name == found.name and (not exact or asked.tag == found.tag)
