"""llama.cpp: GGUF models, on CPUs and on every kind of GPU."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import Final, final

from stoker.base.errors import InvalidSetting, NotInstalled, UnsupportedFormat
from stoker.engines.flags import engine_flags
from stoker.engines.llamacpp_failures import diagnosis_of
from stoker.engines.spec import Build, Command, Diagnosis
from stoker.engines.tether import tethered
from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings

_NAME: Final = "llama.cpp"
_WORKER: Final = Path(__file__).with_name("llamacpp_worker.py")

DEFAULT_CONTEXT: Final = 8192
"""Tokens when nobody asked for more: a model trained for 128k would take gigabytes of KV cache."""

_CACHE_RAM: Final = 256
"""MiB of prompts kept in host memory. llama.cpp's own default is 8192, for each model."""

_WHOLE_INPUT: Final = ("--batch-size", "2048", "--ubatch-size", "2048")
"""An embedding is computed in one batch: a longer input is refused, and 512 is llama.cpp's default.
More costs compute buffers that grow with the square."""

_SMALL_MODEL: Final = 64 * 1024 * 1024
"""Bytes of weights below which one thread does a token in less time than two take to wait for each
other: with a busy neighbour on both cores, two threads were 5 to 50 times slower than one."""

_VERBOSITY: Final = 4
"""Shows buffer sizes and what --fit decided, never prompts. Costs some 160 lines a start and 30 a
request, and no time that could be measured."""

