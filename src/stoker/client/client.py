"""`Client`: every call of the management API, and chat, blocking. `AsyncClient` is its twin.

What is sent and how answers are read is in `client/calls`; here they meet a transport.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar, final

from stoker.client.binding import method_of
from stoker.client.call import Call, Feed
from stoker.client.calls import decisions, runners, store
from stoker.client.chat import Answer, ChatMessage, chat_request
from stoker.client.endpoint import Endpoint, endpoint_for
from stoker.client.transport import USER_AGENT, Transport

P = ParamSpec("P")
T = TypeVar("T")


def _one(make: Callable[P, Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    """A method that returns the answer of that call."""

    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = make(*args, **kwargs)
        return call.read(self.http.read(call.request), str(self.endpoint))

    return method_of(make, method)


def _many(
    make: Callable[P, Feed[T]],
) -> "Callable[Concatenate[Client, P], Generator[T, None, None]]":
    """A method that yields the answers of that feed as they come."""

    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        feed = make(*args, **kwargs)
        decoder = feed.decoder(str(self.endpoint))
        with self.http.open(feed.request) as stream:
            for data in stream.chunks():
                yield from decoder.feed(data)
            yield from decoder.end()

    return method_of(make, method, many=Generator[T, None, None])


@final
class Client:
    """Talks to one daemon. Holds no connection, so there is nothing to close.

    `endpoint` is where it listens, as in `STOKER_HOST`: `http://host:port` or `unix:///path`;
    without one it is the daemon that the command line would ask. Every method raises Unreachable
    when nobody answers, DaemonError when the daemon refuses and ParseError when its answer cannot
    be read. Methods that return an iterator ask when it is first advanced; closing it cancels.
    """

    def __init__(
        self, endpoint: Endpoint | str | None = None, *, user_agent: str = USER_AGENT
    ) -> None:
        self.endpoint = endpoint_for(endpoint)
        self.http = Transport(self.endpoint, user_agent)

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

    @contextmanager
    def chat(
        self,
        model: str,
        messages: Sequence[ChatMessage],
        *,
        backend: str = "",
        prefix: str | None = None,
        max_tokens: int | None = None,
        silence: float | None = None,
    ) -> Iterator[Answer]:
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
        with self.http.open(request) as stream:
            yield Answer(stream.chunks(), str(self.endpoint))
