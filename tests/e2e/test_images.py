"""Pictures in requests, in every dialect, seen by a real engine through a real projector."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask
from tests.components.projector import picture, projector
from tests.components.tiny_models import WIDTH, chat_model

TEXT = "what is this?"
NAME = "test/seeing"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    files = tmp_path_factory.mktemp("files")
    weights = chat_model(files / "chat.gguf")
    eye = projector(files / "mmproj.gguf", WIDTH)
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        done = daemon.cli("package", "--gguf", str(weights), "--mmproj", str(eye), NAME)
        assert done.returncode == 0, done.stderr
        assert daemon.cli("pull", "pilot").returncode == 0
        yield daemon


def openai(content: Any) -> dict[str, Any]:
    return {"model": NAME, "max_tokens": 2, "messages": [{"role": "user", "content": content}]}


def read(usage: dict[str, int]) -> int:
    """Tokens of a prompt; those that were remembered are counted apart."""
    return usage["input_tokens"] + usage["cache_read_input_tokens"]


def test_openai(daemon: Daemon) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()}"}}
    without = ask(daemon, "POST", "/engines/v1/chat/completions", openai(TEXT))
    seen = ask(
        daemon,
        "POST",
        "/engines/v1/chat/completions",
        openai([image, {"type": "text", "text": TEXT}]),
    )
    assert seen.status == 200, seen.json
    assert seen.json["usage"]["prompt_tokens"] > without.json["usage"]["prompt_tokens"]


def test_anthropic(daemon: Daemon) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": picture()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": TEXT}]
    without = ask(daemon, "POST", "/anthropic/v1/messages", openai(TEXT))
    seen = ask(daemon, "POST", "/anthropic/v1/messages", openai(content))
    assert seen.status == 200, seen.json
    assert read(seen.json["usage"]) > read(without.json["usage"])


def test_ollama(daemon: Daemon) -> None:
    def body(**more: object) -> dict[str, Any]:
        message = {"role": "user", "content": TEXT, **more}
        options = {"num_predict": 2}
        return {"model": NAME, "stream": False, "messages": [message], "options": options}

    without = ask(daemon, "POST", "/api/chat", body())
    seen = ask(daemon, "POST", "/api/chat", body(images=[picture()]))
    assert seen.status == 200, seen.json
    assert seen.json["prompt_eval_count"] > without.json["prompt_eval_count"]


def test_a_model_that_cannot_see_says_so(daemon: Daemon) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()}"}}
    blind = {**openai([image]), "model": "pilot"}
    refused = ask(daemon, "POST", "/engines/v1/chat/completions", blind)
    assert 400 <= refused.status <= 501
    assert "image" in refused.json["error"]["message"]
