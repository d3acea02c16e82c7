"""The registry client: one per process, opened once, shared by every pull and push."""

import time
from types import TracebackType
from typing import Self, final

from yarl import URL

from stoker.net.names import Names
from stoker.net.transport import Transport
from stoker.oci.defaults import DEFAULT_REGISTRY
from stoker.oci.reference import Reference
from stoker.registry.catalogue import Catalogue, FoundRepository
from stoker.registry.credentials import BearerFor, Credentials, DockerCredentials, Secret
from stoker.registry.endpoint import Endpoint, Identity
from stoker.registry.options import REGISTRY, RegistryOptions, api_host, options_of
from stoker.registry.repository import Repository
from stoker.registry.sessions import UploadBook
from stoker.registry.tokens import TokenCache


@final
class RegistryClient:
    """Hands out repositories. `async with` closes every connection at the end."""

    def __init__(
        self,
        options: RegistryOptions | None = None,
        *,
        credentials: Credentials | None = None,
        names: Names | None = None,
    ) -> None:
        self._options = options or options_of()
        self._transport = Transport(self._options.net, REGISTRY, names=names)
        self._credentials = credentials or DockerCredentials()
        self._book = UploadBook()
        self._identity = self._identity_of(self._credentials)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

    def repository(self, reference: Reference, *, bearer: Secret | None = None) -> Repository:
        """The repository of a reference, as Source and Sink; no request is made here.

        `bearer` is a token that came with the user's request: it is for this registry only, and
        nobody else's request uses what it buys.
        """
        mirrors = self._options.mirrors if reference.registry == DEFAULT_REGISTRY else ()
        host = api_host(reference.registry)
        identity = self._identity
        if bearer is not None:
            identity = self._identity_of(BearerFor(host, bearer, self._credentials))
        endpoints = [self._endpoint(name, identity) for name in (*mirrors, host)]
        return Repository(reference, endpoints, book=self._book, options=self._options)

    async def search(self, term: str, *, limit: int) -> tuple[FoundRepository, ...]:
        """Models on Docker Hub, see `Catalogue.search`."""
        catalogue = Catalogue(self._transport, URL(self._options.catalogue))
        return await catalogue.search(term, limit=limit)

    def _identity_of(self, credentials: Credentials) -> Identity:
        return Identity(credentials, TokenCache(time.monotonic), self._options.net.trusted_hosts)

    def _endpoint(self, host: str, identity: Identity) -> Endpoint:
        # A mirror may be given as a URL.
        url = host if "://" in host else f"{self._options.scheme(host)}://{host}"
        return Endpoint(self._transport, URL(url).origin(), identity)
