"""A proxy between client and registry that breaks things on demand, byte by byte.

    async with fault_proxy(registry.host) as proxy:
        proxy.on("GET", "/blobs/", CutResponse(after=1000))
        ...                         # talk to proxy.host as to the registry
        proxy.seen                  # every request that came in

One request per connection, on both sides; `Host` is passed on, so that the `Location` of an upload
comes back to the proxy.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

_MAX_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body_size: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer as it is about to be written."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def with_header(self, name: str, value: str | None) -> "Reply":
        kept = {k: v for k, v in self.headers.items() if k.lower() != name.lower()}
        return replace(self, headers=kept if value is None else {**kept, name: value})


@dataclass(frozen=True, slots=True)
class CutResponse:
    """Close the connection after this many bytes of the body."""

    after: int


@dataclass(frozen=True, slots=True)
class Stall:
    """Stop sending after this many bytes of the body, and keep the connection open."""

    after: int


@dataclass(frozen=True, slots=True)
class Silence:
    """Take the request and never answer."""


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Pass on this many bytes of the request's body, then close both connections."""

    after: int


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """Let the registry do its work, and close without passing on its answer."""


@dataclass(frozen=True, slots=True)
class IgnoreRange:
    """Ask upstream for everything: 200 where 206 was hoped for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer oneself, without asking the registry."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Change:
    """Change the registry's answer."""

    how: Callable[[Reply], Reply]


Fault = CutResponse | Stall | Silence | CutRequest | LoseAnswer | IgnoreRange | Answer | Change


def wrong_content_range(first: int = 1, last: int = 0) -> Change:
    """Claim that a partial answer begins or ends that many bytes later."""

    def how(reply: Reply) -> Reply:
        old = next((v for k, v in reply.headers.items() if k.lower() == "content-range"), None)
        if old is None:
            return reply
        span, _, total = old.removeprefix("bytes ").partition("/")
        start, end = (int(part) for part in span.split("-"))
        return reply.with_header("Content-Range", f"bytes {start + first}-{end + last}/{total}")

    return Change(how)


def flip_byte(at: int) -> Change:
    """Damage one byte of the body."""

    def how(reply: Reply) -> Reply:
        body = bytearray(reply.body)
        body[at] ^= 0x01
        return replace(reply, body=bytes(body))

    return Change(how)


def lie_about_length(by: int) -> Change:
    """Claim `by` bytes more (or less) than are sent."""
    return Change(lambda r: r.with_header("Content-Length", str(len(r.body) + by)))


def drop_header(name: str) -> Change:
    """Leave out one header."""
    return Change(lambda reply: reply.with_header(name, None))


def redirect(location: str, status: int = 307) -> Answer:
    """Send the client elsewhere."""
    return Answer(status, {"Location": location})


def rate_limited(retry_after: str | None = None) -> Answer:
    """429, perhaps with advice."""
    return Answer(429, {} if retry_after is None else {"Retry-After": retry_after})


@dataclass(slots=True)
class _Rule:
    method: str
    part: str
    fault: Fault
    left: int


class FaultProxy:
    """See the module. `host` is what the client talks to."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._rules: list[_Rule] = []
        self._tasks: set[asyncio.Task[object]] = set()
        self.host = ""
        self.port = 0
        self.seen: list[Seen] = []

    def on(self, method: str, path_part: str, fault: Fault, *, times: int = 1) -> None:
        """Apply `fault` to the next `times` requests of this method whose path has this part."""
        self._rules.append(_Rule(method, path_part, fault, times))

    def count(self, method: str, path_part: str = "") -> int:
        """How many such requests came in."""
        return sum(s.method == method and path_part in s.path for s in self.seen)

    def _fault_for(self, method: str, path: str) -> Fault | None:
        for rule in self._rules:
            if rule.left > 0 and rule.method == method and rule.part in path:
                rule.left -= 1
                return rule.fault
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client, or a fault, went away
        except asyncio.CancelledError:
            # From `stop`. Python 3.11's stream server reports a cancelled handler as a crash.
            pass
        finally:
            await _close(writer)

    async def stop(self) -> None:
        """End the connections that are still open."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        method, path, _ = first.split(" ", 2)
        size = int(headers.get("content-length", "0"))
        fault = self._fault_for(method, path)
        self.seen.append(Seen(method, path, headers, size))
        if path.startswith("http://"):  # we are used as a forward proxy
            path = "/" + path.partition("://")[2].partition("/")[2]
        keep = min(fault.after, size) if isinstance(fault, CutRequest) else size
        body = await reader.readexactly(keep)
        if isinstance(fault, Silence):
            await reader.read()  # until the client gives up
            return
        if isinstance(fault, Answer):
            reply = Reply(fault.status, fault.headers, fault.body)
        else:
            if isinstance(fault, IgnoreRange):
                headers = {k: v for k, v in headers.items() if k != "range"}
            answered = await self._ask(method, path, headers, body, wait=keep == size)
            if answered is None or isinstance(fault, LoseAnswer):
                return
            reply = fault.how(answered) if isinstance(fault, Change) else answered
        if not {"content-length", "transfer-encoding"} & {name.lower() for name in reply.headers}:
            reply = reply.with_header("Content-Length", str(len(reply.body)))
        end = fault.after if isinstance(fault, CutResponse | Stall) else len(reply.body)
        writer.write(_encode(reply) + (b"" if method == "HEAD" else reply.body[:end]))
        await writer.drain()
        if isinstance(fault, Stall):
            await reader.read()  # until the client gives up

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, wait: bool
    ) -> Reply | None:
        host, _, port = self._upstream.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            sent = {**headers, "connection": "close"}
            lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
            writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
            await writer.drain()
            if not wait:
                return None
            first, found = _head(await reader.readuntil(b"\r\n\r\n"))
            data = b"" if method == "HEAD" else await reader.read(-1)
            return Reply(int(first.split(" ")[1]), found, data)
        finally:
            await _close(writer)


@contextlib.asynccontextmanager
async def fault_proxy(upstream: str, *, address: str = "127.0.0.1") -> AsyncIterator[FaultProxy]:
    """A proxy in front of `host:port`, until the block ends; `address` is where it listens."""
    proxy = FaultProxy(upstream)
    server = await asyncio.start_server(proxy.serve, address, 0, limit=_MAX_HEAD)
    proxy.port = server.sockets[0].getsockname()[1]
    proxy.host = f"{address}:{proxy.port}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def _head(data: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = data.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


def _encode(reply: Reply) -> bytes:
    headers = {k: v for k, v in reply.headers.items() if k.lower() != "connection"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} X\r\n{lines}Connection: close\r\n\r\n".encode("latin-1")
