from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.base.errors import DoesNotFit
from stoker.formats.facts import LayerFacts, ModelFacts
from stoker.planner.devices import Device, DeviceKind, Snapshot
from stoker.planner.fit import MIN_CONTEXT, GpuPolicy, Placement, place, shares
from stoker.planner.options import Options
from stoker.planner.room import usable, usable_host
from stoker.planner.spec import Offload
from stoker.planner.vllm import OVERHEAD, Split, cache_per_token, conversations, plan_vllm
from tests.planner.test_estimate import llama_8b

GIB = 1024**3
EIGHT = Options(context=8192, slots=1)


def gpu(free: float, *, name: str = "CUDA0", total: float | None = None) -> Device:
    return Device(id=name, total=int((total or free) * GIB), free=int(free * GIB))


def machine(*devices: Device, host: float = 64) -> Snapshot:
    return Snapshot(host_total=int(host * GIB), host_free=int(host * GIB), devices=devices)


def moe() -> ModelFacts:
    """16 layers of 1.1 GiB, of which 1 GiB are experts."""
    layer = LayerFacts(
        weights=GIB + GIB // 10, experts=GIB, heads=32, kv_heads=4, key_length=128,
        value_length=128, expert_length=768,
    )  # fmt: skip
    return ModelFacts(
        format="gguf", architecture="qwen3moe", context_size=40_960, vocabulary=150_000,
        embedding_length=2048, layers=(layer,) * 16, input_weights=GIB // 4,
        output_weights=GIB // 4, experts=128, experts_used=8,
    )  # fmt: skip


def test_all_on_one_gpu_when_it_fits() -> None:
    found = place(llama_8b(), machine(gpu(24)), options=EIGHT)
    assert found.whole
    assert found.gpu_layers == 33
    assert [share.device for share in found.shares] == ["CUDA0"]


def test_the_fewest_gpus_that_hold_it_the_larger_one_first() -> None:
    small, large = gpu(6, name="CUDA0"), gpu(24, name="CUDA1")
    found = place(llama_8b(), machine(small, large), options=EIGHT)
    assert [share.device for share in found.shares] == ["CUDA1"]


def test_two_gpus_share_evenly() -> None:
    found = place(llama_8b(), machine(gpu(8, name="CUDA0"), gpu(8, name="CUDA1")), options=EIGHT)
    assert found.whole
    layers = [share.layers for share in found.shares]
    assert sum(layers) == 33
    assert max(layers) - min(layers) <= 4


def test_some_layers_when_the_gpu_is_small() -> None:
    found = place(llama_8b(), machine(gpu(6)), options=EIGHT)
    assert 0 < found.gpu_layers < 33
    assert not found.whole
    assert found.host_bytes < usable_host(machine(gpu(6)))


def test_a_gpu_too_small_for_anything_is_left_alone() -> None:
    found = place(llama_8b(), machine(gpu(6, name="CUDA0"), gpu(0.5, name="CUDA1")), options=EIGHT)
    assert [share.device for share in found.shares] == ["CUDA0"]
    assert place(llama_8b(), machine(gpu(0.5)), options=EIGHT).gpu_layers == 0


def test_experts_leave_the_gpu_before_layers_do() -> None:
    found = place(moe(), machine(gpu(12)), options=EIGHT)
    assert found.gpu_layers == 17
    assert 0 < found.host_experts < 16


def test_context_shrinks_only_when_nobody_asked_for_one() -> None:
    shrunk = place(llama_8b(), machine(gpu(16)), options=Options(slots=1))
    assert shrunk.whole
    assert MIN_CONTEXT <= shrunk.context < 131_072
    asked = place(llama_8b(), machine(gpu(16)), options=Options(context=131_072, slots=1))
    assert asked.context == 131_072
    assert not asked.whole


def test_never_uses_no_gpu() -> None:
    found = place(llama_8b(), machine(gpu(80)), options=EIGHT, policy=GpuPolicy.NEVER)
    assert found.shares == ()
    assert found.gpu_layers == 0


