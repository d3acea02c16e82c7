"""The registry client: one per process, opened once, shared by every pull and push."""

from types import TracebackType
from typing import Self, final

from yarl import URL

from stoker.oci.reference import DEFAULT_REGISTRY, Reference
from stoker.registry.endpoint import Endpoint
from stoker.registry.http import Transport
from stoker.registry.network import Names
from stoker.registry.options import RegistryOptions, api_host, options_of
from stoker.registry.repository import Repository


@final
class RegistryClient:
    """Hands out repositories. `async with` closes every connection at the end."""

    def __init__(
        self, options: RegistryOptions | None = None, *, names: Names | None = None
    ) -> None:
        self._options = options or options_of()
        self._transport = Transport(self._options, names=names)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

    def repository(self, reference: Reference) -> Repository:
        """The repository of a reference, as Source and Sink; no request is made here."""
        mirrors = self._options.mirrors if reference.registry == DEFAULT_REGISTRY else ()
        hosts = (*mirrors, api_host(reference.registry))
        return Repository(reference, [self._endpoint(host) for host in hosts])

    def _endpoint(self, host: str) -> Endpoint:
        if "://" in host:  # a mirror may be given as a URL
            return Endpoint(self._transport, URL(host).origin())
        return Endpoint(self._transport, URL(f"{self._options.scheme(host)}://{host}"))
