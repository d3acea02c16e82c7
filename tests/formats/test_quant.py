import pytest

from stoker.base.errors import ParseError
from stoker.formats.quant import (
    FileClass,
    file_class,
    is_projector,
    quantization_name,
    shard_names,
    shard_of,
)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a/b/model.GGUF", FileClass.GGUF),
        ("model-00001-of-00002.safetensors", FileClass.SAFETENSORS),
        ("image.dduf", FileClass.DDUF),
        ("chat_template.json", FileClass.CHAT_TEMPLATE),
        ("template.jinja", FileClass.CHAT_TEMPLATE),
        ("LICENSE", FileClass.LICENSE),
        ("Licence.txt", FileClass.LICENSE),
        ("COPYING", FileClass.LICENSE),
        ("NOTICE.md", FileClass.LICENSE),
        ("README.md", FileClass.CONFIG),
        ("config.json", FileClass.CONFIG),
        ("merges.txt", FileClass.CONFIG),
        ("spm.vocab", FileClass.CONFIG),
        ("tokenizer.model", FileClass.CONFIG),
        ("other.model", FileClass.UNKNOWN),
        ("modeling_x.py", FileClass.UNKNOWN),
        ("license/weights.bin", FileClass.UNKNOWN),
    ],
)
def test_file_class(name: str, wanted: FileClass) -> None:
    assert file_class(name) is wanted


def test_projector_by_name() -> None:
    assert is_projector("mmproj-F16.gguf")
    assert not is_projector("mmproj.txt")
    assert not is_projector("model.gguf")


def test_shards() -> None:
    assert shard_names("m.gguf") == ["m.gguf"]
    assert shard_names("m-00002-of-00003.gguf") == [
        "m-00001-of-00003.gguf",
        "m-00002-of-00003.gguf",
        "m-00003-of-00003.gguf",
    ]
    shard = shard_of("a-b-00001-of-00010.safetensors")
    assert shard is not None
    assert (shard.prefix, shard.number, shard.count, shard.kind) == ("a-b", 1, 10, "safetensors")
    for other in ("m-0001-of-0002.gguf", "m-00003-of-00002.gguf", "m-00000-of-00002.gguf"):
        assert shard_of(other) is None
    with pytest.raises(ParseError):
        shard_names("m-00001-of-99999.gguf")


@pytest.mark.parametrize(
    ("file_type", "elements", "wanted"),
    [
        (15, {"Q4_K": 10}, "Q4_K_M"),
        (15 | 1024, {"Q4_K": 10}, "Q4_K_M"),
        (0, {}, "F32"),
        (38, {}, "MXFP4"),
        (None, {"Q4_K": 10, "Q6_K": 3, "F32": 1}, "Q4_K"),
        (999, {"F16": 1}, "F16"),
        (None, {}, "unknown"),
    ],
)
def test_quantization_name(file_type: int | None, elements: dict[str, int], wanted: str) -> None:
    assert quantization_name(file_type, elements) == wanted
