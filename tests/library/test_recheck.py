"""Between the plan and the load the machine changes: memory taken, a GPU gone."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stoker.base.errors import DoesNotFit
from stoker.library import recheck
from stoker.library.facts import FactsReader
from stoker.library.recheck import Recheck
from stoker.oci.digest import digest_of
from stoker.planner.devices import Device, Snapshot
from stoker.planner.spec import Format, Mode, ModelSpec, Offload, RunSettings
from tests.components.tiny_models import LAYERS, chat_model

MIB = 1024 * 1024
PLANNED = RunSettings(context_size=2048, offload=Offload((("CUDA0", LAYERS + 1),)))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recheck, "_BETWEEN", 0.0)


@pytest.fixture
def model(tmp_path: Path) -> ModelSpec:
    path = chat_model(tmp_path / "m.gguf")
    return ModelSpec(digest_of(b"m"), "ai/tiny", Format.GGUF, path, path.stat().st_size)


def card(free: int, name: str = "CUDA0") -> Device:
    return Device(id=name, total=8192 * MIB, free=free * MIB)


@dataclass
class Looks:
    """What is seen of the GPUs, look by look; the last one stays."""

    seen: list[tuple[Device, ...]]
    count: int = field(default=0)

    async def __call__(self) -> Snapshot:
        found = self.seen[min(self.count, len(self.seen) - 1)]
        self.count += 1
        return Snapshot(host_total=4096 * MIB, host_free=4096 * MIB, devices=found)


async def settled(
    model: ModelSpec, settings: RunSettings, *seen: tuple[Device, ...]
) -> tuple[RunSettings, Looks]:
    looks = Looks(list(seen))
    check = Recheck(FactsReader(), looks)
    return await check("llama.cpp", model, Mode.COMPLETION, settings), looks


async def test_a_plan_that_holds_stays(model: ModelSpec) -> None:
    found, looks = await settled(model, PLANNED, (card(8000),))
    assert found == PLANNED
    assert looks.count == 1


async def test_a_plan_without_gpus_needs_no_look(model: ModelSpec) -> None:
    for settings in (RunSettings(), RunSettings(offload=Offload())):
        found, looks = await settled(model, settings, ())
        assert (found, looks.count) == (settings, 0)


async def test_memory_that_comes_back_late_is_waited_for(model: ModelSpec) -> None:
    found, looks = await settled(model, PLANNED, (card(100),), (card(200),), (card(8000),))
    assert found == PLANNED
    assert looks.count == 3


async def test_what_a_stranger_took_moves_layers_elsewhere(
    model: ModelSpec, caplog: pytest.LogCaptureFixture
) -> None:
    found, _ = await settled(model, PLANNED, (card(100), card(8000, "CUDA1")))
    assert found.offload == Offload((("CUDA1", LAYERS + 1),))
    assert found.context_size == 2048
    assert "CUDA0 was to hold" in caplog.text
    found, _ = await settled(model, PLANNED, (card(100),))
    assert found.offload == Offload()


async def test_a_gpu_that_vanished(model: ModelSpec, caplog: pytest.LogCaptureFixture) -> None:
    found, _ = await settled(model, PLANNED, ())
    assert found.offload == Offload()
    assert "CUDA0 is gone" in caplog.text


@pytest.mark.parametrize("flags", [("--gpu-layers", "all"), ("-ngl", str(LAYERS + 1))])
async def test_who_requires_a_gpu_is_refused_by_name(
    model: ModelSpec, flags: tuple[str, ...]
) -> None:
    settings = RunSettings(context_size=2048, runtime_flags=flags, offload=PLANNED.offload)
    with pytest.raises(DoesNotFit, match=r"ai/tiny: .* of CUDA0, .* are missing"):
        await settled(model, settings, (card(100),))
