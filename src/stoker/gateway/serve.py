"""The straight line every model request takes: read, resolve, lease, relay."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol

from aiohttp import web

from stoker.base.errors import (
    Crashed,
    DoesNotFit,
    StokerError,
)
from stoker.engines.spec import Diagnosis, Engine, Instance, Reason
from stoker.gateway.answer import Answer, Passthrough
from stoker.gateway.caller import CALLER, require_model
from stoker.gateway.choice import choose
from stoker.gateway.connection import EngineGone
from stoker.gateway.exchange import Exchange, Observer
from stoker.gateway.operation import Call, Operation
from stoker.gateway.outgoing import Outgoing
from stoker.gateway.relay import relay
from stoker.gateway.tenants import Tenants
from stoker.gateway.upstream import EngineUnreachable, Upstreams
from stoker.planner.spec import Mode, ModelSpec, RunSettings, Way
from stoker.scheduler import Lease, RunnerKey, RunRequest, Scheduler

logger = logging.getLogger(__name__)

_REAP_SECONDS: Final = 1.0
_NEWS: Final = 0.01
"""The least share of a model's files that is worth telling of."""


class Resolver(Protocol):
    """Turns a name into a model; the library."""

    async def resolve(self, name: str) -> ModelSpec: ...

    def resolved(self, name: str) -> ModelSpec | None:
        """What `resolve` answered, without a look at the model's files."""
        ...

    def names_of(self, text: str) -> tuple[str, ...]: ...


class Planner(Protocol):
    """What `configure` persisted for a model, and how it can be run with these settings."""

    def settings(self, engine: str, model: ModelSpec, mode: Mode) -> RunSettings: ...

    async def ways(
        self, engine: str, model: ModelSpec, mode: Mode, settings: RunSettings
    ) -> tuple[Way, ...]:
        """Best first. Raises DoesNotFit, InvalidSetting."""
        ...


