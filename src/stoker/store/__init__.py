"""Models on disk: content by digest, names, leases, views. An OCI Image Layout."""

from stoker.store.blobs import BlobStore
from stoker.store.store import Store
from stoker.store.tags import Entry

__all__ = ["BlobStore", "Entry", "Store"]
