"""How content begins to come in: new, resumed, after another writer, or not at all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, final

from stoker.base.errors import SizeMismatch
from stoker.oci.descriptor import Descriptor
from stoker.store.ingest import DiskIngest
from stoker.store.layout import Layout
from stoker.store.partial import Partial, Refusal, claim
from stoker.store.threads import ended, start

# How often a second writer of the same content looks whether the first is done. Seconds.
_LOOK: Final = 0.05


@final
class PresentIngest:
    """Content that turned out to be here already: nothing to do but to commit."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    @property
    def offset(self) -> int:
        return self._descriptor.size

    async def write(self, chunk: bytes) -> None:
        raise SizeMismatch(f"{self._descriptor.digest} is complete; {len(chunk)} bytes too many")

    async def restart(self) -> None:
        """Nothing to forget: what is here was verified."""

    async def commit(self) -> None:
        """Done before we came."""


@contextlib.asynccontextmanager
async def open_ingest(
    layout: Layout, descriptor: Descriptor
) -> AsyncIterator[DiskIngest | PresentIngest]:
    """Open or resume. Waits while another task or process writes the same content."""
    partial = await _claim(layout, descriptor)
    if partial is None:
        yield PresentIngest(descriptor)
        return
    ingest = DiskIngest(descriptor, partial)
    try:
        await ingest.resume()
        yield ingest
    finally:
        await ingest.close()


async def _claim(layout: Layout, descriptor: Descriptor) -> Partial | None:
    """The locked partial, or None when the content is here (now)."""
    while True:
        attempt = start(claim, layout, descriptor)
        try:
            await ended(attempt)
        except asyncio.CancelledError:
            if not attempt.exception() and isinstance(partial := attempt.result(), Partial):
                partial.close()
            raise
        answer = attempt.result()
        if answer is Refusal.TAKEN:
            await asyncio.sleep(_LOOK)
        else:
            return answer if isinstance(answer, Partial) else None
