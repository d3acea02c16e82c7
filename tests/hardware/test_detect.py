"""What the machine has: real host, and trees and libraries as drivers would show them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from stoker.hardware import amd, apple, nvidia
from stoker.hardware.detect import Room, findings, snapshot
from stoker.hardware.host import available_memory, cpu_features, usable_memory
from stoker.planner.devices import DeviceKind

GIB = 1024**3


def test_the_host_has_memory_and_less_of_it_free() -> None:
    seen = snapshot()
    assert 0 < seen.host_free <= seen.host_total <= psutil.virtual_memory().total
    assert available_memory() <= usable_memory()
    assert cpu_features()


def test_each_kind_of_gpu_is_found_or_says_why_not() -> None:
    for finding in findings():
        assert finding.devices or finding.note


def card(drm: Path, number: int, **files: str) -> None:
    folder = drm / f"card{number}" / "device"
    folder.mkdir(parents=True)
    for name, text in {"vendor": "0x1002", **files}.items():
        (folder / name).write_text(text + "\n")


def test_amd_cards_out_of_sysfs(tmp_path: Path) -> None:
    kfd = tmp_path / "kfd"
    kfd.touch()
    card(tmp_path, 0, vendor="0x8086")
    card(
        tmp_path, 1, mem_info_vram_total=str(16 * GIB), mem_info_vram_used=str(GIB),
        product_name="Radeon RX",
    )  # fmt: skip
    card(
        tmp_path, 2, mem_info_vram_total=str(GIB), mem_info_vram_used="0",
        mem_info_gtt_total=str(8 * GIB), mem_info_gtt_used=str(2 * GIB),
    )  # fmt: skip
    (tmp_path / "card1-DP-1").mkdir()
    found = amd.find(tmp_path, kfd).devices
    assert [(d.id, d.total, d.free) for d in found] == [
        ("ROCm0", 16 * GIB, 15 * GIB),
        ("ROCm1", 9 * GIB, 7 * GIB),
    ]
    assert [d.kind for d in found] == [DeviceKind.DISCRETE, DeviceKind.SHARED]
    assert "kfd" in amd.find(tmp_path, tmp_path / "none").note


def test_an_amd_card_without_its_driver_is_said(tmp_path: Path) -> None:
    card(tmp_path, 0)
    assert "not loaded" in amd.find(tmp_path).note
    card(tmp_path, 1, mem_info_vram_total="lots", mem_info_vram_used="")
    assert not amd.find(tmp_path).devices


class NVMLError(Exception):
    pass


def nvml(monkeypatch: pytest.MonkeyPatch, *, broken: str = "", count: int = 2) -> None:
    """A library that answers for two GPUs, of which one fell off the bus."""

    def initialise() -> None:
        if broken:
            raise NVMLError(broken)

    def memory(handle: int) -> SimpleNamespace:
        if handle:
            raise NVMLError("GPU is lost")
        return SimpleNamespace(total=24 * GIB, free=20 * GIB)

    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=initialise,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: count,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetMemoryInfo=memory,
        nvmlDeviceGetName=lambda _: b"RTX",
        nvmlDeviceGetUUID=lambda number: f"GPU-{number}7c1a",
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)


def test_nvidia_gpus_through_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml(monkeypatch)
    finding = nvidia.find()
    (device,) = finding.devices
    assert (device.id, device.name, device.free) == ("CUDA0", "RTX", 20 * GIB)
    assert finding.note == "GPU 1 does not tell its memory: GPU is lost"
    nvml(monkeypatch, count=0)
    finding = nvidia.find()
    assert not finding.devices
    assert "knows of none" in finding.note


@pytest.mark.parametrize(
    ("chosen", "seen", "note"),
    [
        ("0", ["CUDA0"], "CUDA_VISIBLE_DEVICES=0 hides 1 of 2"),
        ("GPU-07", ["CUDA0"], "CUDA_VISIBLE_DEVICES=GPU-07 hides 1 of 2"),
        (
            "1",
            [],
            "GPU 1 does not tell its memory: GPU is lost; CUDA_VISIBLE_DEVICES=1 hides 1 of 2",
        ),
        ("1, 0", ["CUDA0"], "GPU 1 does not tell its memory: GPU is lost"),
        ("-1,0", [], "CUDA_VISIBLE_DEVICES=-1,0 hides 2 of 2"),
        ("", [], "CUDA_VISIBLE_DEVICES= hides 2 of 2"),
    ],
)
def test_gpus_that_were_hidden_are_not_used(
    monkeypatch: pytest.MonkeyPatch, chosen: str, seen: list[str], note: str
) -> None:
    """vLLM is told numbers, in place of what the variable said: a hidden GPU would be used."""
    nvml(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    finding = nvidia.find()
    assert [device.id for device in finding.devices] == seen
    assert finding.note == note


def test_a_driver_that_does_not_answer_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nvml(monkeypatch, broken="Driver/library version mismatch")
    monkeypatch.setattr(nvidia, "_DRIVER", tmp_path)
    finding = nvidia.find(tmp_path)
    assert not finding.devices
    assert "mismatch" in finding.note
    assert finding.advice


def test_without_the_library_a_gpu_is_still_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(nvidia, "_DRIVER", tmp_path / "none")
    assert nvidia.find(tmp_path).note == "none in this machine"
    gpu = tmp_path / "0000:01:00.0"
    gpu.mkdir()
    (gpu / "vendor").write_text("0x10de\n")
    (gpu / "class").write_text("0x030000\n")
    assert "stoker[nvidia]" in nvidia.find(tmp_path).advice


def test_metal_takes_a_share_of_the_host() -> None:
    small, large = apple.gpu(24 * GIB, 20 * GIB), apple.gpu(96 * GIB, 10 * GIB)
    assert small.total == 16 * GIB
    assert (large.total, large.free) == (72 * GIB, 10 * GIB)
    assert apple.find(GIB, GIB, system="linux").devices == ()


@contextmanager
def engine_of(run_dir: Path) -> Iterator[None]:
    """A process that holds 64 MiB, as engines of that directory are known."""
    program = "import time; kept = bytearray(b'x' * (64 << 20)); print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", program, f"{run_dir}/engine.sock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout
            child.stdout.read(1)
            yield
        finally:
            child.kill()


def test_room_is_what_is_free_and_what_our_engines_hold(tmp_path: Path) -> None:
    now = 0.0
    room = Room(tmp_path, available=lambda: 8 * GIB, clock=lambda: now)
    alone = room()
    assert alone < 8 * GIB
    with engine_of(tmp_path):
        assert room() == alone  # not looked again so soon
        now = 1.0
        assert 64 << 20 <= room() - alone < 128 << 20


def test_an_engine_that_has_just_ended_hides_no_other(tmp_path: Path) -> None:
    alone = Room(tmp_path, available=lambda: 8 * GIB)()
    # Waited for only at the end: a zombie has neither words nor memory.
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        with engine_of(tmp_path):
            assert Room(tmp_path, available=lambda: 8 * GIB)() - alone >= 64 << 20
