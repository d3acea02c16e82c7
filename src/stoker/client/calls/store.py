"""Calls about the models of the store and of registries. Names are what the user typed."""

from collections.abc import Iterable

import msgspec

from stoker.client.call import (
    Call,
    Chunks,
    Feed,
    Records,
    Request,
    ask,
    get,
    json_of,
    last_record,
    nothing,
)
from stoker.client.calls.names import hub_header, in_path
from stoker.wire.code import Consent
from stoker.wire.manage import (
    CreateModel,
    Model,
    OpenAIModel,
    OpenAIModelList,
    Progress,
    PushModel,
    Repackage,
    Tagged,
)
from stoker.wire.search import SearchAnswer


def models() -> Call[list[Model]]:
    """The models in the store."""
    return get("/models", list[Model])


def models_openai(*, prefix: str = "/engines/v1") -> Call[OpenAIModelList]:
    """The same as OpenAI clients see it."""
    return get(f"{prefix}/models", OpenAIModelList)


def inspect(name: str, *, remote: bool = False, token: str = "") -> Call[Model]:
    """One model of the store, or of its registry without pulling it.

    `token` is for a gated repository of Hugging Face.
    """
    return get(f"/models/{in_path(name)}", Model, {"remote": remote}, headers=hub_header(token))


def inspect_openai(name: str) -> Call[OpenAIModel]:
    """One model as OpenAI clients see it."""
    return get(f"/engines/v1/models/{in_path(name)}", OpenAIModel)


def search(term: str, *, limit: int = 32, source: str = "all") -> Call[SearchAnswer]:
    """Models on Docker Hub and Hugging Face. `source`: all, dockerhub or huggingface."""
    return get("/search", SearchAnswer, {"q": term, "limit": limit, "source": source})


def pull(name: str, *, bearer_token: str = "") -> Feed[Progress]:
    """Pull a model; the last record has type `success`.

    `bearer_token` is for Hugging Face. Iterate to the end: leaving early cancels the pull.
    """
    return _transfer("/models/create", CreateModel(source=name, bearer_token=bearer_token))


def push(name: str, *, bearer_token: str = "") -> Feed[Progress]:
    """Push a model to its registry; otherwise like `pull`."""
    return _transfer(f"/models/{in_path(name)}/push", PushModel(bearer_token=bearer_token))


def tag(source: str, repository: str, tag: str = "latest") -> Call[Tagged]:
    """Give a model one more name; `repository` is fully qualified, like `docker.io/me/mine`."""
    query = {"repo": repository, "tag": tag}
    return ask("POST", f"/models/{in_path(source)}/tag", json_of(Tagged), query=query)


def remove(name: str, *, force: bool = False) -> Call[list[dict[str, str]]]:
    """Untag or delete; one `{"Untagged": tag}` or `{"Deleted": id}` per thing done.

    `force` deletes a model that has several names.
    """
    read = json_of(list[dict[str, str]])
    return ask("DELETE", f"/models/{in_path(name)}", read, query={"force": force})


def load(archive: Iterable[bytes]) -> Call[None]:
    """Send models as a tar file: Docker Model Runner's form, or an OCI layout with names."""
    headers = {"Content-Type": "application/x-tar"}
    return Call(Request("POST", "/models/load", body=archive, headers=headers), last_record)


def export(name: str) -> Feed[bytes]:
    """A model as Docker Model Runner's tar, without its name, in pieces."""
    return Feed(Request("GET", f"/models/{in_path(name)}/export"), Chunks)


def repackage(source: str, target: str, context_size: int | None = None) -> Call[None]:
    """Make a variant of a model in the store; `context_size` in tokens."""
    body = Repackage(target=target, context_size=context_size)
    return ask("POST", f"/models/{in_path(source)}/repackage", nothing, body=body)


def trust_code(name: str, digest: str) -> Call[Model]:
    """Let the code that a model brings be run. `digest`: the model's, or 12 digits of it.

    Refused where the daemon is not asked by its own socket.
    """
    body = Consent(digest=digest)
    route = f"/models/{in_path(name)}/trust-remote-code"
    return ask("POST", route, json_of(Model), body=body)


def distrust_code(name: str) -> Call[Model]:
    """Let it run no more."""
    return ask("DELETE", f"/models/{in_path(name)}/trust-remote-code", json_of(Model))


def purge() -> Call[None]:
    """Remove every model."""
    return ask("DELETE", "/models/purge", nothing)


def _transfer(route: str, body: CreateModel | PushModel) -> Feed[Progress]:
    return Feed(Request("POST", route, body=msgspec.json.encode(body)), Records)
