"""The model that travels with Stoker, so that the first answer needs no network."""

from importlib import resources
from pathlib import Path
from typing import Final

from stoker.oci.reference import Reference, parse_reference

NAME: Final = "pilot"
# Part of the digest: the same file always makes the same artifact.
CREATED: Final = "2026-11-21T00:00:00Z"
_FILE: Final = "pilot-Q8_0.gguf"


def bundled_file(reference: Reference) -> Path | None:
    """The GGUF of a bundled model; None when this is not one."""
    if reference.tagged != parse_reference(NAME) or reference.digest:
        return None
    return pilot_file()


def pilot_file() -> Path:
    """The GGUF itself: small, and known to answer."""
    # Wheels are unpacked when installed; a zip import is not supported.
    return Path(str(resources.files("stoker") / "bundled" / _FILE))
