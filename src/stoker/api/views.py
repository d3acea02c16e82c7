"""Models and runners as the wire shows them."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from stoker.base.units import go_duration
from stoker.gateway.caller import CALLER, require_model
from stoker.library import Deleted, Library, LocalModel, Removal
from stoker.library.files import code_of
from stoker.library.remote import RemoteModel
from stoker.oci.modelconfig import config_wire
from stoker.planner.spec import DEFAULT_KEEP_ALIVE
from stoker.scheduler import RunnerState, RunnerStatus
from stoker.wire import manage
from stoker.wire.code import CodeFile


def json_response(value: Any, *, status: int = 200) -> web.Response:
    """JSON with the newline Go's encoder writes."""
    return web.Response(
        body=msgspec.json.encode(value) + b"\n", status=status, content_type="application/json"
    )


def visible(request: web.Request, models: Iterable[LocalModel]) -> Iterator[LocalModel]:
    """Those that the caller may use."""
    caller = request[CALLER]
    return (model for model in models if caller.may_use(model.names))


def find_usable(request: web.Request, library: Library, name: str) -> LocalModel:
    """The model that a name means to this caller. Raises Forbidden, and what `Library.find` does.

    No name that is short leads to a model which the caller may not use.
    """
    require_model(request, library, name)
    return library.find(name, among=request[CALLER].may_use)


def native(model: LocalModel | RemoteModel) -> manage.Model:
    """A model as `/models` shows it. Names, and trust in its code, are what it has here."""
    here = model if isinstance(model, LocalModel) else None
    return manage.Model(
        id=model.descriptor.digest,
        tags=list(here.names) if here else [],
        created=model.config.created_at,
        config=config_wire(model.config),
        size=model.manifest.size,
        code=[
            CodeFile(file.path, file.descriptor.digest, file.size)
            for file in code_of(model.manifest)
            if file.descriptor
        ],
        trusted=here is not None and here.trusted,
    )


def openai(model: LocalModel) -> manage.OpenAIModel:
    """A model as `/v1/models` shows it."""
    return manage.OpenAIModel(
        id=model.name,
        created=model.config.created_at,
        dmr=manage.OpenAIModelDetails(
            context_window=model.config.context_size or 0,
            architecture=model.config.architecture,
            parameters=model.config.parameters,
            quantization=model.config.quantization,
            size=model.config.size,
        ),
    )


def openai_list(models: Iterable[LocalModel]) -> web.Response:
    """`GET .../v1/models`."""
    return json_response(manage.OpenAIModelList(data=[openai(model) for model in models]))


def openai_model(model: LocalModel) -> web.Response:
    """`GET .../v1/models/{name}`."""
    return json_response(openai(model))


def removals(done: Iterable[Removal]) -> list[dict[str, str]]:
    """The answer of a delete: one single-key object for each step."""
    return [
        {"Deleted": step.id} if isinstance(step, Deleted) else {"Untagged": step.name}
        for step in done
    ]


def runner(status: RunnerStatus, resident: int, now: datetime) -> manage.Runner:
    """One line of `ps`. `resident` in bytes, 0 when unknown."""
    idle = status.idle_for
    last_used = (
        manage.NEVER_USED
        if idle is None
        else datetime.fromtimestamp(now.timestamp() - idle, UTC).isoformat().replace("+00:00", "Z")
    )
    configured = status.keep_alive != DEFAULT_KEEP_ALIVE
    return manage.Runner(
        backend_name=status.key.engine,
        model_name=status.name,
        mode=status.key.mode.value,
        last_used=last_used,
        in_use=status.in_use > 0,
        loading=status.state is RunnerState.LOADING,
        keep_alive=go_duration(status.keep_alive) if configured else "",
        model_id=status.key.model,
        build=status.build,
        pid=status.pid or 0,
        memory=resident,
        loaded=int(100 * (status.read or 0)) if status.state is RunnerState.LOADING else 0,
        devices=dict(status.devices),
        placed=status.placed,
    )
