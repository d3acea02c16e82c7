"""Models as tar files and as variants: load, export, repackage, purge. Docker's texts."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing

import msgspec
from aiohttp import hdrs, web

from stoker.api.errors import text_response
from stoker.api.models import read_json
from stoker.api.views import json_response
from stoker.base.errors import ModelNotFound, StokerError, UserError
from stoker.distribution.archive import archive_chunks, archive_size, export_parts
from stoker.distribution.artifact import store_artifact
from stoker.distribution.loading import load
from stoker.distribution.package import Extras
from stoker.distribution.repackage import repackaged
from stoker.gateway.body import paced
from stoker.library import Library
from stoker.oci.reference import parse_reference
from stoker.store import Store
from stoker.wire import manage


class TransferRoutes:
    """The routes of `/models` that move whole models. They come before those of names."""

    def __init__(self, store: Store, library: Library) -> None:
        self._store = store
        self._library = library

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.post("/models/load", self.load)
        yield web.get("/models/{name:.+}/export", self.export)
        yield web.post("/models/{name:.+}/repackage", self.repackage)
        yield web.delete("/models/purge", self.purge)

    async def load(self, request: web.Request) -> web.StreamResponse:
        """Take in a tar file; one without names is tagged by its id afterwards."""
        try:
            async with aclosing(paced(request)) as archive:
                await load(self._store, archive)
        except StokerError as error:
            return text_response(error, prefix="error while loading model: ")
        line = msgspec.json.encode(manage.Progress("success", "Model loaded successfully"))
        return web.Response(text=f"{line.decode()}\n")

    async def export(self, request: web.Request) -> web.StreamResponse:
        """A model as Docker Model Runner's tar. Its length is known, so a cut is noticed."""
        name = request.match_info["name"]
        try:
            model = self._library.find(name)
        except ModelNotFound as error:
            raise ModelNotFound(f"get model '{json.dumps(name)}': {error.message}") from error
        manifest = model.manifest
        async with self._store.lease(model.id, *(blob.digest for blob in manifest.blobs)):
            parts = await asyncio.to_thread(export_parts, self._store, model.descriptor)
            response = web.StreamResponse(
                headers={
                    "Content-Type": "application/x-tar",
                    "Content-Disposition": f"attachment; filename={json.dumps(f'{name}.tar')}",
                }
            )
            response.content_length = archive_size(parts)
            if request.method == hdrs.METH_HEAD:  # else what is written would be its body
                return response
            await response.prepare(request)
            chunks = archive_chunks(parts)
            while chunk := await asyncio.to_thread(next, chunks, b""):
                await response.write(chunk)
        await response.write_eof()
        return response

    async def repackage(self, request: web.Request) -> web.StreamResponse:
        """The same layers with another context size, under another name."""
        asked = await read_json(request, manage.Repackage)
        if not asked.target:
            raise UserError("target is required")
        target = parse_reference(asked.target)
        name = request.match_info["name"]
        model = self._library.find(name)
        config = self._store.blobs.read_metadata(model.manifest.config)
        # As in Docker Model Runner, 0 leaves the size as it is.
        extras = Extras(context_size=asked.context_size or None)
        artifact = await asyncio.to_thread(repackaged, model.manifest, config, extras)
        await store_artifact(self._store, artifact, target)
        message = f'Model repackaged successfully as "{asked.target}"'
        return json_response(manage.Repackaged(message, name, asked.target), status=201)

    async def purge(self, request: web.Request) -> web.StreamResponse:
        """Remove every model. Engines that run go on."""
        del request
        await asyncio.to_thread(self._library.purge)
        return web.Response()
