"""What is said where nothing is: in the words of whose clients look there."""

import openai
import pytest

from tests.components.daemon import Daemon
from tests.components.http import ask


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nope", 404, "404 page not found\n"),
        ("POST", "/", 405, "Method Not Allowed\n"),
        ("GET", "/engines/nope", 404, "not found\n"),
        ("POST", "/engines/ps", 404, "not found\n"),
        ("PUT", "/models/pilot", 404, "not found\n"),
        ("POST", "/models/ai/pilot/shrink", 404, 'unknown action "shrink"\n'),
    ],
)
def test_docker_model_runners_words(
    daemon: Daemon, method: str, path: str, status: int, text: str
) -> None:
    answer = ask(daemon, method, path)
    assert (answer.status, answer.body.decode()) == (status, text)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/v1/nope", "/engines/v1/nope", "/engines/llama.cpp/v1/nope"])
def test_openais_envelope(daemon: Daemon, path: str) -> None:
    answer = ask(daemon, "POST", path, {})
    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")


def test_a_wrong_method_names_the_right_one(daemon: Daemon) -> None:
    answer = ask(daemon, "GET", "/v1/responses")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.json["error"]["code"] == "method_not_allowed"
    assert ask(daemon, "GET", "/anthropic/v1/messages").json["type"] == "error"
    assert ask(daemon, "GET", "/api/chat").json["error"] == "Method Not Allowed"


def test_double_slashes_lead_to_the_clean_path(daemon: Daemon) -> None:
    moved = ask(daemon, "POST", "//v1//nope?a=%2F", {})
    assert (moved.status, moved.headers["Location"]) == (308, "/v1/nope?a=/")
    # An address elsewhere is never what a path leads to.
    assert ask(daemon, "GET", "//evil.example/x").headers["Location"] == "/evil.example/x"
    with openai.OpenAI(base_url=f"{daemon.url}//engines//v1", api_key="x") as client:
        messages = [{"role": "user", "content": "hi"}]
        chat = client.chat.completions.create(model="pilot", messages=messages)  # type: ignore[arg-type]
    assert chat.choices[0].message.content
