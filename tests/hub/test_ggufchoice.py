"""Which quantization is taken: tables."""

import pytest

from stoker.base.errors import ModelNotFound, UnsupportedFormat
from stoker.hub.ggufchoice import (
    choose_projector,
    choose_variant,
    matches,
    quantization_of,
    variants_of,
)
from stoker.hub.wire import RepoFile


def files(*paths: str) -> list[RepoFile]:
    return [RepoFile(path, 10) for path in paths]


def chosen(selection: str, *paths: str) -> tuple[list[str], str]:
    variant, note = choose_variant(variants_of(files(*paths)), selection, "org/name")
    return [file.path for file in variant.files], note


@pytest.mark.parametrize(
    ("path", "quantization"),
    [
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("llama-2-7b-chat.Q5_K_S.gguf", "Q5_K_S"),
        ("qwen2.5-0.5b-instruct-q8_0.gguf", "Q8_0"),
        ("model-Q4_K_M-00001-of-00003.gguf", "Q4_K_M"),
        ("BF16/model-00001-of-00002.gguf", "BF16"),
        ("Qwen3-4B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("gemma-3-4b-it-qat-q4_0.gguf", "Q4_0"),
        ("m-IQ2_XXS.gguf", "IQ2_XXS"),
        ("m-Q4_0_4_8.gguf", "Q4_0_4_8"),
        ("phi-2.fp16.gguf", "FP16"),
        ("q4-model.gguf", "Q4"),
        ("model.gguf", ""),
        ("Mixtral-8x7B.gguf", ""),
        ("F16C-notes.gguf", ""),
    ],
)
def test_quantization_of(path: str, quantization: str) -> None:
    assert quantization_of(path) == quantization


@pytest.mark.parametrize(
    ("path", "tag", "fits"),
    [
        # Docker Model Runner's own vectors
        ("model-Q4_K_M-00001-of-00003.gguf", "q4_k_m", True),
        ("model.gguf", "q4_k_m", False),
        ("model-Q4_K_M.gguf", "Q4_K_M", True),
        ("model.q4_k_m.gguf", "Q4_K_M", True),
        ("model-Q4_K_M.gguf", "Q4_K", True),
        ("modelQ4_K_M.gguf", "Q4_K_M", False),
        ("model-Q4_K_M.gguf", ".*", False),
        # ours
        ("Q4_K_M/model-00001-of-00002.gguf", "q4_k_m", True),
        ("model-Q4_K_M.gguf", "model-Q4_K_M.gguf", True),
        ("7b-Q4_0.gguf", "7B-q4_0", True),
    ],
)
def test_matches(path: str, tag: str, *, fits: bool) -> None:
    assert matches(path, tag) is fits


@pytest.mark.parametrize(
    ("tag", "paths", "taken", "note"),
    [
        ("", ["m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf"], "m-Q4_K_M.gguf", "(default)"),
        ("latest", ["m-Q4_K_M.gguf"], "m-Q4_K_M.gguf", "(default)"),
        ("main", ["m-q4_k_m.gguf", "m-f16.gguf"], "m-q4_k_m.gguf", "Q4_K_M quantization (default)"),
        # Docker Model Runner would take Q2_K here, being first by name.
        ("", ["m-Q2_K.gguf", "m-Q8_0.gguf"], "m-Q8_0.gguf", "(no Q4_K_M here; also: Q2_K)"),
        ("", ["m-F16.gguf", "m-Q5_K_M.gguf"], "m-Q5_K_M.gguf", "(no Q4_K_M here; also: F16)"),
        ("", ["m-Q8_0.gguf"], "m-Q8_0.gguf", "Selected Q8_0 quantization (the only one)"),
        ("", ["model.gguf"], "model.gguf", "Selected model quantization (the only one)"),
        ("q8_0", ["m-Q4_K_M.gguf", "m-Q8_0.gguf"], "m-Q8_0.gguf", "Selected Q8_0 quantization"),
        # A file whose name says nothing is what it is, when there is no other.
        ("Q4_K_M", ["model.gguf"], "model.gguf", "Selected Q4_K_M quantization"),
        # More than one fits: the plainest name.
        ("Q4_K_M", ["m-UD-Q4_K_M.gguf", "m-Q4_K_M.gguf"], "m-Q4_K_M.gguf", "(m-Q4_K_M; 2 fit)"),
        ("Q4", ["m-Q4_0.gguf", "m-Q4_K_S.gguf", "m-Q4_K_M.gguf"], "m-Q4_K_M.gguf", "3 fit"),
        ("13b-Q4_0", ["a-7b-Q4_0.gguf", "a-13b-Q4_0.gguf"], "a-13b-Q4_0.gguf", "Selected Q4_0"),
        # What is no model does not count.
        ("", ["m-Q4_K_M-imatrix.gguf", "ggml-vocab-q4_0.gguf", "m-F16.gguf"], "m-F16.gguf", "only"),
        ("", ["mmproj-m-Q4_K_M.gguf", "m-Q8_0.gguf"], "m-Q8_0.gguf", "the only one"),
    ],
)
def test_choice(tag: str, paths: list[str], taken: str, note: str) -> None:
    (path,), said = chosen(tag, *paths)
    assert path == taken
    assert note in said


def test_all_shards_in_order() -> None:
    shards = [f"Q8_0/m-Q8_0-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    assert chosen("q8_0", "m-Q4_K_M.gguf", *reversed(shards))[0] == shards


def test_missing_shards_are_told_of_and_avoided() -> None:
    broken = "m-Q4_K_M-00001-of-00002.gguf"
    with pytest.raises(UnsupportedFormat, match="1 of them are not in the repository"):
        chosen("Q4_K_M", broken, "m-Q8_0.gguf")
    assert chosen("", broken, "m-Q8_0.gguf")[0] == ["m-Q8_0.gguf"]
    # However many shards a name claims: nothing is counted out.
    with pytest.raises(UnsupportedFormat, match="99998 of them"):
        chosen("", "m-00001-of-99999.gguf")


def test_an_unknown_quantization_names_those_there_are() -> None:
    with pytest.raises(ModelNotFound, match=r"no quantization 'Q3_K_M'; it has Q4_K_M, Q8_0$"):
        chosen("Q3_K_M", "m-Q4_K_M.gguf", "m-Q8_0.gguf")
    with pytest.raises(ModelNotFound, match=r"it has Q8_0$"):
        chosen("Q3_K_M", "m-Q8_0.gguf")


@pytest.mark.parametrize(
    ("paths", "taken"),
    [
        (["mmproj-m-BF16.gguf", "mmproj-m-F16.gguf", "mmproj-m-F32.gguf"], "mmproj-m-F16.gguf"),
        (["mmproj-BF16.gguf", "mmproj-F32.gguf"], "mmproj-BF16.gguf"),
        (["mmproj-b.gguf", "mmproj-a.gguf"], "mmproj-a.gguf"),
        (["other/mmproj-f16.gguf", "mmproj-q8_0.gguf"], "mmproj-q8_0.gguf"),
        (["vision/mmproj-f16.gguf"], "vision/mmproj-f16.gguf"),
        (["m-Q8_0.gguf"], None),
    ],
)
def test_projector(paths: list[str], taken: str | None) -> None:
    (beside,) = variants_of(files("m-Q4_0.gguf"))
    found = choose_projector(files(*paths), beside)
    assert (found.path if found else None) == taken
