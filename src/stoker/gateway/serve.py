"""The straight line every model request takes: read, resolve, lease, relay."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
from aiohttp import web

from stoker.base.errors import Crashed, ModelNotFound, PayloadTooLarge, UnsupportedFormat
from stoker.engines.spec import Engine, Instance
from stoker.gateway.operation import Operation, decode_call
from stoker.gateway.relay import EngineGone, relay
from stoker.gateway.rename import Rename
from stoker.gateway.upstream import Upstreams
from stoker.planner.spec import Mode, ModelSpec, RunSettings
from stoker.scheduler import Lease, RunRequest, Scheduler
from stoker.wire.manage import ErrorBody, ErrorEnvelope

logger = logging.getLogger(__name__)

_REAP_SECONDS: Final = 1.0


class Resolver(Protocol):
    """Turns a name into a model; the library."""

    async def resolve(self, name: str) -> ModelSpec: ...


class Planner(Protocol):
    """What `configure` persisted for a model, and what a runner with these settings costs."""

    def settings(self, engine: str, model: ModelSpec, mode: Mode) -> RunSettings: ...

    def memory(self, engine: str, model: ModelSpec, settings: RunSettings) -> int:
        """Estimated bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`body` in bytes: images travel inside requests, so it is generous."""

    body: int = 256 * 1024 * 1024


class Gateway:
    """Serves model requests. `engines` by name; the first that reads a format is its default."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        planner: Planner,
        scheduler: Scheduler,
        engines: Mapping[str, Engine],
        upstreams: Upstreams,
        limits: Limits,
    ) -> None:
        self._resolver = resolver
        self._planner = planner
        self._scheduler = scheduler
        self._engines = engines
        self._upstreams = upstreams
        self._limits = limits

    async def serve(
        self, request: web.Request, operation: Operation, engine: str | None
    ) -> web.StreamResponse:
        """Answer one model request.

        `engine` is the backend named in the path. Raises the typed errors of every stage; once
        the client has received a byte of a stream, an error becomes its last event.
        """
        body = await self._read(request)
        call = decode_call(body)
        model = await self._resolver.resolve(call.model)
        run = self._request(model, operation.mode, engine)
        preload = request.headers.get("X-Preload-Only") == "true"
        for last_try in (False, True):
            async with self._scheduler.lease(run) as lease:
                if preload:
                    return web.Response()
                session = await self._upstreams.session(lease.instance.socket)
                rename = Rename(lease.name, call.model) if lease.name != call.model else None
                try:
                    return await relay(request, session, operation.path, body, rename)
                except EngineGone as gone:
                    code = await _exit_code(lease.instance)
                    # The engine may have died between lease and first byte, or closed an idle
                    # connection just as we used it. Once, and only before any byte was sent.
                    if gone.response is None and not last_try:
                        continue
                    error = self._crashed(lease, run, code)
                    if gone.response is None:
                        raise error from gone
                    await _end_stream(request, gone.response, error)
                    return gone.response
        raise AssertionError("the second try returns or raises")

    async def _read(self, request: web.Request) -> bytes:
        limit = self._limits.body
        if (request.content_length or 0) > limit:
            raise PayloadTooLarge(f"request too large: at most {limit} bytes are accepted")
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > limit:
                raise PayloadTooLarge(f"request too large: at most {limit} bytes are accepted")
            chunks.append(chunk)
        return b"".join(chunks)

    def _request(self, model: ModelSpec, mode: Mode, named: str | None) -> RunRequest:
        engine = self._select(model, named)
        settings = self._planner.settings(engine.name, model, mode)
        return RunRequest(
            engine=engine.name,
            model=model,
            mode=mode,
            settings=settings,
            memory=self._planner.memory(engine.name, model, settings),
        )

    def _select(self, model: ModelSpec, named: str | None) -> Engine:
        able = [engine for engine in self._engines.values() if model.format in engine.formats]
        if named is None:
            if able:
                return able[0]
            raise UnsupportedFormat(
                f"no engine here reads {model.format} models ({model.name})",
                hint="stoker status lists the engines",
            )
        chosen = self._engines.get(named)
        if chosen is None:
            raise ModelNotFound(
                "backend not found", hint=f"known engines: {', '.join(self._engines)}"
            )
        if chosen not in able:
            names = " or ".join(engine.name for engine in able) or "none installed here"
            raise UnsupportedFormat(
                f"{named} cannot run {model.name}: it is a {model.format} model",
                hint=f"engines that read {model.format}: {names}",
            )
        return chosen

    def _crashed(self, lease: Lease, run: RunRequest, code: int | None) -> Crashed:
        tail = lease.instance.log_tail
        diagnosis = self._engines[run.engine].diagnose(code, tail)
        error = Crashed(
            f"{run.engine} stopped while answering for {run.model.name}: {diagnosis.message}",
            engine=run.engine,
            log_tail=tail,
            hint=diagnosis.hint or "send the request again; the model will be loaded anew",
        )
        logger.warning("engine gone model=%s code=%s: %s", run.model.name, code, error)
        return error


async def _exit_code(instance: Instance) -> int | None:
    """How the engine ended, if it ended: its connection can break before it can be reaped."""
    try:
        async with asyncio.timeout(_REAP_SECONDS):
            return await instance.wait()
    except TimeoutError:
        return None


async def _end_stream(request: web.Request, response: web.StreamResponse, error: Crashed) -> None:
    """Say why as the last event, then cut: a truncated answer must not look complete."""
    if response.content_type == "text/event-stream":
        event = ErrorEnvelope(ErrorBody(error.message, type="server_error", code=error.code))
        await response.write(b"data: " + msgspec.json.encode(event) + b"\n\n")
    if request.transport is not None:
        request.transport.abort()
