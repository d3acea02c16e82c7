"""HTTP to the daemon with the standard library: one connection per request, answers or streams.

Whatever goes wrong becomes one of three: `Unreachable` (no connection, or it broke), `DaemonError`
(the daemon said no), `ParseError` (it said something nobody understands).
"""

import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, final
from urllib.parse import urlencode

from stoker import __version__
from stoker.base.errors import InvalidSetting, ParseError, Unreachable
from stoker.base.paths import paths_of
from stoker.client import failures
from stoker.client.call import MAX_ANSWER, Request
from stoker.client.endpoint import CONNECT_TIMEOUT, Endpoint

USER_AGENT: Final = f"stoker/{__version__}"


@final
class Stream:
    """The body of a successful answer while it arrives. Made by `Transport.open`."""

    def __init__(
        self, response: http.client.HTTPResponse, endpoint: Endpoint, timeout: float | None
    ) -> None:
        self._response = response
        self._endpoint = endpoint
        self._timeout = timeout
        self._missing = int(response.getheader("Content-Length") or -1)

    def chunks(self) -> Iterator[bytes]:
        """Pieces as they come. Raises Unreachable when the far side stops in the middle."""
        while data := self._read():
            yield data

    def read(self) -> bytes:
        """All of it. Raises ParseError when that is absurdly much."""
        body = bytearray()
        for data in self.chunks():
            body += data
            if len(body) > MAX_ANSWER:
                raise ParseError(f"{self._endpoint} sent an answer longer than {MAX_ANSWER} bytes")
        return bytes(body)

    def _read(self) -> bytes:
        try:
            # read1, because read would wait for a full buffer and hold back the first tokens.
            data = self._response.read1(65536)
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(error, self._endpoint, self._timeout) from error
        if self._missing > 0:
            self._missing -= len(data)
            if not data:
                # http.client reports a short body only for read(), not for read1().
                raise failures.cut_off(str(self._endpoint))
        return data


@final
class Transport:
    """Requests to one endpoint. Stateless: nothing to close."""

    def __init__(self, endpoint: Endpoint, user_agent: str = USER_AGENT) -> None:
        self.endpoint = endpoint
        self.user_agent = user_agent

    def read(self, request: Request) -> bytes:
        """The whole body of a successful answer. Raises DaemonError, Unreachable, ParseError."""
        with self.open(request) as stream:
            return stream.read()

    @contextmanager
    def open(self, request: Request) -> Iterator[Stream]:
        """A successful answer to read from inside the block; leaving it closes the connection.

        That is also how a request is cancelled.
        """
        connection = _Connection(self.endpoint)
        response: http.client.HTTPResponse | None = None
        try:
            # Only what happens here is translated: an OSError of the caller's block is his own.
            try:
                connection.connect()
                connection.link.settimeout(request.timeout)
                self._send(connection, request)
                response = connection.getresponse()
                refuses = response.status >= failures.REDIRECT
                refused = _refusal(response, str(self.endpoint)) if refuses else None
            except (OSError, http.client.HTTPException) as error:
                raise _unreachable(error, self.endpoint, request.timeout) from error
            if refused is not None:
                raise refused
            yield Stream(response, self.endpoint, request.timeout)
        finally:
            if response is not None:
                response.close()
            connection.close()

    def _send(self, connection: "_Connection", request: Request) -> None:
        headers = headers_of(self.endpoint, request, self.user_agent)
        url = target(self.endpoint, request)
        try:
            connection.request(request.method, url, body=request.body, headers=headers)
        except (BrokenPipeError, ConnectionResetError):
            if isinstance(request.body, bytes | None):
                raise
            # Refused before all of it was sent: the answer says why.


def target(endpoint: Endpoint, request: Request) -> str:
    """Path and query, after the endpoint's prefix."""
    prefix = "" if endpoint.scheme == "unix" else endpoint.path
    return f"{prefix}{request.route}{'?' + urlencode(request.query) if request.query else ''}"


def headers_of(endpoint: Endpoint, request: Request, user_agent: str) -> dict[str, str]:
    """All headers of a request."""
    headers = {
        "User-Agent": user_agent,
        # Exactly this value makes progress come as plain JSON lines.
        "Accept": "application/json",
        "Connection": "close",
    }
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    return {**headers, **request.headers}


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Whom to trust: Docker Model Runner's variables, else what the endpoint's context says.

    Of the variables only the word `true` counts, as there. Raises InvalidSetting.
    """
    variable = os.environ.get("MODEL_RUNNER_TLS_CA_CERT")
    try:
        context = ssl.create_default_context(cafile=variable or endpoint.ca_cert or None)
    except OSError as error:  # ssl.SSLError is one
        said = (
            f"MODEL_RUNNER_TLS_CA_CERT={variable}"
            if variable
            else (f"{endpoint.origin}, authority {endpoint.ca_cert}")
        )
        raise InvalidSetting(f"{said}: {error}") from error
    own = paths_of().tls / "ca.pem"
    if not variable and own.exists():
        # A daemon of this very user made it, and nobody else has its key.
        context.load_verify_locations(cafile=own)
    if endpoint.skip_verify or os.environ.get("MODEL_RUNNER_TLS_SKIP_VERIFY") == "true":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Connection(http.client.HTTPConnection):
    """http.client over whatever socket the endpoint opens."""

    def __init__(self, endpoint: Endpoint) -> None:
        # The host is only what the Host header says; a unix socket has none of its own.
        host = endpoint.host or "localhost"
        super().__init__(host, endpoint.port or None)
        self._endpoint = endpoint
        self.link: socket.socket

    def connect(self) -> None:
        tls = tls_context(self._endpoint) if self._endpoint.scheme == "https" else None
        link = self._endpoint.connect(CONNECT_TIMEOUT)
        if tls is not None:
            link = tls.wrap_socket(link, server_hostname=self._endpoint.host)
        self.sock = self.link = link


def _refusal(response: http.client.HTTPResponse, origin: str) -> Exception:
    body = response.read(failures.MAX_ERROR)
    return failures.refusal(response.status, response.headers.get, body, origin)


def _unreachable(error: Exception, endpoint: Endpoint, timeout: float | None) -> Unreachable:
    origin = str(endpoint)
    if isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
        return failures.not_running(endpoint)
    if isinstance(error, TimeoutError):
        return failures.too_slow(origin, CONNECT_TIMEOUT if timeout is None else timeout)
    if isinstance(error, http.client.HTTPException):
        return failures.cut_off(origin)
    return failures.connection_failed(error, origin)
