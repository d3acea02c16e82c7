"""`GET /metrics`: our numbers and those of the running engines, in one text."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Final

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from stoker.api.errors import status_of
from stoker.gateway.connection import EngineGone
from stoker.gateway.exchange import Exchange
from stoker.gateway.upstream import Upstreams
from stoker.observe.metrics import Metrics
from stoker.planner.devices import HOST
from stoker.scheduler import RunnerStatus, Scheduler
from stoker.scheduler.events import Effect, Start, Stop

logger = logging.getLogger(__name__)

_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_EMPTY: Final = b"# No active runners\n"
_ENGINE_WITHIN: Final = 2.0
"""Seconds for an engine's own numbers; one that computes may be slow, and is left out then."""


class MetricsRoutes:
    """Renders numbers when they are asked for; gauges are read from the scheduler then."""

    def __init__(self, metrics: Metrics, scheduler: Scheduler, upstreams: Upstreams) -> None:
        self._metrics = metrics
        self._scheduler = scheduler
        self._upstreams = upstreams

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/metrics", self.metrics)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Docker Model Runner's labels on engines' numbers: `backend`, `model`, `mode`."""
        del request
        runners = self._scheduler.status()
        self._read_gauges(runners)
        text = generate_latest(self._metrics.registry)
        engines = await asyncio.gather(*(self._engine(runner) for runner in runners))
        merged = CollectorRegistry()
        merged.register(_Merged(family for families in engines for family in families))
        body = (b"" if runners else _EMPTY) + text + generate_latest(merged)
        return web.Response(body=body, headers={"Content-Type": _CONTENT_TYPE})

    def _read_gauges(self, runners: Iterable[RunnerStatus]) -> None:
        metrics = self._metrics
        for gauge in (metrics.runners, metrics.memory, metrics.busy, metrics.waiting):
            gauge.clear()
        for one in runners:
            labels = (one.name, one.key.engine, one.key.mode.value)
            metrics.runners.labels(*labels, one.state.value).set(1)
            for device, size in {HOST: one.memory, **one.devices}.items():
                metrics.memory.labels(*labels, device).set(size)
            metrics.busy.labels(*labels).set(one.in_use)
            metrics.waiting.labels(*labels).set(one.waiting)

    async def _engine(self, runner: RunnerStatus) -> list[Metric]:
        """An engine's own numbers with our labels; none when it does not answer."""
        if runner.socket is None:
            return []
        try:
            async with asyncio.timeout(_ENGINE_WITHIN):
                async with self._upstreams.get(runner.socket, "/metrics") as answer:
                    text = (await answer.whole()).decode() if answer.status == 200 else ""
            families = list(text_string_to_metric_families(text))
        except (EngineGone, TimeoutError, ValueError) as error:
            logger.debug("no metrics model=%s: %s", runner.name, error)
            return []
        ours = {
            "backend": runner.key.engine,
            "model": runner.name,
            "mode": runner.key.mode.value,
        }
        for family in families:
            family.samples = [
                sample._replace(labels={**sample.labels, **ours}) for sample in family.samples
            ]
        return families


class _Merged(Collector):
    """Families of several engines, each name once: the format wants a family in one piece."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families: dict[str, Metric] = {}
        for family in families:
            known = self._families.setdefault(family.name, family)
            if known is not family:
                known.samples += family.samples

    def collect(self) -> Iterable[Metric]:
        """Called by the registry."""
        return self._families.values()


def count_request(metrics: Metrics, seen: Exchange) -> None:
    """Enter a request that is over."""
    if seen.granted is None:
        metrics.refused(seen.error.code if seen.error else "client_gone")
        return
    status = seen.status if seen.error is None else status_of(seen.error)
    metrics.request(
        seen.name,
        seen.engine,
        seen.call.operation.name.lower(),
        status=status,
        seconds=seen.ended - seen.began,
        waited=seen.granted - seen.began,
        first=None if seen.first_byte is None else seen.first_byte - seen.began,
    )


def count_effect(metrics: Metrics, effect: Effect) -> None:
    """Enter a decision of the scheduler's."""
    if isinstance(effect, Start):
        metrics.started(effect.request.model.name, effect.request.engine)
    elif isinstance(effect, Stop):
        metrics.stopped(effect.name, effect.key.engine)
