"""The engine's own list of devices: recorded from builds with GPUs, and the real wheel's."""

import os
import sys
from pathlib import Path

from stoker.engines.asking import answer_of
from stoker.engines.devices import EngineDevices, parse_devices
from stoker.engines.llamacpp_program import Program
from stoker.planner.devices import DeviceKind

CUDA = """ggml_cuda_init: found 2 CUDA devices:
  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: yes
Available devices:
  CUDA0: NVIDIA GeForce RTX 4090 (24080 MiB, 23692 MiB free)
  CUDA1: Tesla (P40) (24438 MiB, 0 MiB free)
"""
METAL = "Available devices:\n  MTL0: Apple M3 Max (98304 MiB, 98303 MiB free)\n"


def test_devices_are_read_out_of_the_list() -> None:
    first, second = parse_devices(CUDA)
    assert (first.id, first.name) == ("CUDA0", "NVIDIA GeForce RTX 4090")
    assert (first.total, first.free) == (24080 << 20, 23692 << 20)
    assert second.name == "Tesla (P40)"
    assert parse_devices(METAL)[0].kind is DeviceKind.SHARED
    assert parse_devices("Available devices:\n  (none)\n") == ()


async def test_the_wheel_has_none() -> None:
    assert await EngineDevices(lambda: Program("wheel"), os.environ)() == ()


async def test_only_an_answer_is_remembered(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    program = tmp_path / "llama-server"
    # A driver that does not wake in time, and then one that is awake but has no device for it.
    program.write_text(f"#!/bin/sh\necho x >> {asked}\n[ -e {tmp_path}/awake ] && echo Devices:\n")
    program.chmod(0o755)
    devices = EngineDevices(lambda: Program("system", program), os.environ, clock=lambda: 0.0)
    assert await devices() == ()
    assert await devices() == ()
    assert asked.read_text() == "x\nx\n"
    (tmp_path / "awake").touch()
    assert await devices() == ()
    assert await devices() == ()
    assert asked.read_text() == "x\nx\nx\n"


async def test_one_that_hangs_is_left_alone_for_a_while(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    program = tmp_path / "llama-server"
    program.write_text(f"#!/bin/sh\necho x >> {asked}\nexit 1\n")
    program.chmod(0o755)
    # Asked at 0, given up at 10; asked again when six times as long has passed.
    times = iter((0, 10, 30, 69, 70, 80))
    find = Program("system", program)
    devices = EngineDevices(lambda: find, os.environ, clock=lambda: next(times))
    for count in (1, 1, 1, 2):
        assert await devices() == ()
        assert asked.read_text() == "x\n" * count


async def test_an_answer_in_the_log_is_an_answer() -> None:
    # The worker has its stdout where its log goes: parts of llama.cpp print there.
    program = "import sys; print(sys.argv[1], file=sys.stderr)"
    assert parse_devices(await answer_of([sys.executable, "-c", program, METAL], os.environ))


async def test_a_program_that_cannot_say_is_no_gpu(tmp_path: Path) -> None:
    program = Program("wheel", python=tmp_path / "none")
    assert await EngineDevices(lambda: program, os.environ)() == ()
    broken = Program("wheel", python=Path(sys.executable).with_name("ruff"))
    assert await EngineDevices(lambda: broken, os.environ)() == ()
