"""Models on disk: content by digest, names, leases, views. An OCI Image Layout."""

from stoker.store.adopt import Adoption, Stamp
from stoker.store.blobs import BlobStore
from stoker.store.fsck import Problem, Report
from stoker.store.gc import Collected
from stoker.store.leases import Lease
from stoker.store.store import Store
from stoker.store.tags import Entry

__all__ = [
    "Adoption", "BlobStore", "Collected", "Entry", "Lease", "Problem", "Report", "Stamp", "Store",
]  # fmt: skip
