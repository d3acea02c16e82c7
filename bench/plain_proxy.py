"""The least that aiohttp can do as a proxy: the reference that Stoker's gateway is measured by.

    python bench/plain_proxy.py ENGINE.sock PORT

Like every gateway it reads the body as JSON and looks at `model`; it checks nothing else, has no
scheduler and counts nothing.
"""

import asyncio
import json
import sys

import aiohttp
import uvloop
from aiohttp import web


async def serve(engine: str, port: int) -> None:
    """Serve until killed."""
    connector = aiohttp.UnixConnector(engine, limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            if not json.loads(body)["model"]:
                raise web.HTTPBadRequest
            headers = {"Content-Type": "application/json"}
            async with session.post(f"http://x{request.path}", data=body, headers=headers) as got:
                if got.content_type != "text/event-stream":
                    return web.Response(
                        body=await got.read(), status=got.status, content_type=got.content_type
                    )
                response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
                await response.prepare(request)
                async for chunk in got.content.iter_any():
                    await response.write(chunk)
                return response

        app = web.Application()
        app.router.add_post("/v1/chat/completions", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
