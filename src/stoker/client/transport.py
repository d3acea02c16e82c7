"""HTTP to the daemon with the standard library: one connection per request, answers or streams.

Whatever goes wrong becomes one of three: `Unreachable` (no connection, or it broke), `DaemonError`
(the daemon said no), `ParseError` (it said something nobody understands).
"""

import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import urlencode

from stoker import __version__
from stoker.base.errors import DaemonError, InvalidSetting, ParseError, Unreachable
from stoker.client.endpoint import CONNECT_TIMEOUT, Endpoint
from stoker.wire.manage import ERROR_CODE_HEADER, ERROR_HINT_HEADER

USER_AGENT: Final = f"stoker-cli/{__version__}"
# Administrative answers come from memory or the disk; `inspect --remote` waits for a registry.
ANSWER_TIMEOUT: Final = 60.0
# The list of some thousand models is below 10 MiB.
_MAX_ANSWER: Final = 256 * 1024 * 1024
# One line of a stream: a chat chunk with a tool call of several MiB still fits.
_MAX_LINE: Final = 16 * 1024 * 1024
_MAX_ERROR: Final = 64 * 1024


@final
class Stream:
    """The body of a successful answer while it arrives. Made by `Transport.stream`."""

    def __init__(
        self, response: http.client.HTTPResponse, origin: str, timeout: float | None
    ) -> None:
        self._response = response
        self._origin = origin
        self._timeout = timeout
        self._missing = int(response.getheader("Content-Length") or -1)

    def chunks(self) -> Iterator[bytes]:
        """Pieces as they come. Raises Unreachable when the far side stops in the middle."""
        while data := self._read():
            yield data

    def lines(self) -> Iterator[bytes]:
        """Lines without their newline; a last one without newline counts too."""
        rest = b""
        for data in self.chunks():
            *complete, rest = (rest + data).split(b"\n")
            yield from complete
            if len(rest) > _MAX_LINE:
                raise ParseError(f"{self._origin} sent a line longer than {_MAX_LINE} bytes")
        if rest:
            yield rest

    def read(self) -> bytes:
        """All of it. Raises ParseError when that is absurdly much."""
        body = bytearray()
        for data in self.chunks():
            body += data
            if len(body) > _MAX_ANSWER:
                raise ParseError(f"{self._origin} sent an answer longer than {_MAX_ANSWER} bytes")
        return bytes(body)

    def _read(self) -> bytes:
        try:
            # read1, because read would wait for a full buffer and hold back the first tokens.
            data = self._response.read1(65536)
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(error, self._origin, self._timeout) from error
        if self._missing > 0:
            self._missing -= len(data)
            if not data:
                # http.client reports a short body only for read(), not for read1().
                raise _unreachable(http.client.IncompleteRead(b""), self._origin, self._timeout)
        return data


