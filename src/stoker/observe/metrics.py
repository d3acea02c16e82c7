"""Our own numbers, in Prometheus' form. One object for each daemon, no global registry."""

from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# From a token of a tiny model to an hour of a large one.
_SECONDS: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_MODEL: Final = ("model", "engine")
_MOST_MODELS: Final = 100
"""Models whose numbers are kept; each is some ten kilobytes of `/metrics`."""


class _Times(NamedTuple):
    all: Histogram
    waited: Histogram
    first: Histogram


class Metrics:
    """What is counted. `registry` renders it.

    `model` is always the name of a runner, never what a client made up. Numbers of the models used
    last are kept; a series that ends and begins anew is what Prometheus expects of a restart.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # In the order of their last use, which a dict keeps.
        self._models: dict[str, None] = {}
        # Found once for each set of labels: to look for them costs more than to count.
        self._counts: dict[tuple[str, str, str, int], Counter] = {}
        self._times: dict[tuple[str, str, str], _Times] = {}
        labels = (*_MODEL, "operation")
        self._requests = Counter(
            "stoker_requests", "Model requests that are over", (*labels, "status"),
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "stoker_request_seconds", "From request to end of answer", labels, buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._first = Histogram(
            "stoker_first_byte_seconds", "From request to the first byte of the answer", labels,
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._waited = Histogram(
            "stoker_wait_seconds", "From request to a loaded model", labels, buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._loads = Counter("stoker_loads", "Runners started", _MODEL, registry=self.registry)
        self._stops = Counter(
            "stoker_stops", "Runners stopped: idle, unloaded, or to make room", _MODEL,
            registry=self.registry,
        )  # fmt: skip
        self._by_model = (
            self._requests, self._seconds, self._first, self._waited, self._loads, self._stops,
        )  # fmt: skip
        self._refused = Counter(
            "stoker_refused", "Requests refused before an engine saw them", ("code",),
            registry=self.registry,
        )  # fmt: skip
        self.runners = Gauge(
            "stoker_runners", "Runners now", (*_MODEL, "mode", "state"), registry=self.registry
        )
        self.memory = Gauge(
            "stoker_runner_memory_bytes", "Memory a runner is counted with, by device",
            (*_MODEL, "mode", "device"), registry=self.registry,
        )  # fmt: skip
        self.busy = Gauge(
            "stoker_requests_running", "Requests being answered", (*_MODEL, "mode"),
            registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "stoker_requests_waiting", "Requests that wait for a runner", (*_MODEL, "mode"),
            registry=self.registry,
        )  # fmt: skip

    def request(
        self,
        model: str,
        engine: str,
        operation: str,
        *,
        status: int,
        seconds: float,
        waited: float,
        first: float | None,
    ) -> None:
        """A request is over. Durations in seconds; status 0 when the client left."""
        self._used(model)
        labels = (model, engine, operation)
        if (count := self._counts.get((*labels, status))) is None:
            count = self._requests.labels(*labels, status or "gone")
            self._counts[*labels, status] = count
        if (times := self._times.get(labels)) is None:
            times = self._times[labels] = _Times(
                self._seconds.labels(*labels),
                self._waited.labels(*labels),
                self._first.labels(*labels),
            )
        count.inc()
        times.all.observe(seconds)
        times.waited.observe(waited)
        if first is not None:
            times.first.observe(first)

    def refused(self, code: str) -> None:
        """A request never came to an engine; `code` is the error's stable word."""
        self._refused.labels(code).inc()

    def started(self, model: str, engine: str) -> None:
        """A runner is being started."""
        self._used(model)
        self._loads.labels(model, engine).inc()

    def stopped(self, model: str, engine: str) -> None:
        """A runner is being stopped."""
        self._used(model)
        self._stops.labels(model, engine).inc()

    def _used(self, model: str) -> None:
        """Forget whoever was not used for longest when there are too many."""
        self._models.pop(model, None)
        self._models[model] = None
        if len(self._models) <= _MOST_MODELS:
            return
        oldest = next(iter(self._models))
        del self._models[oldest]
        self._counts = {key: one for key, one in self._counts.items() if key[0] != oldest}
        self._times = {key: one for key, one in self._times.items() if key[0] != oldest}
        for family in self._by_model:
            family.remove_by_labels({"model": oldest})
