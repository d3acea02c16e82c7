"""Models on disk: content by digest, names, leases, views. An OCI Image Layout."""

from stoker.store.blobs import BlobStore
from stoker.store.fsck import Problem, Report
from stoker.store.gc import Collected
from stoker.store.leases import Lease
from stoker.store.store import Store
from stoker.store.tags import Entry

__all__ = ["BlobStore", "Collected", "Entry", "Lease", "Problem", "Report", "Store"]