def test_layers_as_somebody_told() -> None:
    found = place(llama_8b(), machine(gpu(24)), options=replace(EIGHT, gpu_layers=10))
    assert (found.gpu_layers, found.host_experts) == (10, 0)
    assert place(llama_8b(), machine(gpu(24)), options=replace(EIGHT, gpu_layers=99)).whole
    # Where there is no GPU it is a wish that nothing comes of, as in llama.cpp.
    assert not place(llama_8b(), machine(), options=replace(EIGHT, gpu_layers=10)).gpu_layers
    with pytest.raises(DoesNotFit, match=r"of CUDA0.*are missing"):
        place(llama_8b(), machine(gpu(4)), options=replace(EIGHT, gpu_layers=30))
    told = replace(EIGHT, host_experts=12)
    found = place(moe(), machine(gpu(40)), options=told)
    assert (found.gpu_layers, found.host_experts) == (17, 12)
    found = place(moe(), machine(gpu(4)), options=told)
    assert 0 < found.gpu_layers < 17
    assert found.host_experts == 12


def test_only_the_devices_somebody_named() -> None:
    two = machine(gpu(24, name="CUDA0"), gpu(24, name="CUDA1"))
    found = place(llama_8b(), two, options=replace(EIGHT, devices=("CUDA1",)))
    assert found.offload == Offload((("CUDA1", 33),))
    none = place(llama_8b(), two, options=replace(EIGHT, devices=("CUDA7",)))
    assert none.offload == Offload()


def test_what_an_engine_is_told_is_what_was_planned() -> None:
    for facts, size in ((llama_8b(), 6), (llama_8b(), 24), (moe(), 12), (moe(), 30)):
        found = place(facts, machine(gpu(size), gpu(size / 2, name="CUDA1")), options=EIGHT)
        assert found.offload.count == found.gpu_layers
        assert shares(found.estimate, found.offload) == found.shares


def test_refusals_say_what_is_missing_and_what_would_fit() -> None:
    with pytest.raises(DoesNotFit, match=r"GiB of CUDA0.*are missing") as caught:
        place(llama_8b(), machine(gpu(4)), options=EIGHT, policy=GpuPolicy.REQUIRED)
    assert "preferred" in str(caught.value.hint)
    with pytest.raises(DoesNotFit, match="this machine has none"):
        place(llama_8b(), machine(), options=EIGHT, policy=GpuPolicy.REQUIRED)
    with pytest.raises(DoesNotFit, match="of the host") as caught:
        place(llama_8b(), machine(host=12), options=replace(EIGHT, context=65_536))
    assert caught.value.hint == "it would fit with --context-size 16384"
    with pytest.raises(DoesNotFit) as caught:
        place(llama_8b(), machine(host=4), options=EIGHT)
    assert "smaller or more quantized" in str(caught.value.hint)


def test_shared_memory_is_counted_once() -> None:
    apple = Device(id="Metal", kind=DeviceKind.SHARED, total=24 * GIB, free=18 * GIB)
    assert place(llama_8b(), machine(apple, host=24), options=EIGHT).whole
    with pytest.raises(DoesNotFit):
        place(llama_8b(), machine(apple, host=8), options=EIGHT)


sizes = st.floats(0, 40)


def bytes_on(found: Placement, device: str) -> int:
    return sum(share.bytes for share in found.shares if share.device == device)


@settings(max_examples=60, deadline=None)
@given(st.lists(sizes, max_size=3), st.floats(1, 64), st.sampled_from([None, 4096, 32_768]))
def test_no_plan_is_over_any_budget(free: list[float], host: float, context: int | None) -> None:
    devices = [gpu(size, name=f"CUDA{number}", total=40) for number, size in enumerate(free)]
    snapshot = machine(*devices, host=host)
    for facts in (llama_8b(), moe()):
        try:
            found = place(facts, snapshot, options=Options(context=context, slots=1))
        except DoesNotFit:
            continue
        assert found.host_bytes <= usable_host(snapshot)
        assert sum(share.layers for share in found.shares) == found.gpu_layers
        for device in devices:
            assert bytes_on(found, device.id) <= usable(device)


