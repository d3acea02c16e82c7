"""What is decided about quantizing before a program runs, by headers and names."""

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Kind

from stoker.base.errors import InvalidSetting, ModelNotFound, UnsupportedFormat
from stoker.distribution.quantize import LEVELS, plan_quantization, quantized_name
from tests.components.tiny_models import chat_model


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.BF16])
def test_whole_weights_become_any_level(tmp_path: Path, level: str, kind: Kind) -> None:
    source = chat_model(tmp_path / "m.gguf", width=256, kind=kind)
    plan = plan_quantization(source, level.lower())
    assert (plan.source, plan.level) == (source, level)
    assert plan.weights <= source.stat().st_size
    assert 0 < plan.size <= plan.weights


def test_an_unknown_level_lists_the_known(tmp_path: Path) -> None:
    source = chat_model(tmp_path / "m.gguf")
    with pytest.raises(InvalidSetting, match="unknown quantization 'Q9'") as caught:
        plan_quantization(source, "q9")
    assert caught.value.hint == f"one of {', '.join(LEVELS)}"


def test_quantized_twice_is_refused(tmp_path: Path) -> None:
    source = chat_model(tmp_path / "m.gguf", kind=Kind.Q8_0)
    with pytest.raises(UnsupportedFormat, match=r"is quantized already \(Q8_0\)") as caught:
        plan_quantization(source, "Q4_0")
    assert "F16 or BF16" in str(caught.value.hint)


def test_rows_that_no_superblock_divides(tmp_path: Path) -> None:
    source = chat_model(tmp_path / "m.gguf", width=64, kind=Kind.F16)
    for level in ("Q2_K", "Q4_K_M", "IQ4_XS"):
        with pytest.raises(UnsupportedFormat, match="multiple of 256 numbers") as caught:
            plan_quantization(source, level)
        assert "rows of 64" in caught.value.message
        assert str(caught.value.hint).startswith("these fit: IQ4_NL, Q4_0")
    assert plan_quantization(source, "Q8_0").size
    # Where some rows fit, the others become what llama.cpp chooses; it says so.
    mixed = chat_model(tmp_path / "x.gguf", width=256, feed_forward=320, kind=Kind.F16)
    assert plan_quantization(mixed, "Q4_K_M").size


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    first = chat_model(tmp_path / "m-00001-of-00002.gguf", kind=Kind.F16)
    with pytest.raises(ModelNotFound, match="m-00002-of-00002"):
        plan_quantization(first, "Q8_0")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("model-F16.gguf", "model-Q4_K_M.gguf"),
        ("Model.fp16.gguf", "Model.Q4_K_M.gguf"),
        ("Qwen3-0.6B-BF16-chat.gguf", "Qwen3-0.6B-Q4_K_M-chat.gguf"),
        ("f16-f32.gguf", "f16-Q4_K_M.gguf"),
        ("model.gguf", "model-Q4_K_M.gguf"),
        ("shelf16.gguf", "shelf16-Q4_K_M.gguf"),
        ("big-f16-00001-of-00003.gguf", "big-Q4_K_M.gguf"),
    ],
)
def test_names(source: str, name: str) -> None:
    assert quantized_name(source, "Q4_K_M") == name
