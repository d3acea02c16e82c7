"""The API describes itself, completely, and the handbook names every route."""

import re
from pathlib import Path

import pytest

from tests.components.daemon import Daemon
from tests.components.http import ask

HANDBOOK = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
# What answers requests is under several prefixes and stands there once.
PREFIX = re.compile(
    r"^/engines(/\{engine\})?(?=/(v1|rerank|score|responses|completions|chat|embed))"
)


def test_every_route_is_described(daemon: Daemon) -> None:
    document = ask(daemon, "GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert {"/v1/chat/completions", "/api/chat", "/health"} <= document["paths"].keys()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert len(operation["summary"].split()) > 1, f"{method} {path} has no description"


def test_queries_are_described_as_they_are_read(daemon: Daemon) -> None:
    paths = ask(daemon, "GET", "/openapi.json").json["paths"]

    def query(method: str, path: str) -> dict[str, tuple[bool, object, object]]:
        return {
            each["name"]: (
                each["required"],
                each["schema"].get("type"),
                each["schema"].get("default"),
            )
            for each in paths[path][method]["parameters"]
            if each["in"] == "query"
        }

    switch, text = (False, "boolean", False), (False, "string", "")
    assert query("get", "/search") == {
        "q": text, "limit": (False, "integer", 32), "source": (False, "string", "all"),
    }  # fmt: skip
    assert query("get", "/logs") == {
        "follow": switch, "no-engines": switch, "backend": text, "audit": switch,
    }  # fmt: skip
    assert query("post", "/models/{name}/tag") == dict.fromkeys(
        ("repo", "tag"), (True, "string", None)
    )
    assert query("get", "/plan")["context-size"] == (False, "integer", None)
    assert query("get", "/plan")["mode"][2] == "completion"
    assert query("get", "/engines/ps") == {}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("GET /plan", "missing model query parameter"),
        ("POST /models/pilot/tag?tag=x&repo=", "missing repo or tag query parameter"),
        ("GET /plan?model=pilot&context-size=much", "invalid value for 'context-size': 'much'"),
        ("GET /plan?model=pilot&mode=sing", "invalid value for 'mode': 'sing'"),
        ("GET /search?limit=%E2%99%AB", r"invalid value for 'limit': '\u266b'"),
        ("DELETE /models/pilot?force=perhaps", "invalid value for 'force': 'perhaps'"),
        ("GET /v1/responses/x/input_items?order=up", "invalid value for 'order': 'up'"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(daemon: Daemon, asked: str, said: str) -> None:
    method, _, path = asked.partition(" ")
    answer = ask(daemon, method, path)
    assert answer.status == 400
    assert said in (answer.json["error"]["message"] if "/v1/" in asked else answer.body.decode())


def test_a_switch_needs_no_value_and_the_hint_names_what_can_be_said(daemon: Daemon) -> None:
    assert "models" in ask(daemon, "GET", "/health?deep").json
    assert "models" not in ask(daemon, "GET", "/health?deep=0").json
    assert ask(daemon, "GET", "/plan?model=pilot&mode=&unknown=1").status == 200
    for value, hint in (("mode=x", "one of completion, embedding, reranking"),
                        ("context-size=x", "a whole number")):  # fmt: skip
        answer = ask(daemon, "GET", f"/plan?model=pilot&{value}")
        assert answer.headers["Stoker-Hint"] == f"it is {hint}"


def test_every_route_is_in_the_handbook(daemon: Daemon) -> None:
    text = HANDBOOK.read_text()
    for path in ask(daemon, "GET", "/openapi.json").json["paths"]:
        plain = PREFIX.sub("", path)
        names = {f"`{name}`" for name in (path, plain, f"/v1{plain}")}
        assert any(name in text for name in names), f"{path} is missing in {HANDBOOK}"


def test_the_page_stands_alone(daemon: Daemon) -> None:
    page = ask(daemon, "GET", "/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert b"<script" not in page.body
    assert b"://" not in page.body
    assert b"/v1/chat/completions" in page.body
