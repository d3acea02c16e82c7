"""Stoker: a name becomes verified bytes, a plan, a real engine process, and a streamed answer.

`Client` and `AsyncClient` talk to the daemon, as the command line does:

    import stoker

    for model in stoker.Client().models():
        print(model.tags)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stoker.base.errors import DaemonError as DaemonError
    from stoker.base.errors import StokerError as StokerError
    from stoker.base.errors import Unreachable as Unreachable
    from stoker.client.async_client import AsyncClient as AsyncClient
    from stoker.client.chat import ChatMessage as ChatMessage
    from stoker.client.client import Client as Client
    from stoker.wire.manage import Configure as Configure

__version__ = "0.1.0"

# Imported when asked for: `stoker --help` shows its text in 25 ms and needs none of them.
_PUBLIC: Final = {
    "AsyncClient": "stoker.client.async_client",
    "ChatMessage": "stoker.client.chat",
    "Client": "stoker.client.client",
    "Configure": "stoker.wire.manage",
    "DaemonError": "stoker.base.errors",
    "StokerError": "stoker.base.errors",
    "Unreachable": "stoker.base.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'stoker' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