_KEPT: Final = frozenset({
    "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT",
    "TEMP", "TMP", "TMPDIR", "TZ",
})  # fmt: skip
_KEPT_PREFIXES: Final = (
    "CUDA", "DYLD_", "GGML_", "GOMP_", "HIP_", "HSA_", "KMP_", "MESA_", "METAL_", "MTL_", "MUSA_",
    "NCCL_", "NVIDIA_", "OMP_", "ONEAPI_", "ROCBLAS_", "ROCR_", "SYCL_", "VK_", "ZES_",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: the wheel's worker, or a `llama-server` when that is a path."""

    source: str
    llama_server: Path | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The first words of the command."""
        if self.llama_server is None:
            return (sys.executable, "-I", str(_WORKER))
        return tethered([str(self.llama_server)])


@final
class LlamaCpp:
    """llama.cpp's HTTP server, from the wheel that Stoker depends on or a `llama-server` program.

    `environ` is where the program is looked up and what engines may inherit from; the process's
    own when None. `threads`: how many CPU cores a model may use; llama.cpp counts them itself when
    None, but does not see a container's CPU quota.
    """

    def __init__(
        self, environ: Mapping[str, str] | None = None, *, threads: int | None = None
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._threads = threads

    @property
    def name(self) -> str:
        return _NAME

    @property
    def formats(self) -> frozenset[Format]:
        return frozenset({Format.GGUF})

    def build(self) -> Build | None:
        """The installed build that `command` would use; None when there is none. Touches disk."""
        try:
            program = find_program(self._environ)
        except NotInstalled:
            return None
        path = program.llama_server
        version = _native_version(path, path.stat().st_mtime_ns) if path else _wheel_version()
        return Build(engine=self.name, version=version, source=program.source)

    def command(self, model: ModelSpec, mode: Mode, settings: RunSettings, socket: Path) -> Command:
        """What to start. Raises InvalidSetting, UnsupportedFormat, NotInstalled."""
        if model.format not in self.formats:
            other = " (vllm runs safetensors)" if model.format is Format.SAFETENSORS else ""
            raise UnsupportedFormat(
                f"{self.name} cannot run {model.name}: it is {model.format}, not GGUF{other}",
                hint="pull a GGUF version of the model, or choose another backend",
            )
        self.check_settings(settings)
        program = find_program(self._environ)
        arguments = _arguments(model, mode, settings, socket)
        threads = 1 if model.weights_size < _SMALL_MODEL else self._threads
        if threads:
            arguments += ["--threads", str(threads)]
        arguments += engine_flags(settings.runtime_flags, engine=self.name)
        return Command(
            argv=(*program.argv, *arguments),
            socket=socket,
            environment=_environment(self._environ),
        )

    def check_settings(self, settings: RunSettings) -> None:
        """Refuse settings that `command` would refuse. Raises InvalidSetting."""
        _check_context(settings)
        engine_flags(settings.runtime_flags, engine=self.name)

    def diagnose(self, exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis:
        """Why it failed. `exit_code` is None when it never became ready, negative for a signal."""
        return diagnosis_of(exit_code, log_tail)


def find_program(environ: Mapping[str, str]) -> Program:
    """Whichever comes first: what LLAMA_SERVER_PATH names, the wheel, `llama-server` on PATH.

    LLAMA_SERVER_PATH is a file, a directory that holds `llama-server`, or a name to look up on
    PATH. Raises NotInstalled.
    """
    search = environ.get("PATH")
    if named := environ.get("LLAMA_SERVER_PATH"):
        path = Path(named).expanduser()
        found = shutil.which(path / "llama-server" if path.is_dir() else path, path=search)
        if found is None:
            raise NotInstalled(
                f"LLAMA_SERVER_PATH={named} is neither a llama-server nor a directory with one",
                engine=_NAME,
                hint="correct it, or unset it to use the built-in llama.cpp",
            )
        return Program("native", Path(found))
    if util.find_spec("xllamacpp") is not None:
        return Program("wheel")
    if system := shutil.which("llama-server", path=search):
        return Program("system", Path(system))
    raise NotInstalled(
        "llama.cpp is not installed: found neither the xllamacpp wheel nor llama-server",
        engine=_NAME,
        hint="pip install xllamacpp, or set LLAMA_SERVER_PATH",
    )


@cache
def _wheel_version() -> str:
    # The last part of the wheel's version is llama.cpp's build number.
    return "b" + metadata.version("xllamacpp").rpartition(".")[2]


@lru_cache(maxsize=4)
def _native_version(program: Path, _modified: int) -> str:
    """What `llama-server --version` says; asked once for every version of the file."""
    try:
        answer = subprocess.run(
            [program, "--version"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(rb"^version: *(\w+)", answer.stdout, re.MULTILINE)
    return f"b{found[1].decode()}" if found else "unknown"


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What an engine inherits: what drivers and libraries read, and nothing that llama.cpp does.

    LLAMA_ARG_* and llama.cpp's configuration files would change the meaning of our arguments behind
    our back. HOME stays: GPU drivers cache their compiled kernels there.
    """
    kept = {
        key: value
        for key, value in environ.items()
        if key in _KEPT or key.startswith(_KEPT_PREFIXES)
    }
    return {**kept, "XDG_CONFIG_HOME": os.devnull}


def _arguments(model: ModelSpec, mode: Mode, settings: RunSettings, socket: Path) -> list[str]:
    arguments = [
        "--model", str(model.weights),
        "--host", str(socket),
        # One alias: of several, the server would report whichever sorts first.
        "--alias", model.name,
        # --no-webui and not --no-ui: also understood by a llama-server from before the renaming.
        "--offline", "--no-webui", "--metrics", "--log-verbosity", str(_VERBOSITY),
        "--cache-ram", str(_CACHE_RAM),
        "--ctx-size", str(_context(model, settings)),
        *_mode_arguments(model, mode),
    ]  # fmt: skip
    if settings.reasoning_budget is not None:
        arguments += ["--reasoning-budget", str(settings.reasoning_budget)]
    if model.mmproj:
        arguments += ["--mmproj", str(model.mmproj)]
    return arguments


def _mode_arguments(model: ModelSpec, mode: Mode) -> list[str]:
    match mode:
        case Mode.EMBEDDING:
            return ["--embeddings", *_WHOLE_INPUT]
        case Mode.RERANKING:
            return ["--embeddings", "--reranking", *_WHOLE_INPUT]
        case Mode.COMPLETION:
            template = model.chat_template
            return ["--jinja", *(["--chat-template-file", str(template)] if template else [])]


def _check_context(settings: RunSettings) -> None:
    if settings.context_size is not None and settings.context_size < -1:
        raise InvalidSetting(
            f"context size {settings.context_size} is impossible",
            hint="a number of tokens, or -1 for all that the model was trained for",
        )


def _context(model: ModelSpec, settings: RunSettings) -> int:
    """Tokens of context; 0 is llama.cpp's word for all that the model was trained for."""
    wanted = settings.context_size
    if wanted:
        return max(wanted, 0)
    # 0 is no size; Docker Model Runner takes it for "not set", and so do its clients.
    return min(model.context_size or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
