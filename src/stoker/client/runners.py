"""The routes that install and remove engines."""

from collections.abc import Iterator
from typing import final

import msgspec

from stoker.base.errors import DaemonError, ParseError
from stoker.client.client import Client
from stoker.client.transport import Transport
from stoker.wire.manage import Progress
from stoker.wire.runners import Backend, EngineBuild, InstallBackend, UninstallBackend, Uninstalled


@final
class Runners:
    """Raises Unreachable, DaemonError and ParseError, as `Client` does."""

    def __init__(self, client: Client) -> None:
        self._http = Transport(client.endpoint)

    def builds(self) -> list[EngineBuild]:
        """All installed builds; the active one of each engine comes first."""
        return msgspec.json.decode(
            self._http.call("GET", "/engines/builds"), type=list[EngineBuild]
        )

    def install(self, backend: str, *, gpu: str, fresh: bool) -> Iterator[Progress]:
        """Install an engine; the last record has type `success`."""
        body = InstallBackend(backend=backend, gpu=gpu, fresh=fresh, stream=True)
        with self._http.stream(
            "POST",
            "/engines/install-backend",
            body=msgspec.json.encode(body),
            headers={"Accept": "application/json"},
        ) as stream:
            for line in stream.lines():
                yield self._record(line)

    def cancel(self, backend: str) -> None:
        """End a running installation."""
        self._http.call(
            "POST", "/engines/install-backend/cancel", body=msgspec.json.encode(Backend(backend))
        )

    def uninstall(self, backend: str, *, gpu: str = "") -> int:
        """Remove an engine's builds, or only those for a kind of GPU; how many there were."""
        body = msgspec.json.encode(UninstallBackend(backend, gpu))
        # Gigabytes in a hundred thousand files: no time-out.
        answer = self._http.call("POST", "/engines/uninstall-backend", body=body, timeout=None)
        return msgspec.json.decode(answer, type=Uninstalled).builds

    def _record(self, line: bytes) -> Progress:
        try:
            record = msgspec.json.decode(line, type=Progress)
        except msgspec.MsgspecError as error:
            raise ParseError(f"{self._http.endpoint} sent progress that does not parse") from error
        if record.type == "error":
            raise DaemonError(
                record.message.removeprefix("Error: "),
                origin=str(self._http.endpoint),
                status=200,
                remote_code=record.code or "",
                hint=record.hint or None,
            )
        return record
