"""Work that this process does itself on the store, because the service's store is on this disk.

A store is safe for several processes; bytes that are here already need not travel through HTTP.
"""

from pathlib import Path
from typing import Final

from stoker.base.errors import UserError
from stoker.base.paths import paths_of
from stoker.client.endpoint import Endpoint, endpoint_of
from stoker.client.running import running
from stoker.store import Store

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def local_root(endpoint: Endpoint | None = None) -> Path | None:
    """The store of the service that would be asked, when this user has it on this machine.

    None when the service is somewhere else, or somebody else's.
    """
    endpoint = endpoint or endpoint_of()
    paths = paths_of()
    known = running(paths)
    root = Path(known.models) if known and known.models else paths.models
    if endpoint.scheme == "unix":
        return root if Path(endpoint.path) == paths.socket else None
    ours = known is not None and known.address.rpartition(":")[2] == str(endpoint.port)
    if ours and endpoint.host in _LOOPBACK:
        return root
    # Nobody there: the first command that needs a service will start ours.
    return root if endpoint.may_start and not endpoint.answers() else None


def open_local(what: str) -> Store:
    """That store, for a command that works on nothing else. Raises UserError, StorageError."""
    return Store.open(require_local(f"{what} works on the model store of this machine"))


def require_local(what: str) -> Path:
    """That store's directory; `what` begins the sentence of the UserError when there is none."""
    endpoint = endpoint_of()
    root = local_root(endpoint)
    if root is None:
        raise UserError(
            f"{what}, and {endpoint} is not the service of this user on it",
            hint=f"run it there, or: {endpoint.undo}" if endpoint.undo else "run it there",
        )
    return root
