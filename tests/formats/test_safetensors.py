import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import deserialize
from safetensors.numpy import save_file

from stoker.base.errors import Incomplete, ParseError
from stoker.formats.hfconfig import parse_hfconfig
from stoker.formats.index import check_index, shards_of_index
from stoker.formats.need import run
from stoker.formats.safetensors import (
    DTYPE_BITS,
    MAX_PAIRS,
    MAX_TOTAL,
    SafetensorsHeader,
    safetensors_header,
)
from stoker.formats.safetensorsfacts import facts_of_safetensors
from tests.formats.files import reader_of


def parse(data: bytes, *, whole: bool = True) -> SafetensorsHeader:
    parser = safetensors_header(file_size=len(data) if whole else None)
    return run(parser, reader_of(data), max_bytes=MAX_TOTAL)


def build(header: Any, buffer: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + buffer


def tensor(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_reads_what_the_reference_package_writes(tmp_path: Path) -> None:
    arrays = {
        f"{np.dtype(kind).name}.{rank}": np.zeros(shape, kind)
        for kind in ("f4", "f2", "f8", "i8", "u1", "?", "i4", "i2", "u8", "c8")
        for rank, shape in enumerate(((), (7,), (3, 5), (2, 0, 3), (2, 3, 1, 4)))
    }
    path = tmp_path / "m.safetensors"
    save_file(arrays, path, metadata={"format": "pt", "architecture": "qwen"})
    data = path.read_bytes()
    header = parse(data)
    assert header.needed_size == len(data)
    assert dict(header.metadata) == {"format": "pt", "architecture": "qwen"}
    theirs = dict(deserialize(data))  # type: ignore[no-untyped-call]
    assert {mine.name for mine in header.tensors} == set(theirs)
    for mine in header.tensors:
        assert mine.dtype == theirs[mine.name]["dtype"]
        assert list(mine.shape) == theirs[mine.name]["shape"]
        assert mine.size == len(theirs[mine.name]["data"])
        assert mine.elements == arrays[mine.name].size


def test_every_type_has_the_reference_size() -> None:
    for dtype, bits in DTYPE_BITS.items():
        data = build({"t": tensor(dtype, [8], 0, bits)}, bytes(bits))

        theirs = deserialize(data)  # type: ignore[no-untyped-call]
        assert len(theirs[0][1]["data"]) == parse(data).tensors[0].size


F32 = "F32"
LIES = {
    "empty": b"",
    "seven bytes": bytes(7),
    "header of 2^63": build({}, length=1 << 63),
    "header of 100 MB and one": build({}, length=100_000_001),
    "header longer than the file": build({}, length=99_999_999),
    "not json": build(b"hello"),
    "not an object": build(b"[]"),
    "begins with a blank": build(b" {}"),
    "deep": build(b'{"a":' + b"[" * 100_000),
    "metadata with a number": build({"__metadata__": {"a": 1}}),
    "no shape": build({"a": {"dtype": F32, "data_offsets": [0, 4]}}, bytes(4)),
    "unknown type": build({"a": tensor("F128", [1], 0, 16)}, bytes(16)),
    "negative dimension": build({"a": tensor(F32, [-1], 0, 4)}, bytes(4)),
    "dimensions overflow": build({"a": tensor(F32, [1 << 40, 1 << 40], 0, 4)}, bytes(4)),
    "fraction": build({"a": {"dtype": F32, "shape": [1.5], "data_offsets": [0, 6]}}, bytes(6)),
    "shape and bytes differ": build({"a": tensor(F32, [2], 0, 4)}, bytes(4)),
    "half a byte": build({"a": tensor("F4", [3], 0, 1)}, bytes(1)),
    "end before start": build({"a": tensor(F32, [1], 4, 0)}, bytes(4)),
    "overlap": build({"a": tensor(F32, [2], 0, 8), "b": tensor(F32, [2], 4, 12)}, bytes(12)),
    "same place": build({"a": tensor(F32, [1], 0, 4), "b": tensor(F32, [1], 0, 4)}, bytes(4)),
    "hole": build({"a": tensor(F32, [1], 0, 4), "b": tensor(F32, [1], 8, 12)}, bytes(12)),
    "hole at the start": build({"a": tensor(F32, [1], 4, 8)}, bytes(8)),
    "bytes left over": build({"a": tensor(F32, [1], 0, 4)}, bytes(5)),
    "bytes missing": build({"a": tensor(F32, [1], 0, 4)}, bytes(3)),
    "thousand dimensions": build({"a": tensor(F32, [1] * 1000, 0, 4)}, bytes(4)),
    "too many pairs": build(b"{" + b'"":0,' * (MAX_PAIRS + 1) + b'"a":0}'),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_refused(name: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(LIES[name])
    assert caught.value.offset is not None


def test_a_file_of_unknown_size_is_described_without_its_buffer() -> None:
    data = build({"a": tensor(F32, [4], 0, 16)}, bytes(16))
    assert parse(data[:-16], whole=False).needed_size == len(data)


def test_a_large_header_comes_in_few_reads() -> None:
    header = {f"t{n}": tensor("U8", [1], n, n + 1) for n in range(60_000)}
    data = build(header, bytes(60_000))
    reads: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        reads.append((offset, length))
        return data[offset : offset + length]

    parsed = run(safetensors_header(), read, max_bytes=MAX_TOTAL)
    assert len(parsed.tensors) == 60_000
    assert len(reads) < 12


CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_hidden_layers": 2,
    "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16, "hidden_size": 64,
    "intermediate_size": 128, "vocab_size": 100, "max_position_embeddings": 40960,
    "torch_dtype": "bfloat16",
}  # fmt: skip


def test_facts_come_from_headers_and_config() -> None:
    header = parse(
        build(
            {
                "model.embed_tokens.weight": tensor("BF16", [100, 64], 0, 12800),
                "model.layers.0.mlp.up_proj.weight": tensor("BF16", [128, 64], 12800, 29184),
                "model.layers.1.mlp.experts.0.w": tensor("BF16", [64], 29184, 29312),
                "lm_head.weight": tensor("BF16", [100, 64], 29312, 42112),
                "visual.patch.weight": tensor("BF16", [2], 42112, 42116),
            },
            bytes(42116),
        )
    )
    facts = facts_of_safetensors([header], parse_hfconfig(json.dumps(CONFIG).encode()))
    assert facts.architecture == "qwen3"
    assert facts.quantization == "BF16"
    assert facts.parameters == 42116 // 2
    assert facts.context_size == 40960
    assert facts.metadata == {"tensor_count": "5"}
    assert [layer.weights for layer in facts.layers] == [16384, 128]
    assert [layer.experts for layer in facts.layers] == [0, 128]
    assert facts.layers[0].kv_heads == 2
    assert facts.layers[0].key_length == facts.layers[0].value_length == 16
    assert (facts.input_weights, facts.output_weights, facts.other_weights) == (12800, 12800, 4)
    assert facts.warnings == ()
    assert facts_of_safetensors([header]).layers[1].weights == 128


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"max_position_embeddings": 4096, "n_ctx": 1}, 4096),
        ({"n_ctx": 2048}, 2048),
        ({"max_position_embeddings": None, "model_max_length": 77}, 77),
        ({"max_position_embeddings": 1 << 40, "n_positions": 512}, 512),
        ({"text_config": {"max_position_embeddings": 8192}}, 8192),
        ({"max_position_embeddings": "big", "max_length": -1}, None),
        ({}, None),
    ],
)
def test_context_size_of_config(config: dict[str, Any], wanted: int | None) -> None:
    assert parse_hfconfig(json.dumps(config).encode()).context_size == wanted


