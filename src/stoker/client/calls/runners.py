"""Calls about what runs, with which settings, and on which engines."""

from collections.abc import Sequence

import msgspec

from stoker.client.call import (
    ANSWER_TIMEOUT,
    Call,
    Chunks,
    Feed,
    Records,
    Request,
    ask,
    get,
    given,
    json_of,
    nothing,
)
from stoker.client.calls.names import engine_route
from stoker.client.chat import ChatRequest
from stoker.client.events import events_of
from stoker.wire.config import Effective, EffectiveModel
from stoker.wire.manage import (
    Configure,
    Configured,
    DiskUsage,
    Progress,
    Runner,
    Unload,
    Unloaded,
    Version,
)
from stoker.wire.requests import Recorded
from stoker.wire.runners import Backend, EngineBuild, InstallBackend, UninstallBackend, Uninstalled


def ps() -> Call[list[Runner]]:
    """What is loaded or loading."""
    return get("/engines/ps", list[Runner])


def df() -> Call[DiskUsage]:
    """Bytes on disk."""
    return get("/engines/df", DiskUsage)


def status() -> Call[dict[str, str]]:
    """Engine name to `Running`, `Error`, `Not Installed` or `Installing`, maybe `: detail`."""
    return get("/engines/status", dict[str, str])


def version() -> Call[str]:
    """The daemon's version."""
    read = json_of(Version)
    return ask("GET", "/version", lambda body, origin: read(body, origin).version)


def config() -> Call[dict[str, Effective]]:
    """What the daemon runs with, and where each value came from."""
    return get("/config", dict[str, Effective])


def preload(model: str, *, backend: str = "") -> Call[None]:
    """Load a model and wait until it can answer."""
    body = msgspec.json.encode(ChatRequest(model=model, messages=[]))
    route = engine_route(backend, "/v1/chat/completions")
    return Call(Request("POST", route, body=body, headers={"X-Preload-Only": "true"}), nothing)


def unload(models: Sequence[str] = (), *, backend: str = "", everything: bool = False) -> Call[int]:
    """Stop idle runners; how many were stopped."""
    read = json_of(Unloaded)
    return ask(
        "POST",
        "/engines/unload",
        lambda body, origin: read(body, origin).unloaded_runners,
        body=Unload(all=everything, backend=backend, models=[*models]),
    )


def configure(settings: Configure, *, backend: str = "") -> Call[None]:
    """Replace the run settings of `settings.model`; they count from its next load on."""
    return ask("POST", engine_route(backend, "/_configure"), nothing, body=settings)


def configurations(model: str = "") -> Call[list[Configured]]:
    """What `configure` set, for one model or for all."""
    return get("/engines/_configure", list[Configured], {"model": model})


def effective(model: str, *, mode: str = "", backend: str = "") -> Call[EffectiveModel]:
    """What a model runs with, who decided each value, and what its running engine says."""
    query = {"model": model, "mode": mode, "backend": backend}
    return get("/engines/_configure/effective", EffectiveModel, query)


def requests(model: str = "") -> Call[list[Recorded]]:
    """The last requests of one model or of all; empty unless the daemon records them."""
    return get("/engines/requests", list[Recorded], {"model": model})


def follow_requests(model: str = "", *, include_existing: bool = False) -> Feed[list[Recorded]]:
    """Requests as they finish, after those that were kept when `include_existing`."""
    query = given({"model": model, "include_existing": include_existing})
    request = Request("GET", "/engines/requests", query, headers={"Accept": "text/event-stream"})
    return Feed(request, events_of(list[Recorded], "existing_request", "new_request"))


def logs(
    *, follow: bool = False, engines: bool = True, backend: str = "", audit: bool = False
) -> Feed[bytes]:
    """The daemon's log as it is stored; with `follow` it never ends by itself.

    `engines` False leaves out what engines wrote, `backend` all but that one engine.
    `audit`: instead of all that, who changed what, as JSON lines.
    """
    query = given({"follow": follow, "no-engines": not engines, "backend": backend, "audit": audit})
    return Feed(Request("GET", "/logs", query), Chunks)


def builds() -> Call[list[EngineBuild]]:
    """All installed builds of engines; the active one of each engine comes first."""
    return get("/engines/builds", list[EngineBuild])


def install(
    backend: str, *, gpu: str = "auto", fresh: bool = False, source: str = "", digest: str = ""
) -> Feed[Progress]:
    """Install an engine; the last record has type `success`. `fresh` makes it anew.

    `source` and `digest`: the address of an archive of llama.cpp, and what it must be; refused
    where the daemon is not asked by its own socket.
    """
    body = InstallBackend(backend, "", gpu, fresh, stream=True, source=source, digest=digest)
    request = Request("POST", "/engines/install-backend", body=msgspec.json.encode(body))
    return Feed(request, Records)


def cancel_install(backend: str) -> Call[None]:
    """End a running installation."""
    return ask("POST", "/engines/install-backend/cancel", nothing, body=Backend(backend))


def uninstall(backend: str, *, gpu: str = "", wait: bool = False) -> Call[int]:
    """Remove an engine's builds, or only those for a kind of GPU; how many there were.

    They are gone at once; `wait` until their files are deleted too, which may take a minute.
    """
    read = json_of(Uninstalled)
    return ask(
        "POST",
        "/engines/uninstall-backend",
        lambda body, origin: read(body, origin).builds,
        body=UninstallBackend(backend, gpu, wait),
        timeout=None if wait else ANSWER_TIMEOUT,
    )
