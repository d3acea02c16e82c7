"""`AsyncClient`: every call of the management API, and chat, for asyncio. The twin of `Client`."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar, final

from stoker.client.async_transport import AsyncTransport
from stoker.client.binding import method_of
from stoker.client.call import Call, Feed
from stoker.client.calls import decisions, runners, store
from stoker.client.chat import AsyncAnswer, ChatMessage, chat_request
from stoker.client.endpoint import Endpoint, endpoint_for
from stoker.client.transport import USER_AGENT

P = ParamSpec("P")
T = TypeVar("T")


def _one(
    make: Callable[P, Call[T]],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    """A method that returns the answer of that call."""

    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = make(*args, **kwargs)
        return call.read(await self.http.read(call.request), str(self.endpoint))

    return method_of(make, method)


def _many(
    make: Callable[P, Feed[T]],
) -> "Callable[Concatenate[AsyncClient, P], AsyncGenerator[T, None]]":
    """A method that yields the answers of that feed as they come."""

    async def method(
        self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        feed = make(*args, **kwargs)
        decoder = feed.decoder(str(self.endpoint))
        async with self.http.open(feed.request) as stream:
            async for data in stream.chunks():
                for value in decoder.feed(data):
                    yield value
            for value in decoder.end():
                yield value

    return method_of(make, method, many=AsyncGenerator[T, None])


@final
class AsyncClient:
    """Talks to one daemon. Holds no connection, so there is nothing to close.

    The methods are those of `Client`, to be awaited, or iterated over with `async for`; they raise
    the same errors. An iterator that is left early should be closed (`contextlib.aclosing`): that
    cancels what it was doing.
    """

    def __init__(
        self, endpoint: Endpoint | str | None = None, *, user_agent: str = USER_AGENT
    ) -> None:
        self.endpoint = endpoint_for(endpoint)
        self.http = AsyncTransport(self.endpoint, user_agent)

    models = _one(store.models)
    models_openai = _one(store.models_openai)
    inspect = _one(store.inspect)
    inspect_openai = _one(store.inspect_openai)
    search = _one(store.search)
    pull = _many(store.pull)
    push = _many(store.push)
    tag = _one(store.tag)
    remove = _one(store.remove)
    load = _one(store.load)
    export = _many(store.export)
    repackage = _one(store.repackage)
    purge = _one(store.purge)
    trust_code = _one(store.trust_code)
    distrust_code = _one(store.distrust_code)

    ps = _one(runners.ps)
    df = _one(runners.df)
    status = _one(runners.status)
    version = _one(runners.version)
    config = _one(runners.config)
    preload = _one(runners.preload)
    unload = _one(runners.unload)
    configure = _one(runners.configure)
    configurations = _one(runners.configurations)
    effective = _one(runners.effective)
    requests = _one(runners.requests)
    follow_requests = _many(runners.follow_requests)
    logs = _many(runners.logs)
    builds = _one(runners.builds)
    install = _many(runners.install)
    cancel_install = _one(runners.cancel_install)
    uninstall = _one(runners.uninstall)

    plan = _one(decisions.plan)
    recommend = _one(decisions.recommend)
    why = _one(decisions.why)
    doctor = _one(decisions.doctor)

    @asynccontextmanager
    async def chat(
        self,
        model: str,
        messages: Sequence[ChatMessage],
        *,
        backend: str = "",
        prefix: str | None = None,
        max_tokens: int | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[AsyncAnswer]:
        """A streamed answer; leaving the block early cancels it in the engine too.

        `prefix` is what comes before `/chat/completions` on servers that are not Stoker;
        `silence` (seconds) bounds each wait for a piece of the answer, a load included.
        """
        request = chat_request(
            model,
            messages,
            backend=backend,
            prefix=prefix,
            max_tokens=max_tokens,
            silence=silence,
        )
        async with self.http.open(request) as stream:
            yield AsyncAnswer(stream.chunks(), str(self.endpoint))