def test_code_in_a_config_is_warned_about() -> None:
    config = parse_hfconfig(b'{"auto_map": {"AutoModel": "modeling_evil.Evil"}}')
    assert config.has_code
    facts = facts_of_safetensors([parse(build({}))], config)
    assert "auto_map" in facts.warnings[0]
    assert facts.quantization == "unknown"


@pytest.mark.parametrize(
    ("config", "heads"),
    [
        ({"num_attention_heads": 71, "num_kv_heads": 71, "multi_query": True}, 1),
        ({"num_kv_heads": 8, "multi_query": True, "new_decoder_architecture": True}, 8),
        ({"num_attention_heads": 32, "multi_query_group_num": 2}, 2),
        ({"n_head": 12}, 12),
    ],
)
def test_heads_of_config(config: dict[str, Any], heads: int) -> None:
    """Falcon 7B, Falcon 40B, ChatGLM, GPT-2."""
    assert parse_hfconfig(json.dumps(config).encode()).kv_heads == heads


def test_latent_attention_of_config() -> None:
    shape = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_hidden_layers": 1}
    facts = facts_of_safetensors([parse(build({}))], parse_hfconfig(json.dumps(shape).encode()))
    (layer,) = facts.layers
    assert (layer.kv_heads, layer.key_length, layer.value_length) == (1, 576, 0)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_bad_config_is_a_parse_error(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_hfconfig(data)
    with pytest.raises(ParseError):
        shards_of_index(data)


def held(*names: str) -> SafetensorsHeader:
    return parse(build({name: tensor("U8", [0], 0, 0) for name in names}))


def test_an_index_and_what_there_is() -> None:
    shards = {"1": held("a", "b"), "2": held("c"), "of no index": held("d")}
    for index in ({"a": "1", "b": "1", "c": "2"}, {"a": "1"}, {}, {"c": "1"}):
        check_index("m", index, shards)
    for index, words in (
        ({"a": "3"}, r"^m is incomplete: its index names files that are not there: 3$"),
        ({"a": "1", "x": "2"}, r"tensors that are not there: x in 2$"),
        ({f"x{n}": "2" for n in range(1000)}, r"x0 in 2 and 999 more$"),
        ({"\x1b[31m": "1"}, r"there: \\x1b\[31m in 1$"),
    ):
        with pytest.raises(Incomplete, match=words) as caught:
            check_index("m", index, shards)
        assert len(caught.value.message) < 400


def test_index() -> None:
    names = {"a": "model-00002-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"}
    assert shards_of_index(json.dumps({"weight_map": names}).encode()) == tuple(
        sorted(names.values())
    )
    for bad in ("../x", "/x", "a\\b", "", "..", "a\0b"):
        with pytest.raises(ParseError):
            shards_of_index(json.dumps({"weight_map": {"a": bad}}).encode())
