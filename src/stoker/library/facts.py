"""Facts of the models that are here, read out of their files once and kept by digest."""

import asyncio
import logging
from typing import Final

from stoker.base.errors import (
    Incomplete,
    ParseError,
    StokerError,
    StorageError,
    Unfamiliar,
    UserError,
)
from stoker.formats import ModelFacts, shard_names
from stoker.oci.digest import Digest
from stoker.planner.spec import Format, ModelSpec
from stoker.store.headers import directory_facts, gguf_facts

logger = logging.getLogger(__name__)

_MOST: Final = 256
"""Models whose facts are kept; a header is at most some hundred layers."""


class FactsReader:
    """Reads headers in a thread. Content never changes under a digest, so once is enough."""

    def __init__(self) -> None:
        self._known: dict[Digest, asyncio.Task[ModelFacts | StokerError]] = {}

    async def facts(self, model: ModelSpec) -> ModelFacts | None:
        """What the header says; None for a format without such a header, or one that is unknown.

        What is newer than this program an engine may know. Raises ParseError for what is wrong,
        which engines crash on or do not notice, and Incomplete, which none complains about.
        """
        try:
            return await self.read(model)
        except Unfamiliar:
            return None
        except (ParseError, Incomplete):
            raise
        except (StorageError, UserError):
            return None

    async def read(self, model: ModelSpec) -> ModelFacts | None:
        """The same for who wants to know why. Raises ParseError, StorageError, UserError."""
        if model.format is Format.DDUF:
            return None
        reading = self._known.get(model.id)
        if reading is None or reading.cancelled():
            # A task of its own: the first to ask may leave while others wait for the same header.
            reading = asyncio.create_task(asyncio.to_thread(_read, model))
            self._known[model.id] = reading
            if len(self._known) > _MOST:
                self._known.pop(next(iter(self._known)))
        found = await asyncio.shield(reading)
        if isinstance(found, StokerError):
            if not isinstance(found, ParseError | Incomplete):
                self._known.pop(model.id, None)  # the disk's fault, and not the content's
            raise found.with_traceback(None)  # it is raised again and again
        return found


def _read(model: ModelSpec) -> ModelFacts | StokerError:
    try:
        if model.format is Format.SAFETENSORS:
            return directory_facts(model.weights, model.name)
        paths = [model.weights.with_name(name) for name in shard_names(model.weights.name)]
        return gguf_facts(*paths)
    except ParseError as error:
        logger.warning("no facts model=%s: %s", model.name, error)
        # Where its files happen to lie says nothing to who asked.
        folder = model.weights.parent if model.format is Format.GGUF else model.weights
        text = error.message.replace(f"{folder}/", "")
        return type(error)(f"{model.name}: {text}", offset=error.offset, hint=error.hint)
    except (StorageError, UserError) as error:
        logger.warning("no facts model=%s: %s", model.name, error)
        return error