class Gateway:
    """Serves model requests. `engines` by name; the first that reads a format is its default.

    `observers` are told of every request when it is over; `record` keeps its answer for them.
    """

    def __init__(
        self,
        *,
        resolver: Resolver,
        planner: Planner,
        scheduler: Scheduler,
        engines: Mapping[str, Engine],
        upstreams: Upstreams,
        tenants: Tenants,
        observers: Sequence[Observer] = (),
        record: bool = False,
    ) -> None:
        self._resolver = resolver
        self._planner = planner
        self._scheduler = scheduler
        self._engines = engines
        self._upstreams = upstreams
        self._tenants = tenants
        self._observers = observers
        self._record = record

    async def serve(
        self, request: web.Request, call: Call, answer: Answer | None = None
    ) -> web.StreamResponse:
        """Answer one model request; `answer` translates what the engine says.

        Raises the typed errors of every stage; once the client has received a byte of a stream,
        an error becomes its last event.
        """
        seen = Exchange(call, bytearray() if self._record else None)
        out = Outgoing(request, answer or Passthrough(call.model), seen)
        try:
            response = await self._serve(request, call, out)
            seen.status = response.status
        except StokerError as error:
            if not out.opened:
                seen.error = error
                raise
            logger.warning("failed in a stream model=%r: %s", call.model, error)
            response = await out.fail(error)
            seen.status = response.status
        finally:
            seen.ended = time.monotonic()
            for observe in self._observers:
                observe(seen)
        return response

    async def load(self, request: web.Request, model: str) -> None:
        """Load a model as a chat with it would, and ask it nothing. Raises what `serve` raises."""
        await self.serve(request, Call(Operation.CHAT, model, b"", preload=True))

    async def _serve(self, request: web.Request, call: Call, out: Outgoing) -> web.StreamResponse:
        require_model(request, self._resolver, call.model)
        model, engine = await self._model(call)
        run = await self._request(model, engine, call)
        out.seen.model, out.seen.engine = model.id, run.engine
        for last_try in (False, True):
            async with self._lease(call, run, out) as lease:
                out.granted(lease.name)
                if call.preload:
                    return web.Response()
                try:
                    return await self._relay(request, out, lease, call)
                except EngineGone as gone:
                    code = await _exit_code(lease.instance)
                    # The engine may have died between lease and first byte. Once, and only as long
                    # as no byte was sent; what made it hang would do so again.
                    if out.sent or last_try or lease.instance.hung:
                        raise self._crashed(lease, run, code) from gone
                    lost = code is None and isinstance(gone, EngineUnreachable)
            if lost:
                # It runs, but its socket was deleted, by a cleaner of temporary files as it
                # happens: of no use to anybody who comes from now on.
                logger.warning("engine cannot be reached, loading anew model=%s", run.model.name)
                self._scheduler.unload(frozenset({run.key}), "its socket is gone")
        raise AssertionError("the second try returns or raises")

    async def _relay(
        self, request: web.Request, out: Outgoing, lease: Lease, call: Call
    ) -> web.StreamResponse:
        """Being cancelled closes the connection in the middle, which ends the generation."""
        socket = lease.instance.socket
        body = self._tenants.body(self._engines[out.seen.engine], request[CALLER], call.body)
        fresh = False
        while True:
            connection = await self._upstreams.take(socket, fresh=fresh)
            try:
                return await relay(request, out, connection, call.operation.path, body)
            except EngineGone:
                # An engine may close an idle connection just as we use it; that says nothing about
                # the engine, and all other idle ones may be closed by now too.
                if connection.status or not connection.used_before:
                    raise
                fresh = True
            finally:
                self._upstreams.back(socket, connection)

    def _lease(
        self, call: Call, run: RunRequest, out: Outgoing
    ) -> AbstractAsyncContextManager[Lease]:
        lease = self._scheduler.lease(run, keep_alive=call.keep_alive)
        if not call.stream or call.preload or self._scheduler.is_ready(run.key):
            return lease
        return self._told(lease, run, out)

    @asynccontextmanager
    async def _told(
        self, lease: AbstractAsyncContextManager[Lease], run: RunRequest, out: Outgoing
    ) -> AsyncIterator[Lease]:
        """The lease, with signs of life for a streaming client until it is granted."""
        async with AsyncExitStack() as held:
            async with out.signs_of_life(lambda: self._state(run)):
                granted = await held.enter_async_context(lease)
            yield granted

    def _state(self, run: RunRequest) -> str:
        """What a waiting request waits for, in a few words."""
        mine = next((one for one in self._scheduler.status() if one.key == run.key), None)
        if mine is None:
            return "waiting for memory"
        if not mine.read or mine.read < _NEWS:
            return "loading"
        # Read is not ready: buffers, repacked weights and the first run through the model follow.
        return f"loading {mine.read:.0%}" + (", getting ready" if mine.read >= 1 else "")

    async def _model(self, call: Call) -> tuple[ModelSpec, Engine]:
        """The model, and the engine for it. Files are looked at when they are to be loaded."""
        model = self._resolver.resolved(call.model)
        if model:
            engine = choose(self._engines, model, call.engine)
            if self._scheduler.runs(RunnerKey(engine.name, model.id, call.operation.mode)):
                return model, engine
        model = await self._resolver.resolve(call.model)
        return model, choose(self._engines, model, call.engine)

    async def _request(self, model: ModelSpec, engine: Engine, call: Call) -> RunRequest:
        mode = call.operation.mode
        settings = self._planner.settings(engine.name, model, mode)
        if call.context_size is not None:
            settings = replace(settings, context_size=call.context_size)
        settings = self._tenants.settings(engine, settings)
        try:
            ways = await self._planner.ways(engine.name, model, mode, settings)
        except DoesNotFit as error:
            self._scheduler.journal.refused(model, error.message, time.time())
            raise
        return RunRequest(engine.name, model, mode, ways)

    def _crashed(self, lease: Lease, run: RunRequest, code: int | None) -> Crashed:
        tail = lease.instance.log_tail
        diagnosis = self._engines[run.engine].diagnose(code, tail)
        if lease.instance.hung:
            diagnosis = _HUNG
        error = Crashed(
            f"{run.engine} stopped while answering for {run.model.name}: {diagnosis.message}",
            engine=run.engine,
            log_tail=tail,
            hint=diagnosis.hint or "send the request again; the model will be loaded anew",
        )
        logger.warning("engine gone model=%s code=%s: %s", run.model.name, code, error)
        return error


_HUNG: Final = Diagnosis(
    Reason.CRASHED,
    "it gave no sign of life any more and was ended",
    "send the request again, but not a schema or grammar that repeats what may be empty; where the"
    " machine is that slow, raise STOKER_ENGINE_TIMEOUT",
)


async def _exit_code(instance: Instance) -> int | None:
    """How the engine ended, if it ended: its connection can break before it can be reaped."""
    try:
        async with asyncio.timeout(_REAP_SECONDS):
            return await instance.wait()
    except TimeoutError:
        return None
