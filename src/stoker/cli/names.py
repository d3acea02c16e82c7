"""Model names as people read them here; `DEFAULT_REGISTRY` moves what may be left out."""

import os

from stoker.oci.defaults import DEFAULT_REGISTRY, display_name


def default_registry() -> str:
    """The registry of names that name none."""
    return os.environ.get("DEFAULT_REGISTRY") or DEFAULT_REGISTRY


def shown(canonical: str) -> str:
    """The short form for tables."""
    return display_name(canonical, default_registry=default_registry())
