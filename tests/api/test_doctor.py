"""What the doctor says to machines that nobody has at hand."""

import pytest

from stoker.api.doctor import Symptoms, checks
from stoker.engines.spec import Build
from stoker.hardware.finding import Finding
from stoker.planner.devices import Device
from stoker.wire.plan import Check

GIB = 1024**3
CARD = Device(id="CUDA0", name="RTX", total=24 * GIB, free=20 * GIB)
NATIVE = {"llama.cpp": Build("llama.cpp", "b1", "native")}


def examine(**more: object) -> dict[str, Check]:
    known: dict[str, object] = {
        "memory": 32 * GIB, "available": 20 * GIB, "budget": 28 * GIB, "disk_free": 100 * GIB,
        "features": frozenset({"avx2"}), "builds": NATIVE,
    }  # fmt: skip
    return {check.topic: check for check in checks(Symptoms(**{**known, **more}))}  # type: ignore[arg-type]


def test_a_good_machine_has_no_problems() -> None:
    seen = examine(gpus=[Finding("NVIDIA", (CARD,))], devices=[CARD])
    assert {check.state for check in seen.values()} == {"ok"}
    assert "RTX" in seen["GPU in use"].text


@pytest.mark.parametrize(
    ("topic", "more"),
    [
        ("llama.cpp", {"builds": {"llama.cpp": None}}),
        ("GPU in use", {"gpus": [Finding("NVIDIA", (CARD,))]}),
        ("GPU NVIDIA", {"gpus": [Finding("NVIDIA", note="no driver", advice="install it")]}),
        ("CPU", {"features": frozenset({"sse2"})}),
        ("memory", {"available": GIB}),
        ("swap", {"swap_used": 2 * GIB}),
        ("disk", {"disk_free": GIB}),
    ],
)
def test_each_problem_comes_with_advice(topic: str, more: dict[str, object]) -> None:
    found = examine(**more)[topic]
    assert found.state == "problem"
    assert found.advice


def test_an_engine_that_keeps_the_network_is_a_note() -> None:
    builds = {**NATIVE, "vllm": Build("vllm", "1", "cpu")}
    assert "network" not in examine(builds=builds)
    assert "network" not in examine(loopbacks=False)
    seen = examine(builds=builds, loopbacks=False)["network"]
    assert seen.state == "note"
    assert "user namespaces" in seen.advice


def test_a_build_for_any_machine_and_no_gpu_are_notes() -> None:
    seen = examine(builds={"llama.cpp": Build("llama.cpp", "b1", "wheel"), "vllm": None})
    assert seen["llama.cpp"].state == seen["vllm"].state == seen["GPU in use"].state == "note"
    assert "install-runner" in seen["llama.cpp"].advice
