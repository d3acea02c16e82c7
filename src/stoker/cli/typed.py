"""Model names as people type them."""

from stoker.base.errors import InvalidReference
from stoker.cli.names import default_registry
from stoker.oci.reference import Name, Reference, parse_name, parse_reference


def named(text: str) -> Name:
    """What was typed: a reference or an id. Raises InvalidReference."""
    return parse_name(text, default_registry=default_registry())


def target(text: str) -> Reference:
    """What was typed where only a reference will do. Raises InvalidReference."""
    return parse_reference(text, default_registry=default_registry())


def new_name(text: str) -> Reference:
    """What was typed as a name to give. Raises InvalidReference, also for one with a digest."""
    reference = target(text)
    if reference.digest:
        raise InvalidReference(f"{text!r} names a digest, a model gets its own")
    return reference


def fits(tag: str, wanted: str) -> bool:
    """True when `wanted` means this tag: with a tag exactly, without one any tag of the name."""
    if not tag:
        return False
    asked, found = named(wanted), named(tag)
    if not isinstance(asked, Reference) or not isinstance(found, Reference):
        return False
    exact = ":" in wanted.rpartition("/")[2]
    return asked.name == found.name and (not exact or asked.tag == found.tag)
