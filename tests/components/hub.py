"""A Hugging Face hub on loopback: two real HTTP servers, the hub and its CDN.

    with hub_server() as hub:
        hub.add("org/name", {"model-Q4_K_M.gguf": data, "README.md": b"..."})
        ...                             # HF_ENDPOINT=hub.url
        hub.seen                        # every request that came in, at either server

Weights, and whatever is larger than 1 KB and no JSON or text, are kept "by LFS": listed with their
sha256 and served by redirect to the CDN. The rest is listed with git's hash and redirected within
the hub, as huggingface.co does. `tests/hub/test_stand_in.py` holds it against the `huggingface_hub`
package.
"""

import contextlib
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.components.hub_repositories import Answer, Repositories

__all__ = ["Answer", "Cut", "Fault", "HubServer", "IgnoreRange", "Replace", "Seen", "hub_server"]

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived; header names in lower case."""

    server: str
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection after this many bytes of the body."""

    after: int


@dataclass(frozen=True, slots=True)
class IgnoreRange:
    """Send everything, whatever was asked for."""


@dataclass(frozen=True, slots=True)
class Replace:
    """Serve other content than was listed."""

    content: Callable[[bytes], bytes]


Fault = Answer | Cut | IgnoreRange | Replace


@dataclass(slots=True)
class _Rule:
    server: str
    part: str
    fault: Fault
    left: int


class HubServer(Repositories):
    """See the module: repositories, what goes wrong with requests, and what was asked."""

    def __init__(self, *, page: int) -> None:
        super().__init__(page=page)
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self.seen: list[Seen] = []

    def on(self, part: str, fault: Fault, *, times: int = 1, server: str = "hub") -> None:
        """Apply `fault` to the next `times` GETs whose path has this part."""
        self._rules.append(_Rule(server, part, fault, times))

    def reset(self) -> None:
        """Forget faults and what was seen; repositories stay."""
        self._rules.clear()
        self.seen.clear()

    def count(self, part: str = "", *, server: str = "hub", method: str = "GET") -> int:
        """How many such requests came in."""
        return sum(s.server == server and s.method == method and part in s.path for s in self.seen)

    def fault_for(self, seen: Seen) -> Fault | None:
        """Note the request, and say what shall go wrong with it."""
        with self._lock:
            self.seen.append(seen)
            for rule in self._rules:
                if rule.left and rule.server == seen.server and rule.part in seen.path:
                    rule.left -= seen.method == "GET"
                    return rule.fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer
    role: str

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        pass

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.hub.fault_for(Seen(self.role, self.command, self.path, headers))
        parts = urlsplit(self.path)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if isinstance(fault, Answer):
            answer = fault
        elif self.role == "hub":
            answer = self.hub.answer(parts.path, parse_qs(parts.query), bearer)
        else:
            data = self.hub.blobs.get(parts.path.rpartition("/")[2])
            good = data is not None and "Signature=a%2Bb%3D%3D" in parts.query
            answer = Answer(200, {"Accept-Ranges": "bytes"}, data or b"") if good else Answer(403)
        if answer.status == 200 and not parts.path.startswith("/api/models"):
            answer = _ranged(answer, headers.get("range", ""), fault)
        end = fault.after if isinstance(fault, Cut) else len(answer.body)
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(answer.body[:end])
        if end < len(answer.body):
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is no fault of the server."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def hub_server(*, page: int = 3) -> Iterator[HubServer]:
    """A hub with pages of `page` entries, until the block ends."""
    hub = HubServer(page=page)
    with contextlib.ExitStack() as stack:
        hub.url = stack.enter_context(_running(hub, "hub"))
        hub.cdn_url = stack.enter_context(_running(hub, "cdn"))
        yield hub


@contextlib.contextmanager
def _running(hub: HubServer, role: str) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"hub": hub, "role": role})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _ranged(answer: Answer, wanted: str, fault: Fault | None) -> Answer:
    body = fault.content(answer.body) if isinstance(fault, Replace) else answer.body
    found = _RANGE.fullmatch(wanted)
    if not found or isinstance(fault, IgnoreRange):
        return Answer(200, answer.headers, body)
    start = int(found[1])
    end = min(int(found[2] or len(body)) + 1, len(body))
    if start >= len(body):
        return Answer(416, {"Content-Range": f"bytes */{len(body)}"})
    span = {"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"}
    return Answer(206, {**answer.headers, **span}, body[start:end])
