"""Model names. The tables are Docker Model Runner's own vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.base.errors import InvalidReference
from stoker.oci.defaults import display_name
from stoker.oci.reference import (
    ModelId,
    Reference,
    hub_repository,
    parse_name,
    parse_reference,
)

HEX64 = "ab" * 32


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("gemma3", "docker.io/ai/gemma3:latest"),
        ("gemma3:v1", "docker.io/ai/gemma3:v1"),
        ("model:", "docker.io/ai/model:latest"),
        ("myorg/model", "docker.io/myorg/model:latest"),
        ("registry.example.com/model", "registry.example.com/model:latest"),
        ("registry.example.com/myorg/model:v1", "registry.example.com/myorg/model:v1"),
        ("MyModel", "docker.io/ai/mymodel:latest"),
        ("  gemma3  ", "docker.io/ai/gemma3:latest"),
        ("abc123", "docker.io/ai/abc123:latest"),
        ("hf.co/Org/Model:Q4_K_M", "huggingface.co/org/model:Q4_K_M"),
        ("HF.co/Org/Model:Q4_K_M", "huggingface.co/org/model:Q4_K_M"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("localhost:65535/x", "localhost:65535/x:latest"),
        ("[fd00::1]:5000/x:v1", "[fd00::1]:5000/x:v1"),
        ("[::1]/x", "[::1]/x:latest"),
        ("localhost/x", "docker.io/localhost/x:latest"),
        ("index.docker.io/ai/x", "docker.io/ai/x:latest"),
        ("[::1]:5000/x:y", "[::1]:5000/x:y"),
        (f"ai/x@sha256:{HEX64}", f"docker.io/ai/x:latest@sha256:{HEX64}"),
        (f"ai/x:v1@sha256:{HEX64}", f"docker.io/ai/x:v1@sha256:{HEX64}"),
    ],
)
def test_names_get_their_defaults(typed: str, canonical: str) -> None:
    assert str(parse_reference(typed)) == canonical


@pytest.mark.parametrize(
    "typed",
    [
        "", "   ", "a b", "invalid:reference:format", "../x", "a/../b", "a//b", "/a", "a/",
        "x:ta g", "ä", "x\x00", "x\ny", "x@sha256:abc", "x@", "ai/x@md5:abc", "a" * 300,
        f"x@sha256:{'g' * 64}", "x:" + "t" * 129, "-x", "x-", "reg.example.com:99999999/x",
        "x\u202e", "\u212a", "localhost:65536/x", "[abc]:5000/x", "[1:2]:5000/x", "[::g]:5000/x",
    ],
)  # fmt: skip
def test_impossible_names_are_refused_in_one_line(typed: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_reference(typed)
    assert "\n" not in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.hint


@given(st.text(max_size=80))
def test_parsing_is_total_and_printing_parses_back(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return
    assert parse_reference(str(reference)) == reference


_component = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)?", fullmatch=True)


@given(
    st.sampled_from(["docker.io", "ghcr.io", "localhost:5000", "r.example.com:443"]),
    st.lists(_component, min_size=1, max_size=4),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
)
def test_what_was_built_parses_to_itself(registry: str, path: list[str], tag: str) -> None:
    reference = Reference(registry, "/".join(path), tag)
    if registry == "docker.io" and len(path) == 1:
        assert parse_reference(str(reference)).repository == path[0]
    assert parse_reference(str(reference)) == reference


def test_ids_are_told_apart_from_names() -> None:
    assert parse_name("1234567890ab") == ModelId("1234567890ab")
    assert parse_name(HEX64) == ModelId(HEX64)
    assert parse_name(f"sha256:{HEX64}") == ModelId(HEX64)
    assert isinstance(parse_name("1234567890abc"), Reference)


def test_another_default_registry() -> None:
    reference = parse_reference("x", default_registry="models.example.com")
    assert str(reference) == "models.example.com/ai/x:latest"


@pytest.mark.parametrize(
    ("canonical", "shown"),
    [
        ("ai/gemma3:latest", "gemma3"),
        ("myorg/gemma3:latest", "myorg/gemma3"),
        ("docker.io/ai/gemma3:v1", "gemma3:v1"),
        ("index.docker.io/ai/gemma3:latest", "gemma3"),
        ("hf.co/bartowski/model:Q4_K_S", "hf.co/bartowski/model:Q4_K_S"),
        ("", ""),
    ],
)
def test_display_names(canonical: str, shown: str) -> None:
    assert display_name(canonical) == shown


def test_the_hub_keeps_its_case() -> None:
    assert hub_repository("hf.co/Qwen/Qwen3-0.6B-GGUF:Q8_0") == "Qwen/Qwen3-0.6B-GGUF"