@final
@dataclass(frozen=True, slots=True)
class Transport:
    """Requests to one endpoint. Stateless: nothing to close."""

    endpoint: Endpoint
    user_agent: str = USER_AGENT

    def call(
        self,
        method: str,
        route: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = ANSWER_TIMEOUT,
    ) -> bytes:
        """The whole body of a successful answer. Raises DaemonError, Unreachable, ParseError."""
        asked = self.stream(method, route, query=query, body=body, headers=headers, timeout=timeout)
        with asked as stream:
            return stream.read()

    @contextmanager
    def stream(
        self,
        method: str,
        route: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Stream]:
        """A successful answer to read from inside the block; leaving it closes the connection.

        A body in pieces is sent as they come.

        That is also how a request is cancelled. `timeout` bounds each wait for bytes; None waits
        as long as the connection stands, which is right while a model loads.
        """
        connection = _Connection(self.endpoint)
        response: http.client.HTTPResponse | None = None
        try:
            # Only what happens here is translated: an OSError of the caller's block is his own.
            try:
                connection.connect()
                connection.link.settimeout(timeout)
                target = f"{self._prefix}{route}{'?' + urlencode(query) if query else ''}"
                sent = self._headers(body, headers)
                try:
                    connection.request(method, target, body=body, headers=sent)
                except (BrokenPipeError, ConnectionResetError):
                    if isinstance(body, bytes | None):
                        raise
                    # Refused before all of it was sent: the answer says why.
                response = connection.getresponse()
                refused = _refusal(response, self._name) if response.status >= 400 else None
            except (OSError, http.client.HTTPException) as error:
                raise _unreachable(error, self._name, timeout) from error
            if refused is not None:
                raise refused
            yield Stream(response, self._name, timeout)
        finally:
            if response is not None:
                response.close()
            connection.close()

    @property
    def _prefix(self) -> str:
        return "" if self.endpoint.scheme == "unix" else self.endpoint.path

    @property
    def _name(self) -> str:
        return str(self.endpoint)

    def _headers(
        self, body: bytes | Iterable[bytes] | None, more: Mapping[str, str] | None
    ) -> dict[str, str]:
        headers = {
            "User-Agent": self.user_agent,
            # Exactly this value makes progress come as plain JSON lines.
            "Accept": "application/json",
            "Connection": "close",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        return {**headers, **(more or {})}


class _Connection(http.client.HTTPConnection):
    """http.client over whatever socket the endpoint opens."""

    def __init__(self, endpoint: Endpoint) -> None:
        # The host is only what the Host header says; a unix socket has none of its own.
        host = endpoint.host or "localhost"
        super().__init__(host, endpoint.port or None)
        self._endpoint = endpoint
        self.link: socket.socket

    def connect(self) -> None:
        tls = _tls_context() if self._endpoint.scheme == "https" else None
        link = self._endpoint.connect(CONNECT_TIMEOUT)
        if tls is not None:
            link = tls.wrap_socket(link, server_hostname=self._endpoint.host)
        self.sock = self.link = link


def _tls_context() -> ssl.SSLContext:
    # Docker Model Runner's variables, with its reading: only the word `true` counts.
    authority = os.environ.get("MODEL_RUNNER_TLS_CA_CERT") or None
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:  # ssl.SSLError is one
        raise InvalidSetting(f"MODEL_RUNNER_TLS_CA_CERT={authority}: {error}") from error
    if os.environ.get("MODEL_RUNNER_TLS_SKIP_VERIFY") == "true":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _refusal(response: http.client.HTTPResponse, origin: str) -> DaemonError:
    text = response.read(_MAX_ERROR).decode("utf-8", "replace")
    message, code = unwrap_error(text)
    hint = response.getheader(ERROR_HINT_HEADER)
    if hint:
        # On OpenAI routes the hint is also part of the message, for clients that show only that.
        message = message.removesuffix(f" ({hint})")
    return DaemonError(
        message or f"the daemon answered {response.status} {response.reason}",
        origin=origin,
        status=response.status,
        remote_code=response.getheader(ERROR_CODE_HEADER) or code,
        hint=hint,
    )


def unwrap_error(text: str) -> tuple[str, str]:
    """Message and code out of an OpenAI or Ollama error envelope, or out of plain text."""
    try:
        value: Any = json.loads(text)
    except ValueError:
        return text.strip(), ""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, str):
        return error, ""
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return error["message"], str(error.get("code") or "")
    return text.strip(), ""


def _unreachable(error: Exception, origin: str, timeout: float | None) -> Unreachable:
    if isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
        text = f"Stoker is not running: nothing answers at {origin}"
        return Unreachable(text, origin=origin, hint="start it with: stoker serve")
    if isinstance(error, TimeoutError):
        seconds = CONNECT_TIMEOUT if timeout is None else timeout
        return Unreachable(f"no answer from {origin} within {seconds:g} s", origin=origin)
    if isinstance(error, http.client.HTTPException):
        text = f"{origin} closed the connection in the middle of an answer"
        return Unreachable(text, origin=origin, hint="what happened there: stoker logs")
    return Unreachable(f"the connection to {origin} failed: {error}", origin=origin)
