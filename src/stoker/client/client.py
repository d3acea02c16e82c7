"""`Client`: every call of the management API, and chat, blocking. `AsyncClient` is its twin.

What is sent and how answers are read is in `client/calls`; here they meet a transport.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, final

from stoker.client import calls
from stoker.client.binding import late, method_of
from stoker.client.call import Call, Feed
from stoker.client.endpoint import Endpoint, endpoint_for
from stoker.client.transport import USER_AGENT, Transport

if TYPE_CHECKING:
    from stoker.client.chat import Answer, ChatMessage

P = ParamSpec("P")
T = TypeVar("T")


# The calls are looked up late: `stoker list` needs one of forty, and 100 ms for everything.


def _one(look_up: Callable[[], Callable[P, Call[T]]]) -> "Callable[Concatenate[Client, P], T]":
    """A method that returns the answer of that call."""

    def bound() -> "Callable[Concatenate[Client, P], T]":
        make = look_up()

        def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
            call = make(*args, **kwargs)
            return call.read(self.http.read(call.request), str(self.endpoint))

        return method_of(make, method)

    return late(bound)


def _many(
    look_up: Callable[[], Callable[P, Feed[T]]],
) -> "Callable[Concatenate[Client, P], Generator[T, None, None]]":
    """A method that yields the answers of that feed as they come."""

    def bound() -> "Callable[Concatenate[Client, P], Generator[T, None, None]]":
        make = look_up()

        def method(
            self: "Client", /, *args: P.args, **kwargs: P.kwargs
        ) -> Generator[T, None, None]:
            feed = make(*args, **kwargs)
            decoder = feed.decoder(str(self.endpoint))
            with self.http.open(feed.request) as stream:
                for data in stream.chunks():
                    yield from decoder.feed(data)
                yield from decoder.end()

        return method_of(make, method, many=Generator[T, None, None])

    return late(bound)


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

    models = _one(lambda: calls.store.models)
    models_openai = _one(lambda: calls.store.models_openai)
    inspect = _one(lambda: calls.store.inspect)
    inspect_openai = _one(lambda: calls.store.inspect_openai)
    search = _one(lambda: calls.store.search)
    pull = _many(lambda: calls.store.pull)
    push = _many(lambda: calls.store.push)
    tag = _one(lambda: calls.store.tag)
    remove = _one(lambda: calls.store.remove)
    load = _one(lambda: calls.store.load)
    export = _many(lambda: calls.store.export)
    repackage = _one(lambda: calls.store.repackage)
    purge = _one(lambda: calls.store.purge)
    trust_code = _one(lambda: calls.store.trust_code)
    distrust_code = _one(lambda: calls.store.distrust_code)

    ps = _one(lambda: calls.runners.ps)
    df = _one(lambda: calls.runners.df)
    status = _one(lambda: calls.runners.status)
    version = _one(lambda: calls.runners.version)
    config = _one(lambda: calls.runners.config)
    preload = _one(lambda: calls.runners.preload)
    unload = _one(lambda: calls.runners.unload)
    configure = _one(lambda: calls.runners.configure)
    configurations = _one(lambda: calls.runners.configurations)
    effective = _one(lambda: calls.runners.effective)
    requests = _one(lambda: calls.runners.requests)
    follow_requests = _many(lambda: calls.runners.follow_requests)
    logs = _many(lambda: calls.runners.logs)
    builds = _one(lambda: calls.runners.builds)
    install = _many(lambda: calls.runners.install)
    cancel_install = _one(lambda: calls.runners.cancel_install)
    uninstall = _one(lambda: calls.runners.uninstall)

    plan = _one(lambda: calls.decisions.plan)
    recommend = _one(lambda: calls.decisions.recommend)
    why = _one(lambda: calls.decisions.why)
    doctor = _one(lambda: calls.decisions.doctor)

    @contextmanager
    def chat(
        self,
        model: str,
        messages: "Sequence[ChatMessage]",
        *,
        backend: str = "",
        prefix: str | None = None,
        max_tokens: int | None = None,
        silence: float | None = None,
    ) -> "Iterator[Answer]":
        """A streamed answer; leaving the block early cancels it in the engine too.

        `prefix` is what comes before `/chat/completions` on servers that are not Stoker;
        `silence` (seconds) bounds each wait for a piece of the answer, a load included.
        """
        from stoker.client.chat import Answer, chat_request  # noqa: PLC0415  # late as above

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
