"""vLLM: safetensors models, many requests at once; NVIDIA GPUs, or the CPU of a Linux machine."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

from stoker.base.errors import InvalidSetting, NotInstalled, UnsupportedFormat
from stoker.engines.builds import Builds, InstalledBuild
from stoker.engines.confinement import roots_of
from stoker.engines.environment import inherited
from stoker.engines.spec import Build, Command, Diagnosis, Reason
from stoker.engines.tether import tethered
from stoker.engines.vllm_failures import diagnosis_of
from stoker.engines.vllm_flags import check_utilization
from stoker.engines.vllm_options import context_of, given_flags, memory_arguments
from stoker.oci.digest import short_id
from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings

NAME: Final = "vllm"

CUDA: Final = "CUDA"
"""How the ids of GPUs begin that it can use, a number follows."""

_READY_WITHIN: Final = 900.0
"""Imports take 10 s, compiling kernels a minute, and a large model's weights several."""

_COMPILER: Final = "g++"
"""What PyTorch compiles a model for the CPU with. Without it vLLM does not start, unless it is told
to run the model as it is, about half as fast."""

_ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # The gateway has resolved the name already, in whatever spelling it came.
    "VLLM_SKIP_MODEL_NAME_VALIDATION": "1",
    "PYTHONUNBUFFERED": "1",
    # It has this one network. Left alone, each of them looks for one that leads outside.
    "VLLM_HOST_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "lo",
}


@final
class Vllm:
    """vLLM's own HTTP server, from an environment that `install-runner --backend vllm` made.

    `environ` is what engines may inherit from, the process's own when None. `python`: use the vLLM
    of this interpreter (`variant` says of which kind it is) and look for no installed build.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        builds: Builds | None = None,
        python: Path | None = None,
        variant: str = "cpu",
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._builds = builds
        self._python = python
        self._variant = variant

    @property
    def name(self) -> str:
        return NAME

    @property
    def formats(self) -> frozenset[Format]:
        return frozenset({Format.SAFETENSORS})

    def build(self) -> Build | None:
        """The installed build that `command` would use; None when there is none. Touches disk."""
        found = self._installed()
        if found is None:
            return None
        return Build(
            engine=self.name, version=found.manifest.version, source=found.manifest.variant
        )

    def command(self, model: ModelSpec, mode: Mode, settings: RunSettings, socket: Path) -> Command:
        """What to start. Raises InvalidSetting, UnsupportedFormat, NotInstalled. Touches disk."""
        if model.format not in self.formats:
            raise UnsupportedFormat(
                f"vllm cannot run {model.name}: it is {model.format}, not safetensors"
                " (llama.cpp runs GGUF)",
                hint="use --backend llama.cpp, or pull a safetensors version of the model",
            )
        self.check_settings(settings)
        python, variant = self._program()
        arguments = [
            "serve", str(model.weights),
            "--uds", str(socket),
            "--served-model-name", model.name,
            "--shutdown-timeout", "2",
        ]  # fmt: skip
        if model.chat_template:
            arguments += ["--chat-template", str(model.chat_template)]
        if mode is not Mode.COMPLETION:
            arguments += ["--runner", "pooling"]
        if variant == "cpu" and not shutil.which(_COMPILER, path=self._environ.get("PATH", "")):
            arguments.append("--enforce-eager")
        if model.trusted:
            arguments.append("--trust-remote-code")
        arguments += _settings(model, settings, on_cpu=variant == "cpu")
        program = [str(python), "-I", "-m", "vllm.entrypoints.cli.main"]
        return Command(
            argv=tethered([*program, *arguments], with_children=True),
            socket=socket,
            environment={**inherited(self._environ), **_gpus(settings), **_ENVIRONMENT},
            ready_within=_READY_WITHIN,
            reads=(model.weights, *([model.chat_template] if model.chat_template else ())),
            programs=roots_of(python),
            writes=(Path("/dev/shm"),),  # noqa: S108  # its processes share memory there
            loopback=True,
            hints={Reason.NEEDS_CODE: _consent(model)},
            weighed=True,
            # What its code leaves behind must not be found by models that bring none.
            home=f"{NAME}-{short_id(model.id)}" if model.trusted else "",
        )

    def check_settings(self, settings: RunSettings) -> None:
        """Refuse settings that `command` would refuse. Raises InvalidSetting."""
        if settings.context_size is not None and settings.context_size < -1:
            raise InvalidSetting(
                f"context size {settings.context_size} is impossible",
                hint="a number of tokens, or -1 for all that the model was trained for",
            )
        check_utilization(settings.gpu_memory_utilization)
        given_flags(settings)

    @property
    def tenant_flags(self) -> tuple[str, ...]:
        """None: each request says whose it is."""
        return ()

    def tenant_fields(self, salt: str | None) -> Mapping[str, object]:
        """The salt goes into the hash that blocks of the cache are found by."""
        return {} if salt is None else {"cache_salt": salt}

    def diagnose(self, exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis:
        """Why it failed. `exit_code` is None when it never became ready, negative for a signal."""
        return diagnosis_of(exit_code, log_tail)

    def _installed(self) -> InstalledBuild | None:
        usable = self._builds.usable(NAME) if self._builds else ()
        return next(iter(usable), None)

    def _program(self) -> tuple[Path, str]:
        if self._python is not None:
            return self._python, self._variant
        found = self._installed()
        if found is None:
            raise NotInstalled(
                "vllm is not installed",
                engine=NAME,
                hint="install it with: stoker install-runner --backend vllm",
            )
        return found.python, found.manifest.variant


def _consent(model: ModelSpec) -> str:
    if not model.code:
        return (
            "its code was left out when it was packaged; read it, then:"
            f" stoker package --safetensors DIR --allow-code {model.name}"
        )
    return (
        "it may do whatever you may; read it, then:"
        f" stoker configure {model.name} --trust-remote-code {model.id}"
    )


def _settings(model: ModelSpec, settings: RunSettings, *, on_cpu: bool) -> list[str]:
    """Length, memory, overrides and raw flags; of what is set twice, the more specific wins."""
    given = given_flags(settings)
    arguments: list[str] = []
    length = context_of(model, settings, on_cpu=on_cpu)
    if length and "--max-model-len" not in given:
        arguments += ["--max-model-len", str(length)]
    return [*arguments, *memory_arguments(settings, on_cpu=on_cpu), *given]


def _gpus(settings: RunSettings) -> dict[str, str]:
    """Which GPUs it sees: those that the plan chose, numbered as the driver does."""
    if not settings.offload or not settings.offload.layers:
        return {}
    numbers = [device.removeprefix(CUDA) for device, _ in settings.offload.layers]
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(numbers)}
