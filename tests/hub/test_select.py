"""Which files are taken: tables."""

import pytest

from stoker.base.errors import InvalidReference, StokerError, UnsupportedFormat
from stoker.formats.quant import FileClass
from stoker.hub.select import select
from stoker.hub.wire import RepoFile
from stoker.oci import mediatypes as mt


def taken(*paths: str, tag: str = "", indexed: tuple[str, ...] = ()) -> list[str]:
    files = [RepoFile(path, 1 << 20) for path in paths]
    chosen = select(files, tag, repository="org/name", indexed=indexed)
    return [c.file.path for c in chosen.files]


WEIGHTS = "model.safetensors"
SHARDS = tuple(f"model-{n:05d}-of-00002.safetensors" for n in (1, 2))


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        # A usual repository: all that the model needs, nothing that it does not.
        (
            [
                WEIGHTS, "README.md", ".gitattributes", "config.json", "generation_config.json",
                "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
                "merges.txt", "tokenizer.model", "qwen.tiktoken", "chat_template.jinja", "LICENSE",
                "USE_POLICY.md", "modeling_evil.py", "pytorch_model.bin", "model.pt", "weights.pkl",
                "trainer_state.json", "requirements.txt", "picture.png", "flax_model.msgpack",
                "tf_model.h5", "rust_model.ot", "pytorch_model.bin.index.json",
            ],
            [
                WEIGHTS, "LICENSE", "chat_template.jinja", "config.json", "generation_config.json",
                "merges.txt", "qwen.tiktoken", "special_tokens_map.json", "tokenizer.json",
                "tokenizer.model", "tokenizer_config.json", "vocab.json",
            ],
        ),
        # The same weights in other forms.
        (
            [
                *SHARDS, "model.safetensors.index.json", "consolidated.safetensors",
                "consolidated.safetensors.index.json", "original/model.safetensors",
                "original/params.json", "onnx/model.onnx", "onnx/config.json", "metal/model.bin",
                "model.fp16.safetensors", "params.json",
            ],
            [*SHARDS, "model.safetensors.index.json", "params.json"],
        ),
        # Mistral's own form is taken where it is the only one.
        (["consolidated.safetensors", "tekken.json"], ["consolidated.safetensors", "tekken.json"]),
        (["model.fp16.safetensors"], ["model.fp16.safetensors"]),
        (["model.fp16.safetensors", "other.safetensors"], ["other.safetensors"]),
        # Modules of sentence-transformers, templates of a tokenizer.
        (
            [
                WEIGHTS, "1_Pooling/config.json", "2_Dense/model.safetensors",
                "2_Dense/pytorch_model.bin", "modules.json", "additional_chat_templates/tool.jinja",
                "openvino/config.json", "eval/a.json",
            ],
            [
                WEIGHTS, "modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors",
                "additional_chat_templates/tool.jinja",
            ],
        ),
    ],
)  # fmt: skip
def test_safetensors(paths: list[str], kept: list[str]) -> None:
    assert taken(*paths) == kept


def test_the_index_decides() -> None:
    odd = ("layers-0.safetensors", "mtp.safetensors")
    index = "model.safetensors.index.json"
    assert taken(*odd, "extra.safetensors", index, indexed=odd) == [*odd, index]
    # An index left over from before the weights were merged.
    assert taken(WEIGHTS, index, indexed=SHARDS) == [WEIGHTS]
    with pytest.raises(UnsupportedFormat, match=r"names 'model-00002-of-00002.safetensors'"):
        taken(SHARDS[0], index, indexed=SHARDS)


def test_gguf_goes_before_safetensors_and_brings_little() -> None:
    found = taken(
        WEIGHTS, "m-Q4_K_M.gguf", "config.json", "tokenizer_config.json", "chat_template.json",
        "b.jinja", "chat_template.jinja", "LICENSE.md", "sub/LICENSE", "README.md",
    )  # fmt: skip
    assert found == ["m-Q4_K_M.gguf", "chat_template.jinja", "LICENSE.md"]


def test_media_types() -> None:
    paths = [
        WEIGHTS,
        "LICENSE",
        "a.jinja",
        "chat_template.json",
        "config.json",
        "2_Dense/m.safetensors",
    ]
    found = select([RepoFile(path, 1) for path in paths], None, repository="o/n")
    assert {c.file.path: c.media_type for c in found.files} == {
        WEIGHTS: mt.DOCKER_SAFETENSORS,
        "LICENSE": mt.DOCKER_LICENSE,
        "a.jinja": mt.DOCKER_CHAT_TEMPLATE,
        "chat_template.json": mt.DOCKER_MODEL_FILE,
        "config.json": mt.DOCKER_MODEL_FILE,
        "2_Dense/m.safetensors": mt.DOCKER_SAFETENSORS,
    }
    assert found.format is FileClass.SAFETENSORS
    assert [file.path for file in found.weights] == [WEIGHTS]


@pytest.mark.parametrize(
    ("paths", "error", "text"),
    [
        ([], UnsupportedFormat, "no model weights .* it has no files"),
        (["README.md"], UnsupportedFormat, r"no model weights .* it has README\.md"),
        (
            ["pytorch_model.bin", "config.json"],
            UnsupportedFormat,
            "can run code when loaded; it has",
        ),
        (
            ["a.safetensors", "b.safetensors"],
            UnsupportedFormat,
            "2 weight files that do not belong",
        ),
        (["adapter_model.safetensors"], UnsupportedFormat, "adapter .LoRA. for another model"),
        (["model_index.json", "unet/x.safetensors"], UnsupportedFormat, "no model weights"),
        ([SHARDS[0]], UnsupportedFormat, "no model weights"),
        ([f"f{n}.png" for n in range(20)], UnsupportedFormat, "and 8 more"),
        (["mmproj-f16.gguf"], UnsupportedFormat, "no model weights"),
    ],
)
def test_nothing_usable(paths: list[str], error: type[StokerError], text: str) -> None:
    with pytest.raises(error, match=text):
        taken(*paths)


def test_a_quantization_of_safetensors_is_no_silent_surprise() -> None:
    with pytest.raises(InvalidReference, match="no GGUF files, so there is no quantization 'Q4_0'"):
        taken(WEIGHTS, tag="Q4_0")
    assert taken(WEIGHTS, tag="latest") == [WEIGHTS]


@pytest.mark.parametrize(
    "path",
    [
        "../up-Q4_K_M.gguf", "a/../../b.gguf", "/etc/x.gguf", "a//b.gguf", "C:\\x.gguf", "c:x.gguf",
        "a\\b.gguf", "nul\0.gguf", "line\nbreak.gguf", "turn\u202earound.gguf", "./x.gguf",
        ". /x.gguf",
    ],
)  # fmt: skip
def test_paths_that_lead_elsewhere(path: str) -> None:
    with pytest.raises(UnsupportedFormat, match="refused: org/name has a file named"):
        taken(path)
