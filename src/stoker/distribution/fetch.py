"""Bring a model from where it is into the store."""

from stoker.base.errors import Unreachable
from stoker.distribution.jobs import Notify
from stoker.oci.reference import Reference
from stoker.store import Store


class Fetcher:
    """Pulls from OCI registries."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(
        self, reference: Reference, text: str, *, bearer: str | None, notify: Notify
    ) -> None:
        """Pull and tag."""
        del text, bearer, notify
        raise Unreachable(f"pulling {reference} is not built yet", origin=reference.registry)
