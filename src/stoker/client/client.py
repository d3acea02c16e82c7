"""One method per management route, and chat. Names are what the user typed: the daemon resolves."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, final
from urllib.parse import quote

import msgspec

from stoker.base.errors import DaemonError, ParseError
from stoker.client.chat import Answer, ChatMessage, ChatRequest
from stoker.client.endpoint import Endpoint, endpoint_of
from stoker.client.transport import USER_AGENT, Stream, Transport
from stoker.wire.manage import (
    Configure,
    Configured,
    CreateModel,
    DiskUsage,
    Model,
    OpenAIModel,
    OpenAIModelList,
    Progress,
    Repackage,
    Runner,
    Tagged,
    Unload,
    Unloaded,
    Version,
)
from stoker.wire.search import SearchAnswer

T = TypeVar("T")


@final
class Client:
    """Talks to one daemon. Holds no connection, so there is nothing to close.

    Every method raises Unreachable when nobody answers, DaemonError when the daemon refuses and
    ParseError when its answer cannot be read.
    """

    def __init__(self, endpoint: Endpoint | None = None, *, user_agent: str = USER_AGENT) -> None:
        self.endpoint = endpoint or endpoint_of()
        self._http = Transport(self.endpoint, user_agent)

    def models(self) -> list[Model]:
        """The models in the store."""
        return self._get("/models", list[Model])

    def models_openai(self, *, prefix: str = "/engines/v1") -> OpenAIModelList:
        """The same as OpenAI clients see it."""
        return self._get(f"{prefix}/models", OpenAIModelList)

    def inspect(self, name: str, *, remote: bool = False) -> Model:
        """One model of the store, or of its registry without pulling it."""
        query = {"remote": "true"} if remote else None
        return self._decode(self._http.call("GET", f"/models/{_path(name)}", query=query), Model)

    def inspect_openai(self, name: str) -> OpenAIModel:
        """One model as OpenAI clients see it."""
        return self._get(f"/engines/v1/models/{_path(name)}", OpenAIModel)

    def search(self, term: str, *, limit: int, source: str) -> SearchAnswer:
        """Models on Docker Hub and Hugging Face."""
        query = {"q": term, "limit": str(limit), "source": source}
        return self._decode(self._http.call("GET", "/search", query=query), SearchAnswer)

    def pull(self, name: str, *, bearer_token: str = "") -> Iterator[Progress]:
        """Pull a model; the last record has type `success`."""
        body = msgspec.json.encode(CreateModel(source=name, bearer_token=bearer_token))
        return self._transfer("/models/create", body)

    def push(self, name: str, *, bearer_token: str = "") -> Iterator[Progress]:
        """Push a model to its registry."""
        body = msgspec.json.encode({"bearer-token": bearer_token}) if bearer_token else b""
        return self._transfer(f"/models/{_path(name)}/push", body)

    def tag(self, source: str, repository: str, tag: str) -> Tagged:
        """Give a model one more name; `repository` is fully qualified."""
        query = {"repo": repository, "tag": tag}
        route = f"/models/{_path(source)}/tag"
        return self._decode(self._http.call("POST", route, query=query), Tagged)

    def remove(self, name: str, *, force: bool = False) -> list[dict[str, str]]:
        """Untag or delete; one `{"Untagged": tag}` or `{"Deleted": id}` per thing done."""
        query = {"force": "true"} if force else None
        body = self._http.call("DELETE", f"/models/{_path(name)}", query=query)
        return self._decode(body, list[dict[str, str]])

    def load(self, archive: Iterable[bytes]) -> None:
        """Send models as a tar file: Docker Model Runner's form, or an OCI layout with names."""
        headers = {"Content-Type": "application/x-tar"}
        with self._http.stream("POST", "/models/load", body=archive, headers=headers) as stream:
            for _ in self._records(stream):
                pass

    def export(self, name: str) -> Iterator[bytes]:
        """A model as Docker Model Runner's tar, without its name."""
        with self._http.stream("GET", f"/models/{_path(name)}/export") as stream:
            yield from stream.chunks()

    def repackage(self, source: str, target: str, context_size: int | None) -> None:
        """Make a variant of a model in the store."""
        body = msgspec.json.encode(Repackage(target=target, context_size=context_size))
        self._http.call("POST", f"/models/{_path(source)}/repackage", body=body)

    def purge(self) -> None:
        """Remove every model."""
        self._http.call("DELETE", "/models/purge")

    def ps(self) -> list[Runner]:
        """What is loaded or loading."""
        return self._get("/engines/ps", list[Runner])

    def df(self) -> DiskUsage:
        """Bytes on disk."""
        return self._get("/engines/df", DiskUsage)

    def status(self) -> dict[str, str]:
        """Engine name to `Running`, `Error`, `Not Installed` or `Installing`, maybe `: detail`."""
        return self._get("/engines/status", dict[str, str])

    def version(self) -> str:
        """The daemon's version."""
        return self._get("/version", Version).version

    def unload(
        self, models: Sequence[str] = (), *, backend: str = "", everything: bool = False
    ) -> int:
        """Stop idle runners; how many were stopped."""
        body = msgspec.json.encode(Unload(all=everything, backend=backend, models=[*models]))
        return self._decode(
            self._http.call("POST", "/engines/unload", body=body), Unloaded
        ).unloaded_runners

    def configure(self, settings: Configure, *, backend: str = "") -> None:
        """Replace the run settings of `settings.model`, and preload it."""
        route = f"/engines/{quote(backend)}/_configure" if backend else "/engines/_configure"
        self._http.call("POST", route, body=msgspec.json.encode(settings))

    def configurations(self, model: str = "") -> list[Configured]:
        """What `configure` set, for one model or for all."""
        query = {"model": model} if model else None
        body = self._http.call("GET", "/engines/_configure", query=query)
        return self._decode(body, list[Configured])

    def logs(
        self, *, follow: bool = False, engines: bool = True, backend: str = ""
    ) -> Iterator[bytes]:
        """The daemon's log as it is stored; with `follow` it never ends by itself.

        `engines` False leaves out what engines wrote, `backend` all but that one engine.
        """
        query = {"follow": str(follow).lower(), "no-engines": str(not engines).lower()}
        if backend:
            query["backend"] = backend
        with self._http.stream("GET", "/logs", query=query) as stream:
            yield from stream.chunks()

    def preload(self, model: str, *, backend: str = "") -> None:
        """Load a model and wait until it can answer."""
        body = msgspec.json.encode(ChatRequest(model=model, messages=[]))
        headers = {"X-Preload-Only": "true"}
        with self._http.stream("POST", _chat(backend), body=body, headers=headers) as stream:
            stream.read()

    @contextmanager
    def chat(
        self,
        model: str,
        messages: Sequence[ChatMessage],
        *,
        backend: str = "",
        prefix: str | None = None,
    ) -> Iterator[Answer]:
        """A streamed answer; leaving the block early cancels it in the engine too.

        `prefix` is what comes before `/chat/completions` on servers that are not Stoker.
        """
        request = ChatRequest(
            model=model,
            messages=[*messages],
            stream=True,
            stream_options={"include_usage": True},
        )
        body = msgspec.json.encode(request)
        headers = {"Accept": "text/event-stream, application/json"}
        route = _chat(backend) if prefix is None else f"{prefix}/chat/completions"
        with self._http.stream("POST", route, body=body, headers=headers) as stream:
            yield Answer(stream.lines(), str(self.endpoint))

    def _get(self, route: str, kind: type[T]) -> T:
        return self._decode(self._http.call("GET", route), kind)

    def _decode(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise ParseError(f"the answer of {self.endpoint} does not parse: {error}") from error

    def _transfer(self, route: str, body: bytes) -> Iterator[Progress]:
        with self._http.stream("POST", route, body=body) as stream:
            yield from self._records(stream)

    def _records(self, stream: Stream) -> Iterator[Progress]:
        for line in stream.lines():
            if not line.strip():
                continue
            record = self._decode(line, Progress)
            if record.type == "error":
                raise DaemonError(
                    record.message.removeprefix("Error: "),
                    origin=str(self.endpoint),
                    status=200,
                    remote_code=record.code or "",
                    hint=record.hint or None,
                )
            yield record


def _path(name: str) -> str:
    """A model name inside a path; its slashes and colons stay readable."""
    return quote(name, safe="/:@")


def _chat(backend: str) -> str:
    middle = f"/{quote(backend)}" if backend else ""
    return f"/engines{middle}/v1/chat/completions"
