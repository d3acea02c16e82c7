"""Plain HTTP, as a client that knows nothing sends it: any method, any header, any body."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.components.daemon import Daemon


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The objects of a JSON lines answer."""
        return [json.loads(line) for line in self.body.splitlines()]


def ask(
    daemon: Daemon,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = 60,
) -> Reply:
    """One request on a connection of its own. Bytes are sent as they are, all else as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=timeout)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} if data is not None else {}
    try:
        connection.request(method, path, data, {**given, **(headers or {})})
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()
