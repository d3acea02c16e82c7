"""`compose`: what docker compose calls for a service whose `provider` is of the type `model`.

The protocol is Docker Compose's for providers: JSON messages, one a line, on the standard output.
https://github.com/docker/compose/blob/main/docs/extension.md
"""

import shlex
import sys
from typing import Final, NamedTuple

import msgspec

from stoker.base.errors import DaemonError, InvalidSetting, StokerError
from stoker.cli import parser as cli
from stoker.cli.addresses import bridge_address, for_containers, for_programs, reaches_containers
from stoker.cli.errors import FAILED, OK, UsageError
from stoker.cli.output import put
from stoker.cli.session import Session
from stoker.cli.transfer import hub_token
from stoker.client.client import Client
from stoker.wire.manage import Configure, Progress, Speculative


class _Parameter(NamedTuple):
    """One option of the provider in a compose file; `type` is a word of JSON Schema."""

    name: str
    description: str
    required: bool = False
    type: str = "string"
    default: str = ""


_MODEL: Final = _Parameter("model", "model to run; may be given several times", required=True)
_SETTINGS: Final = (
    _Parameter("context-size", "tokens the model can keep in mind", type="integer", default="-1"),
    _Parameter("runtime-flags", "flags for the engine, as one text"),
    _Parameter("backend", "engine to use: llama.cpp or vllm"),
    _Parameter("speculative-draft-model", "small model that drafts tokens"),
    _Parameter("speculative-num-tokens", "tokens per draft", type="integer", default="0"),
    _Parameter(
        "speculative-min-acceptance-rate",
        "least share of a draft to accept",
        type="number",
        default="0",
    ),
)


class Options(cli.Options):
    project_name: str
    model: list[str]
    context_size: str
    runtime_flags: str
    backend: str
    speculative_draft_model: str
    speculative_num_tokens: str
    speculative_min_acceptance_rate: str


def arguments(parser: cli.Parser) -> None:
    parser.flag("--project-name", default="", value="NAME", help="what compose calls the project")
    parser.many("--model", value="MODEL", help=f"up: {_MODEL.description}")
    for name, description, _, _, default in _SETTINGS:
        # As text: a wrong value is told to compose like every other error.
        parser.flag(f"--{name}", default=default, value="VALUE", help=f"up: {description}")
    parser.epilog = (
        "Docker Compose runs this by itself, through the docker plugin, for\n"
        "  services:\n"
        "    llm:\n"
        "      provider:\n"
        "        type: model\n"
        "        options:\n"
        "          model: smollm2\n"
        "Services that depend on `llm` get LLM_URL and LLM_MODEL."
    )


def run(options: Options, session: Session) -> int:
    word = options.words[0]
    if word == "metadata":
        put(msgspec.json.encode(_metadata()).decode())
        return OK
    if word not in {"up", "down"}:
        raise UsageError(f"unknown action: {word}", hint="up, down or metadata")
    if word == "down":
        return OK  # models are unloaded when nobody uses them, and kept on the disk
    try:
        _tell("info", "Initializing model runner...")
        _up(options, session.client())
    except StokerError as error:
        _tell("error", f"{error.message} ({error.hint})" if error.hint else error.message)
        return FAILED
    return OK


def _up(options: Options, client: Client) -> None:
    if not options.model:
        raise InvalidSetting("the option `model` is missing", hint="like: model: smollm2")
    settings = [_configuration(model, options) for model in options.model]
    for model in options.model:
        _pull_if_missing(client, model)
    _tell("setenv", f"MODEL={','.join(options.model)}")
    for setting in settings:
        # Without settings in the compose file those of `configure` hold.
        if setting != Configure(model=setting.model):
            _describe(setting)
            client.configure(setting, backend=options.backend)
            _tell("info", f"Successfully configured backend for model {setting.model}")
    _tell("setenv", f"URL={for_containers(client.endpoint)}/engines/v1/")
    if not reaches_containers(client.endpoint):
        _tell(
            "info",
            f"containers cannot reach {for_programs(client.endpoint)},"
            " except with `network_mode: host`;"
            f" for all others: stoker restart-runner --host {bridge_address()}, with an API key",
        )


def _pull_if_missing(client: Client, model: str) -> None:
    try:
        client.inspect(model)
    except DaemonError as error:
        if error.status != 404:
            raise
    else:
        return
    _tell("info", f"Pulling {model}")
    shares = _Shares()
    for record in client.pull(model, bearer_token=hub_token(model)):
        if (share := shares.update(record)) is not None:
            _tell("info", f"Pulling {model}: {share} %")


class _Shares:
    """Of the records of a pull, how many percent have come; only when that changed."""

    def __init__(self) -> None:
        self._layers: dict[object, int] = {}
        self._said = -1

    def update(self, record: Progress) -> int | None:
        self._layers[record.layer.id] = record.layer.current
        if not record.total or record.type != "progress":
            return None
        share = 100 * sum(self._layers.values()) // record.total
        if share == self._said:
            return None
        self._said = share
        return share


def _configuration(model: str, options: Options) -> Configure:
    context = _number("context-size", options.context_size, int)
    speculative = Speculative(
        draft_model=options.speculative_draft_model,
        num_tokens=int(_number("speculative-num-tokens", options.speculative_num_tokens, int)),
        min_acceptance_rate=_number(
            "speculative-min-acceptance-rate", options.speculative_min_acceptance_rate, float
        ),
    )
    try:
        flags = shlex.split(options.runtime_flags)
    except ValueError as error:
        raise InvalidSetting(f"runtime-flags={options.runtime_flags!r}: {error}") from error
    return Configure(
        model=model,
        context_size=int(context) if context > 0 else None,
        runtime_flags=flags,
        speculative=speculative if speculative.draft_model else None,
    )


def _number(name: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise InvalidSetting(f"{name} needs {what}, not {text!r}") from None


def _describe(setting: Configure) -> None:
    if setting.context_size is not None:
        _tell("info", f"Setting context size to {setting.context_size}")
    if setting.runtime_flags:
        _tell("info", f"Setting raw runtime flags to {shlex.join(setting.runtime_flags)}")
    if setting.speculative:
        draft = setting.speculative.draft_model
        _tell("info", f"Enabling speculative decoding with draft model: {draft}")


def _metadata() -> dict[str, object]:
    parameters = [parameter._asdict() for parameter in (_MODEL, *_SETTINGS)]
    return {
        "description": "Docker Model Runner",
        "up": {"parameters": parameters},
        "down": {"parameters": []},
    }


def _tell(kind: str, message: str) -> None:
    put(msgspec.json.encode({"type": kind, "message": message}).decode() + "\n")
    sys.stdout.flush()
