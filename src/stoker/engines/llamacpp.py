"""llama.cpp: GGUF models, on CPUs and on every kind of GPU."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, final

from stoker.base.errors import InvalidSetting, NotInstalled, UnsupportedFormat
from stoker.engines.builds import Builds
from stoker.engines.environment import inherited
from stoker.engines.flags import engine_flags
from stoker.engines.llamacpp_failures import diagnosis_of
from stoker.engines.llamacpp_options import (
    CACHE_RAM,
    WHOLE_INPUT,
    check_sizes,
    context_of,
    offload_arguments,
)
from stoker.engines.llamacpp_program import NAME, Program, find_program, version_of
from stoker.engines.spec import Build, Command, Diagnosis
from stoker.formats import shard_names
from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings

_SMALL_MODEL: Final = 64 * 1024 * 1024
"""Bytes of weights below which one thread does a token in less time than two take to wait for each
other: with a busy neighbour on both cores, two threads were 5 to 50 times slower than one."""

_VERBOSITY: Final = 4
"""Shows buffer sizes and what --fit decided, never prompts. Costs some 160 lines a start and 30 a
request, and no time that could be measured."""


@final
class LlamaCpp:
    """llama.cpp's HTTP server: an installed build, the wheel, or a `llama-server` program.

    `environ` is where the program is looked up and what engines may inherit from; the process's
    own when None. `threads`: how many CPU cores a model may use; llama.cpp counts them itself when
    None, but does not see a container's CPU quota. `program`: use this one and look for no other.
    `gpus` False keeps models off GPUs, whatever the build can do.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        threads: int | None = None,
        builds: Builds | None = None,
        program: Program | None = None,
        gpus: bool = True,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._threads = threads
        self._builds = builds
        self._program = program
        self._gpus = gpus

    @property
    def name(self) -> str:
        return NAME

    @property
    def formats(self) -> frozenset[Format]:
        return frozenset({Format.GGUF})

    def build(self) -> Build | None:
        """The installed build that `command` would use; None when there is none. Touches disk."""
        try:
            program = self._find()
        except NotInstalled:
            return None
        return Build(engine=self.name, version=version_of(program), source=program.source)

    def command(self, model: ModelSpec, mode: Mode, settings: RunSettings, socket: Path) -> Command:
        """What to start. Raises InvalidSetting, UnsupportedFormat, NotInstalled."""
        if model.format not in self.formats:
            other = " (vllm runs safetensors)" if model.format is Format.SAFETENSORS else ""
            raise UnsupportedFormat(
                f"{self.name} cannot run {model.name}: it is {model.format}, not GGUF{other}",
                hint="pull a GGUF version of the model, or choose another backend",
            )
        self.check_settings(settings)
        program = self._find()
        arguments = _arguments(model, mode, settings, socket)
        threads = 1 if model.weights_size < _SMALL_MODEL else self._threads
        if threads:
            arguments += ["--threads", str(threads)]
        if not self._gpus:
            arguments += ["--device", "none"]
        arguments += engine_flags(settings.runtime_flags, engine=self.name)
        return Command(
            argv=(*program.argv, *arguments),
            socket=socket,
            environment=_environment(self._environ),
            files=tuple(_files(model)),
            reads=_reads(model),
            programs=program.roots,
            # Asked of the thread that computes, between two steps; /health is not.
            pulse_path="/slots",
        )

    def worker(self) -> tuple[str, ...]:
        """The first words of `command`, up to our worker; none where a `llama-server` runs.

        Raises NotInstalled.
        """
        program = self._find()
        return () if program.llama_server else program.argv

    def check_settings(self, settings: RunSettings) -> None:
        """Refuse settings that `command` would refuse, or not heed. Raises InvalidSetting."""
        if settings.hf_overrides or settings.gpu_memory_utilization is not None:
            raise InvalidSetting(
                "hf_overrides and gpu-memory-utilization are settings of vLLM, and this model runs"
                f" with {self.name}",
                hint="for llama.cpp: --context-size, --kv-type, --gpu",
            )
        check_sizes(settings)
        engine_flags(settings.runtime_flags, engine=self.name)

    @property
    def tenant_flags(self) -> tuple[str, ...]:
        """Off where nobody says otherwise: Messages cannot say it, the engine drops the field."""
        return ("--no-cache-prompt",)

    def tenant_fields(self, salt: str | None) -> Mapping[str, object]:
        """All slots, and what is kept of them in memory, are one cache: read it all, or nothing."""
        return {"cache_prompt": salt is None}

    def diagnose(self, exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis:
        """Why it failed. `exit_code` is None when it never became ready, negative for a signal."""
        return diagnosis_of(exit_code, log_tail)

    def _find(self) -> Program:
        return self._program or find_program(self._environ, self._builds)


def _files(model: ModelSpec) -> Iterator[Path]:
    """What llama.cpp loads; a file that is missing is its own to complain about."""
    for name in shard_names(model.weights.name):
        yield model.weights.with_name(name)
    if model.mmproj:
        yield model.mmproj


def _reads(model: ModelSpec) -> tuple[Path, ...]:
    """Shards lie beside the first one, and in a directory of the model's own."""
    more = (model.mmproj, model.chat_template)
    return (model.weights.parent, *(path for path in more if path))


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing that llama.cpp reads by itself: neither LLAMA_ARG_* nor its configuration files.

    When it aborts it ends at once, instead of calling a debugger for ten seconds first.
    """
    return {**inherited(environ), "XDG_CONFIG_HOME": os.devnull, "GGML_NO_BACKTRACE": "1"}


def _arguments(model: ModelSpec, mode: Mode, settings: RunSettings, socket: Path) -> list[str]:
    arguments = [
        "--model", str(model.weights),
        "--host", str(socket),
        # One alias: of several, the server would report whichever sorts first.
        "--alias", model.name,
        # --no-webui and not --no-ui: also understood by a llama-server from before the renaming.
        "--offline", "--no-webui", "--metrics", "--log-verbosity", str(_VERBOSITY),
        "--cache-ram", str(CACHE_RAM),
        "--ctx-size", str(context_of(model, settings)),
        *offload_arguments(settings.offload),
        *_mode_arguments(model, mode),
    ]  # fmt: skip
    if settings.reasoning_budget is not None:
        arguments += ["--reasoning-budget", str(settings.reasoning_budget)]
    if model.mmproj:
        arguments += ["--mmproj", str(model.mmproj)]
        if settings.offload and not settings.offload.layers:
            arguments.append("--no-mmproj-offload")
    return arguments


def _whole_input() -> tuple[str, ...]:
    return ("--batch-size", str(WHOLE_INPUT), "--ubatch-size", str(WHOLE_INPUT))


def _mode_arguments(model: ModelSpec, mode: Mode) -> list[str]:
    match mode:
        case Mode.EMBEDDING:
            return ["--embeddings", *_whole_input()]
        case Mode.RERANKING:
            return ["--embeddings", "--reranking", *_whole_input()]
        case Mode.COMPLETION:
            template = model.chat_template
            return ["--jinja", *(["--chat-template-file", str(template)] if template else [])]
