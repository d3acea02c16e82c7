"""Programs that talk to models, and what each has to be told to talk to ours. Pure."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

NO_KEY: Final = "not-needed"
"""Clients insist on a key where none is asked for."""


@dataclass(frozen=True, slots=True)
class Target:
    """The service as an app shall see it. `base`: its URL, for containers where the app is one.

    `port` and `image` are a container's, 0 and empty for the app's own. `models` are the names of
    those that are here.
    """

    base: str
    key: str = NO_KEY
    model: str = ""
    models: Sequence[str] = ()
    port: int = 0
    image: str = ""
    detach: bool = False
    arguments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Launch:
    """A command with what is added to its environment. `note` is for the person who starts it."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class App:
    """`program` must be on the PATH; `needs_model`: asks for models that are not here otherwise."""

    summary: str
    program: str
    launch: Callable[[Target], Launch]
    needs_model: bool = False

    @property
    def in_container(self) -> bool:
        return self.program == "docker"


def _claude(target: Target) -> Launch:
    # A token, because Claude Code asks whether a key in the environment is meant.
    environment = {
        "ANTHROPIC_BASE_URL": f"{target.base}/anthropic",
        "ANTHROPIC_AUTH_TOKEN": target.key,
        # Answers of other servers would be none of Anthropic's business.
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    if target.model:
        # The second is for summaries and titles.
        environment |= {
            "ANTHROPIC_MODEL": target.model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": target.model,
        }
    return Launch(["claude", *target.arguments], environment)


def _codex(target: Target) -> Launch:
    settings = {
        "model_provider": "stoker",
        "model_providers.stoker.name": "Stoker",
        "model_providers.stoker.base_url": f"{target.base}/engines/v1",
        "model_providers.stoker.env_key": "OPENAI_API_KEY",
        "model_providers.stoker.wire_api": "responses",
    }
    # Its values are TOML, whose texts are written as JSON's.
    flags = [word for name, value in settings.items() for word in ("-c", f'{name}="{value}"')]
    model = ["-m", target.model] if target.model else []
    return Launch(["codex", *flags, *model, *target.arguments], _openai(target))


def _opencode(target: Target) -> Launch:
    names = dict.fromkeys([*([target.model] if target.model else []), *target.models])
    config: dict[str, object] = {
        "$schema": "https://opencode.ai/config.json",
        "provider": {
            "stoker": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Stoker",
                "options": {"baseURL": f"{target.base}/engines/v1", "apiKey": target.key},
                "models": {name: {"name": name} for name in names},
            }
        },
    }
    if target.model:
        config["model"] = f"stoker/{target.model}"
    # Beside the user's own file, which stays as it is.
    return Launch(["opencode", *target.arguments], {"OPENCODE_CONFIG_CONTENT": json.dumps(config)})


def _aider(target: Target) -> Launch:
    model = ["--model", f"openai/{target.model}"] if target.model else []
    return Launch(["aider", *model, *target.arguments], _openai(target))


@dataclass(frozen=True, slots=True)
class _Container:
    """`port` on this machine unless another is wanted, `inside` in the container."""

    image: str
    port: int
    inside: int
    volume: str


def _openwebui(target: Target) -> Launch:
    image, volume = "ghcr.io/open-webui/open-webui:latest", "openwebui_data:/app/backend/data"
    environment = {**_openai(target), "WEBUI_AUTH": "false", "ENABLE_OLLAMA_API": "false"}
    return _in_container(_Container(image, 3000, 8080, volume), target, environment)


def _anythingllm(target: Target) -> Launch:
    image, volume = "mintplexlabs/anythingllm:latest", "anythingllm_storage:/app/server/storage"
    environment = {
        "STORAGE_DIR": "/app/server/storage",
        "LLM_PROVIDER": "docker-model-runner",
        "DOCKER_MODEL_RUNNER_BASE_PATH": target.base,
    }
    return _in_container(_Container(image, 3001, 3001, volume), target, environment)


def _in_container(app: _Container, target: Target, environment: Mapping[str, str]) -> Launch:
    published = target.port or app.port
    # Names only: docker takes the values from its own environment, where `ps` does not show them.
    variables = [word for name in environment for word in ("-e", name)]
    argv = [
        "docker", "run", "--rm", *(["-d"] if target.detach else []),
        # These apps ask nobody who they are: only this machine may come in.
        "-p", f"127.0.0.1:{published}:{app.inside}", "-v", app.volume, *variables,
        target.image or app.image, *target.arguments,
    ]  # fmt: skip
    return Launch(argv, environment, f"open http://127.0.0.1:{published} when it is up")


def _openai(target: Target) -> dict[str, str]:
    base = f"{target.base}/engines/v1"
    return {
        "OPENAI_API_BASE": base,
        "OPENAI_BASE_URL": base,
        "OPENAI_API_BASE_URL": base,
        "OPENAI_API_KEY": target.key,
    }


APPS: Final[Mapping[str, App]] = {
    "claude": App("Claude Code", "claude", _claude, needs_model=True),
    "codex": App("OpenAI's Codex", "codex", _codex, needs_model=True),
    "opencode": App("opencode", "opencode", _opencode),
    "aider": App("aider", "aider", _aider, needs_model=True),
    "openwebui": App("Open WebUI, in a container", "docker", _openwebui),
    "anythingllm": App("AnythingLLM, in a container", "docker", _anythingllm),
}
