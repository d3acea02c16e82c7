"""The variables of Hugging Face's own tools."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from stoker.base.errors import InvalidSetting
from stoker.hub.options import checked_endpoint, find_token, options_of, token_file


def test_defaults() -> None:
    options = options_of({"HF_HOME": "/nowhere"})
    assert options.endpoint == "https://huggingface.co"
    assert options.token is None


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("https://hf-mirror.example/", "https://hf-mirror.example"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://art.example/api/huggingfaceml/x/", "https://art.example/api/huggingfaceml/x"),
    ],
)
def test_endpoint(text: str, endpoint: str) -> None:
    assert options_of({"HF_ENDPOINT": text, "HF_HOME": "/nowhere"}).endpoint == endpoint


@pytest.mark.parametrize(
    "text", ["hf.example", "ftp://x", "https://", "https://u:p@x", "https://x/?a=1", "https://x:z"]
)
def test_endpoints_that_are_none(text: str) -> None:
    with pytest.raises(InvalidSetting, match="HF_ENDPOINT is no plain http or https URL"):
        checked_endpoint(text)


def test_token_order(tmp_path: Path) -> None:
    env = {"HF_HOME": str(tmp_path)}
    assert find_token(env) is None
    (tmp_path / "token").write_text("hf_file\n")
    in_file = find_token(env)
    assert in_file
    assert (in_file.value, in_file.origin) == ("hf_file", str(tmp_path / "token"))
    named = find_token({**env, "HUGGING_FACE_HUB_TOKEN": "hf_old"})
    assert named
    assert named.value == "hf_old"
    first = find_token({**env, "HUGGING_FACE_HUB_TOKEN": "hf_old", "HF_TOKEN": " hf_new "})
    assert first
    assert (first.value, first.origin) == ("hf_new", "HF_TOKEN")
    assert find_token({**env, "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}) is None
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert find_token(env) is None


def test_the_token_file_is_where_the_package_has_it() -> None:
    home = {"HOME": "/home/me"}
    assert token_file(home) == Path("/home/me/.cache/huggingface/token")
    assert token_file({**home, "XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/token")
    assert token_file({**home, "HF_HOME": "/h"}) == Path("/h/token")
    assert token_file({**home, "HF_TOKEN_PATH": "/t"}) == Path("/t")
    assert Path(constants.HF_TOKEN_PATH).name == "token"
