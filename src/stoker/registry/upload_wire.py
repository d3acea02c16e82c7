"""The requests of a push (distribution specification, "Pushing blobs"), one method each."""

import re
from contextlib import AbstractAsyncContextManager
from typing import Final, final

from yarl import URL

from stoker.base.errors import Broken, RegistryError, RemoteError, StokerError
from stoker.net.reach import Fence, Reach
from stoker.net.redirect import target_of
from stoker.net.request import Request
from stoker.net.response import Response
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import hasher_for
from stoker.registry.endpoint import Endpoint, failure_of
from stoker.registry.errand import Errand, pull_scope
from stoker.registry.sessions import Session

_OCTETS: Final = "application/octet-stream"
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d{1,19})")


@final
class UploadWire:
    """Uploads of one blob to one repository; holds no state of its own."""

    def __init__(
        self, endpoint: Endpoint, errand: Errand, *, repository: str, descriptor: Descriptor
    ) -> None:
        self._endpoint = endpoint
        self._errand = errand
        self._repository = repository
        self._digest = descriptor.digest
        self._size = descriptor.size

    @property
    def host(self) -> str:
        return self._endpoint.host

    async def is_there(self) -> bool:
        """HEAD: does the repository have this blob?"""
        url = self._endpoint.url(f"{self._repository}/blobs/{self._digest}")
        async with self._endpoint.send(Request("HEAD", url), self._errand) as response:
            if response.status == 200:
                # The size is not part of a digest: a descriptor with a wrong one names nothing.
                return response.content_length in {None, self._size}
            if response.status == 404:
                return False
            raise await failure_of(response, self._errand)

    async def begin(self) -> Session:
        """POST: open a session."""
        url = self._endpoint.url(f"{self._repository}/blobs/uploads/")
        request = Request("POST", url, body=b"", repeatable=True)
        async with self._endpoint.send(request, self._errand) as response:
            if response.status != 202:
                raise await failure_of(response, self._errand)
            return self._session(response)

    async def mount(self, from_repository: str) -> Session | None:
        """POST with `mount`: None when the registry took it from there, else an open session.

        Raises Denied, AuthRequired when we may not read the other repository.
        """
        url = self._endpoint.url(
            f"{self._repository}/blobs/uploads/",
            {"mount": self._digest, "from": from_repository},
        )
        errand = self._errand.also(pull_scope(from_repository))
        request = Request("POST", url, body=b"", repeatable=True)
        async with self._endpoint.send(request, errand) as response:
            if response.status == 201:
                return None
            if response.status != 202:
                raise await failure_of(response, errand)
            return self._session(response)

    async def patch(self, session: Session, data: bytes) -> int | StokerError:
        """PATCH: append. How many bytes are there now, or an error that `status` may clear up."""
        end = session.confirmed + len(data)
        headers = {"Content-Type": _OCTETS, "Content-Range": f"{session.confirmed}-{end - 1}"}
        request = Request("PATCH", session.location, headers, data)
        try:
            async with self._send(request, session) as response:
                if response.status in {201, 202, 204}:
                    self._follow_location(session, response)
                    confirmed = _confirmed(response)
                    return end if confirmed is None else confirmed
                failure = await failure_of(response, self._errand)
                if _may_pass(response.status):
                    return failure
                raise failure
        except Broken as error:
            return error

    async def status(self, session: Session) -> int | None:
        """GET: how many bytes the registry has; None when it forgot the session."""
        async with self._send(Request("GET", session.location), session) as response:
            if response.status in {400, 404, 410, 416}:
                return None
            if response.status not in {200, 202, 204}:
                raise await failure_of(response, self._errand)
            self._follow_location(session, response)
            confirmed = _confirmed(response)
        # "0-0" is what distribution says of an empty session, and of one with a single byte. Taken
        # for empty; should the byte be there, the digest will not match and the push starts over.
        return 0 if confirmed == 1 and session.confirmed == 0 else confirmed

    async def close(self, session: Session, data: bytes) -> StokerError | None:
        """PUT with the digest, and what is left of the content.

        None when the blob is there; an error when another try may help. With data it is not
        repeated by itself: half of it may already be in the session.
        """
        joint = "&" if session.location.raw_query_string else "?"
        # Not `update_query`: it would quote the registry's own state anew.
        url = URL(f"{session.location}{joint}digest={self._digest}", encoded=True)
        headers = {"Content-Type": _OCTETS}
        request = Request("PUT", url, headers, data, repeatable=not data, slow=True)
        failure: StokerError
        try:
            async with self._send(request, session) as response:
                if response.status in {201, 204}:
                    return None
                failure = await failure_of(response, self._errand)
                if not _may_pass(response.status):
                    raise failure
        except Broken as error:
            failure = error
        # The answer of an earlier, successful try may have been lost.
        return None if await self.is_there() else failure

    async def cancel(self, session: Session) -> None:
        """DELETE; a registry that does not know how purges abandoned sessions by itself."""
        try:
            async with self._send(Request("DELETE", session.location), session):
                pass
        except RemoteError:
            return

    def _send(self, request: Request, session: Session) -> AbstractAsyncContextManager[Response]:
        return self._endpoint.send(request, self._errand, fence=session.fence)

    def _session(self, response: Response) -> Session:
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(
                f"{self.host} opened an upload and does not say where", origin=self.host
            )
        least = response.headers.get("OCI-Chunk-Min-Length", "")
        return Session(
            target_of(response.url, location, failure=RegistryError),
            Fence(Reach.PUBLIC, response.reach),
            hasher_for(self._digest),
            least_chunk=int(least) if re.fullmatch(r"[0-9]{1,11}", least) else 0,
        )

    @staticmethod
    def _follow_location(session: Session, response: Response) -> None:
        """The next request goes to the `Location` of the last answer."""
        location = response.headers.get("Location")
        if location:
            session.location = target_of(response.url, location, failure=RegistryError)
            session.fence = Fence(Reach.PUBLIC, min(session.fence.high, response.reach))


def _may_pass(status: int) -> bool:
    """Answers after which the session's state, or a new session, may help."""
    return status in {404, 416} or status >= 500


def _confirmed(response: Response) -> int | None:
    """Bytes in the session after its `Range: 0-<last>`."""
    match = _RANGE.fullmatch(response.headers.get("Range", "").strip())
    return int(match.group(1)) + 1 if match else None
