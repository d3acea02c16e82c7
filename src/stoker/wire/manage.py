"""Messages of the management API, shared by the daemon and its client.

Shapes and key order are Docker Model Runner's; fields it does not have come last and are left out
when empty, so that its clients never see an unexpected null.
"""

from typing import Any, Final, Literal

import msgspec

from stoker.wire.code import CodeFile

NEVER_USED: Final = "0001-01-01T00:00:00Z"
"""What Docker Model Runner sends as `last_used` while a runner is busy or loading."""

ERROR_CODE_HEADER: Final = "Stoker-Error"
ERROR_HINT_HEADER: Final = "Stoker-Hint"
"""Error bodies are Docker's plain text; the code and the hint travel beside them."""


class Model(msgspec.Struct, omit_defaults=True):
    """`GET /models` and `GET /models/{ref}`. `id` is the manifest digest, `created` unix seconds.

    Ours are `size`, the exact number of bytes of all layers (config.size is text for people),
    `code`, the Python files that it brings, and `trusted`, whether they may be run.
    """

    id: str
    tags: list[str] = []
    created: int = msgspec.field(default_factory=int)
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    size: int | None = None
    code: list[CodeFile] = []
    trusted: bool = False


class OpenAIModelDetails(msgspec.Struct, omit_defaults=True):
    """The `dmr` object of an OpenAI model."""

    context_window: int = 0
    architecture: str = ""
    parameters: str = ""
    quantization: str = ""
    size: str = ""


class OpenAIModel(msgspec.Struct, omit_defaults=True):
    """One entry of `GET .../v1/models`."""

    id: str
    object: str = msgspec.field(default_factory=lambda: "model")
    created: int = msgspec.field(default_factory=int)
    owned_by: str = msgspec.field(default_factory=lambda: "docker")
    dmr: OpenAIModelDetails | None = None


class OpenAIModelList(msgspec.Struct):
    """`GET .../v1/models`."""

    object: str = "list"
    data: list[OpenAIModel] = []


class ProgressLayer(msgspec.Struct):
    """How far one layer is, in bytes. `id` is its digest, absent for the transfer as a whole."""

    size: int = 0
    current: int = 0
    id: str | msgspec.UnsetType = msgspec.UNSET


class Progress(msgspec.Struct):
    """One line of a pull or push. `code` and `hint` are ours and come with errors only."""

    type: Literal["progress", "success", "warning", "error"]
    message: str
    total: int = 0
    layer: ProgressLayer = msgspec.field(default_factory=ProgressLayer)
    mode: Literal["pull", "push"] = "pull"
    code: str | msgspec.UnsetType = msgspec.UNSET
    hint: str | msgspec.UnsetType = msgspec.UNSET


class CreateModel(msgspec.Struct, rename={"bearer_token": "bearer-token"}, omit_defaults=True):
    """Body of `POST /models/create` (pull). `from` is the reference."""

    source: str = msgspec.field(name="from", default="")
    bearer_token: str = ""


class PushModel(msgspec.Struct, rename={"bearer_token": "bearer-token"}, omit_defaults=True):
    """Body of `POST /models/{ref}/push`; may be empty."""

    bearer_token: str = ""


class Repackage(msgspec.Struct, omit_defaults=True):
    """Body of `POST /models/{ref}/repackage`."""

    target: str = ""
    context_size: int | None = None


class Repackaged(msgspec.Struct):
    """Its answer."""

    message: str
    source: str
    target: str


class Tagged(msgspec.Struct):
    """Answer of `POST /models/{ref}/tag`."""

    message: str
    target: str


class Runner(msgspec.Struct, omit_defaults=True):
    """One entry of `GET /engines/ps`.

    `last_used` is RFC 3339. Ours are `model_id`, `build`, `pid`, `memory` (resident bytes),
    `devices` (planned bytes of GPUs), `placed` (which part is where, in words) and, while it loads,
    `loaded` (percent of its files that were read).
    """

    backend_name: str
    model_name: str
    mode: str
    last_used: str
    in_use: bool = False
    loading: bool = False
    keep_alive: str = ""
    model_id: str = ""
    build: str = ""
    pid: int = 0
    memory: int = 0
    loaded: int = 0
    devices: dict[str, int] = {}
    placed: str = ""


class Unload(msgspec.Struct, omit_defaults=True):
    """Body of `POST /engines/unload`."""

    all: bool = False
    backend: str = ""
    models: list[str] = []


class Unloaded(msgspec.Struct):
    """Its answer."""

    unloaded_runners: int


class DiskUsage(msgspec.Struct):
    """`GET /engines/df`, bytes."""

    models_disk_usage: int
    default_backend_disk_usage: int


class Version(msgspec.Struct):
    """`GET /version`."""

    version: str


class ErrorBody(msgspec.Struct):
    """What OpenAI clients expect inside `{"error": ...}`."""

    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    request_id: str | msgspec.UnsetType = msgspec.UNSET


class ErrorEnvelope(msgspec.Struct):
    """An error on an OpenAI route."""

    error: ErrorBody


class Speculative(msgspec.Struct, omit_defaults=True):
    """Speculative decoding settings."""

    draft_model: str = ""
    num_tokens: int = 0
    min_acceptance_rate: float = 0.0


class VllmSettings(
    msgspec.Struct,
    omit_defaults=True,
    rename={
        "hf_overrides": "hf-overrides",
        "gpu_memory_utilization": "gpu-memory-utilization",
    },
):
    """Settings only vLLM has."""

    hf_overrides: dict[str, Any] = {}
    gpu_memory_utilization: float | None = None


class LlamaCppSettings(
    msgspec.Struct, omit_defaults=True, rename={"reasoning_budget": "reasoning-budget"}
):
    """Settings only llama.cpp has."""

    reasoning_budget: int | None = None


class Configuration(
    msgspec.Struct,
    omit_defaults=True,
    rename={"context_size": "context-size", "runtime_flags": "runtime-flags"},
):
    """What `_configure` sets for one model in one mode."""

    context_size: int | None = None
    runtime_flags: list[str] = []
    speculative: Speculative | None = None
    keep_alive: str | None = None
    vllm: VllmSettings | None = None
    llamacpp: LlamaCppSettings | None = None


class Configure(
    Configuration, omit_defaults=True, rename={"raw_runtime_flags": "raw-runtime-flags"}
):
    """Body of `POST /engines/_configure`."""

    model: str = ""
    mode: str = ""
    raw_runtime_flags: str = ""


class Configured(msgspec.Struct, rename="pascal"):
    """One entry of `GET /engines/_configure`; capitalised keys as in Docker Model Runner."""

    backend: str
    model: str
    model_id: str = msgspec.field(name="ModelID")
    mode: str
    config: Configuration
