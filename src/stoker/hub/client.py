"""The Hugging Face client: one per process, opened once, shared by every pull."""

from dataclasses import replace
from types import TracebackType
from typing import Self, final

from yarl import URL

from stoker.base.errors import InvalidReference
from stoker.formats.index import INDEX, MAX_INDEX, shards_of_index
from stoker.hub.asker import Asker, Waiting
from stoker.hub.failures import Errand
from stoker.hub.ggufchoice import variants_of
from stoker.hub.options import HUB, HubOptions, Token, options_of
from stoker.hub.remote import Remote
from stoker.hub.search import MAX_ANSWER, FoundModel, parse_found, query_of
from stoker.hub.select import select
from stoker.hub.source import HubSource
from stoker.hub.wire import RepoFile, check_repository, check_revision
from stoker.net.names import Names
from stoker.net.retry import ONCE
from stoker.net.transport import Transport
from stoker.oci.defaults import DEFAULT_TAG
from stoker.oci.reference import Reference, hub_repository


@final
class HubClient:
    """Hands out repositories as Sources. `async with` closes every connection at the end."""

    def __init__(
        self,
        options: HubOptions | None = None,
        *,
        names: Names | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self._options = options or options_of()
        # Askers repeat what they ask, and copies go on where they stopped.
        self._transport = Transport(replace(self._options.net, retry=ONCE), HUB, names=names)
        self._waiting = waiting or Waiting()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

    async def repository(
        self,
        repo: str,
        *,
        revision: str = "main",
        selection: str | None = None,
        token: str | None = None,
    ) -> HubSource:
        """One model of a repository, pinned to the commit that `revision` means now.

        `repo` is `org/name` in the hub's own spelling; `selection` a quantization, as the tag of
        `hf.co/org/name:Q4_K_M` gives it; `token` comes with the user's request and goes before the
        environment's. Raises InvalidReference, ModelNotFound, UnsupportedFormat, AuthRequired,
        Denied, RateLimited, Unreachable, HubError, ParseError.
        """
        check_revision(revision)
        asked = self._remote(check_repository(repo), token)
        info = await asked.info(revision)
        remote = self._remote(_moved_to(info.name, repo), token)
        files = await remote.files(info.commit)
        indexed = await _indexed(remote, info.commit, files)
        chosen = select(files, selection, repository=remote.repository, indexed=indexed)
        return HubSource(remote, info, chosen, variants_of(files))

    async def model(self, reference: Reference, text: str, *, token: str | None) -> HubSource:
        """The model that `reference` names, whose repository `text` spells as the hub does.

        Its tag chooses a quantization; the hub has no tags in OCI's sense. Raises as `repository`.
        """
        wanted = None if reference.tag == DEFAULT_TAG else reference.tag
        return await self.repository(hub_repository(text), selection=wanted, token=token)

    async def search(
        self, term: str, *, limit: int = 32, gguf_only: bool = False, token: str | None = None
    ) -> tuple[FoundModel, ...]:
        """Models whose name has this term, the most downloaded first; at most `limit`.

        Raises AuthRequired, RateLimited, Unreachable, HubError, ParseError.
        """
        endpoint = self._options.endpoint
        errand = Errand("the hub's list of models", endpoint, self._token(token))
        query = query_of(term, limit=limit, gguf_only=gguf_only)
        url = URL(f"{endpoint}/{query}", encoded=True)
        data, _ = await self._asker(errand).metadata(url, MAX_ANSWER)
        return parse_found(data)[:limit]

    def _remote(self, repo: str, token: str | None) -> Remote:
        endpoint = self._options.endpoint
        errand = Errand.pull(repo, endpoint, self._token(token))
        return Remote(repo, endpoint, self._asker(errand))

    def _asker(self, errand: Errand) -> Asker:
        return Asker(self._transport, self._options, errand, waiting=self._waiting)

    def _token(self, given: str | None) -> Token | None:
        if given and given.strip():
            return Token(given.strip(), "the request")
        return self._options.token


def _moved_to(name: str, asked: str) -> str:
    """The hub's own spelling of a name that was renamed or typed in another case."""
    try:
        return check_repository(name)
    except InvalidReference:
        return asked


async def _indexed(remote: Remote, commit: str, files: tuple[RepoFile, ...]) -> tuple[str, ...]:
    """The weights that the index names; empty without an index, or where GGUF is taken anyway."""
    index = next((file for file in files if file.path == INDEX), None)
    if index is None or variants_of(files):
        return ()
    # One byte more than allowed makes the parser say that it is too long.
    return shards_of_index(await remote.read(commit, index, 0, MAX_INDEX + 1))
