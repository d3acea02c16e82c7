"""One daemon for all clients: the bundled model, one for embeddings, one that ranks."""

from tests.api.conftest import daemon

__all__ = ["daemon"]
