"""llama.cpp: GGUF models, on CPUs and on every kind of GPU."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Final, final

from stoker.base.errors import InvalidSetting, NotInstalled, UnsupportedFormat
from stoker.engines.flags import engine_flags
from stoker.engines.llamacpp_failures import diagnosis_of
from stoker.engines.spec import Build, Command, Diagnosis
from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings

_WORKER: Final = Path(__file__).with_name("llamacpp_worker.py")

DEFAULT_CONTEXT: Final = 8192
"""Tokens when nobody asked for more: a model trained for 128k would take gigabytes of KV cache."""

_CACHE_RAM: Final = 256
"""MiB of prompts kept in host memory. llama.cpp's own default is 8192, for each model."""

_VERBOSITY: Final = 4
"""Shows buffer sizes and what --fit decided; costs some 200 lines, under a millisecond, a start."""

_KEPT: Final = frozenset({
    "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT",
    "TEMP", "TMP", "TMPDIR", "TZ",
})  # fmt: skip
_KEPT_PREFIXES: Final = (
    "CUDA", "DYLD_", "GGML_", "GOMP_", "HIP_", "HSA_", "KMP_", "MESA_", "METAL_", "MTL_", "MUSA_",
    "NCCL_", "NVIDIA_", "OMP_", "ONEAPI_", "ROCBLAS_", "ROCR_", "SYCL_", "VK_", "ZES_",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Program:
    """The first words of the command, and which build that is."""

    argv: tuple[str, ...]
    source: str


@final
class LlamaCpp:
    """llama.cpp's HTTP server, from the wheel that Stoker depends on or a `llama-server` program.

    `environ` is where the program is looked up and what engines may inherit from; the process's
    own when None.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    @property
    def name(self) -> str:
        return "llama.cpp"

    @property
    def formats(self) -> frozenset[Format]:
        return frozenset({Format.GGUF})

    def build(self) -> Build | None:
        """The installed build that `command` would use; None when there is none. Touches disk."""
        program = _find(self._environ)
        if program is None:
            return None
        if program.source == "wheel":
            version = "b" + metadata.version("xllamacpp").rpartition(".")[2]
        else:
            version = program.argv[-1]
        return Build(engine=self.name, version=version, source=program.source)

    def command(self, model: ModelSpec, mode: Mode, settings: RunSettings, socket: Path) -> Command:
        """What to start. Raises InvalidSetting, UnsupportedFormat, NotInstalled."""
        if model.format not in self.formats:
            other = " (vllm runs safetensors)" if model.format is Format.SAFETENSORS else ""
            raise UnsupportedFormat(
                f"{self.name} cannot run {model.name}: it is {model.format}, not GGUF{other}",
                hint="pull a GGUF version of the model, or choose another backend",
            )
        program = _find(self._environ)
        if program is None:
            raise NotInstalled(
                f"{self.name} is not installed: found neither xllamacpp nor llama-server",
                engine=self.name,
                hint="pip install xllamacpp, or set LLAMA_SERVER_PATH",
            )
        arguments = _arguments(model, mode, settings, socket, self.name)
        return Command(
            argv=(*program.argv, *arguments),
            socket=socket,
            environment=_environment(self._environ),
        )

    def diagnose(self, exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis:
        """Why it failed. `exit_code` is None when it never became ready, negative for a signal."""
        return diagnosis_of(exit_code, log_tail)


def _find(environ: Mapping[str, str]) -> _Program | None:
    """Whichever comes first: the one named by LLAMA_SERVER_PATH, the wheel, the one on PATH."""
    named = environ.get("LLAMA_SERVER_PATH")
    if named:
        path = Path(named).expanduser()
        path = path / "llama-server" if path.is_dir() else path
        return _Program((str(path),), "native") if path.is_file() else None
    if util.find_spec("xllamacpp") is not None:
        return _Program((sys.executable, "-I", str(_WORKER)), "wheel")
    system = shutil.which("llama-server", path=environ.get("PATH"))
    return _Program((system,), "system") if system else None


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


def _arguments(
    model: ModelSpec, mode: Mode, settings: RunSettings, socket: Path, engine: str
) -> list[str]:
    arguments = [
        "--model", str(model.weights),
        "--host", str(socket),
        "--alias", f"{model.name},{model.id}",
        "--offline", "--no-ui", "--metrics", "--log-colors", "off",
        "--log-verbosity", str(_VERBOSITY),
        "--cache-ram", str(_CACHE_RAM),
        "--ctx-size", str(_context(model, settings)),
        *_mode_arguments(model, mode),
    ]  # fmt: skip
    if settings.reasoning_budget is not None:
        arguments += ["--reasoning-budget", str(settings.reasoning_budget)]
    if model.mmproj:
        arguments += ["--mmproj", str(model.mmproj)]
    return [*arguments, *engine_flags(settings.runtime_flags, engine=engine)]


def _mode_arguments(model: ModelSpec, mode: Mode) -> list[str]:
    match mode:
        case Mode.EMBEDDING:
            return ["--embeddings"]
        case Mode.RERANKING:
            return ["--embeddings", "--reranking"]
        case Mode.COMPLETION:
            template = model.chat_template
            return ["--jinja", *(["--chat-template-file", str(template)] if template else [])]


def _context(model: ModelSpec, settings: RunSettings) -> int:
    """Tokens of context; 0 is llama.cpp's word for all that the model was trained for."""
    wanted = settings.context_size
    if wanted is not None:
        if wanted < -1:
            raise InvalidSetting(
                f"context size {wanted} is impossible", hint="a number of tokens, or -1 for all"
            )
        return max(wanted, 0)
    return min(model.context_size or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
