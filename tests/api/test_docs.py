"""The API describes itself, completely, and the handbook names every route."""

import re
from pathlib import Path

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