@settings(max_examples=60, deadline=None)
@given(sizes, st.floats(0, 8))
def test_more_memory_is_never_worse(free: float, more: float) -> None:
    for facts in (llama_8b(), moe()):
        before = place(facts, machine(gpu(free, total=48)), options=EIGHT)
        after = place(facts, machine(gpu(free + more, total=48)), options=EIGHT)
        assert after.gpu_layers >= before.gpu_layers
        if after.gpu_layers == before.gpu_layers:
            assert after.host_experts <= before.host_experts


def test_vllm_takes_the_share_it_needs() -> None:
    facts = replace(llama_8b(), weights_size=16 * GIB)
    assert cache_per_token(facts) == 128 * 1024
    plan = plan_vllm(facts, gpu(80), context=32_768, requests=4)
    assert plan.cache == 4 * 32_768 * 128 * 1024
    assert plan.total <= plan.utilization * 80 * GIB
    assert plan.utilization < 0.6
    assert plan_vllm(facts, gpu(80), context=32_768, requests=4, split=Split(2)).total < plan.total


def test_vllm_keeps_a_whole_head_on_each_gpu() -> None:
    """Eight heads are dealt out; a single one, and what latent attention keeps, is on every GPU."""
    grouped = llama_8b()
    latent = replace(grouped, layers=(LayerFacts(kv_heads=1, key_length=576, value_length=0),) * 61)
    assert cache_per_token(grouped, split=Split(4)) == cache_per_token(grouped) // 4
    assert cache_per_token(latent, split=Split(8)) == cache_per_token(latent) == 61 * 576 * 2
    assert cache_per_token(grouped, split=Split(16)) == cache_per_token(grouped) // 8
    plan = plan_vllm(replace(latent, weights_size=GIB), gpu(80), context=4096, split=Split(8))
    assert conversations(latent, 4096, plan.cache, split=Split(8)) == 1


def test_vllm_deals_layers_out_to_a_pipeline() -> None:
    """Then a single head is not on every GPU, and the one with most layers decides."""
    latent = replace(
        llama_8b(), layers=(LayerFacts(kv_heads=1, key_length=576, value_length=0),) * 61
    )
    assert cache_per_token(latent, split=Split(pipeline=2)) == 31 * 576 * 2
    assert cache_per_token(latent, split=Split(tensor=4, pipeline=2)) == 31 * 576 * 2
    assert cache_per_token(llama_8b(), split=Split(2, 2)) == cache_per_token(llama_8b()) // 4


def test_vllm_asks_for_no_more_than_is_free() -> None:
    """Its share of the whole GPU is rounded up, and must still be there when it starts."""
    facts = replace(llama_8b(), weights_size=1)
    card = gpu(20, total=24)
    plan = plan_vllm(facts, card, context=4096, cache=usable(card) - OVERHEAD - 1)
    assert plan.utilization * card.total < card.free
    with pytest.raises(DoesNotFit):
        plan_vllm(facts, card, context=4096, cache=card.free - OVERHEAD - 1)


def test_vllm_says_which_context_would_fit() -> None:
    facts = replace(llama_8b(), weights_size=16 * GIB)
    with pytest.raises(DoesNotFit, match="are missing") as caught:
        plan_vllm(facts, gpu(24))
    hint = str(caught.value.hint)
    assert plan_vllm(facts, gpu(24), context=int(hint.rsplit(maxsplit=1)[-1])).utilization <= 0.92
    with pytest.raises(DoesNotFit) as caught:
        plan_vllm(facts, gpu(8))
    assert "smaller" in str(caught.value.hint)
