"""Who may talk to the daemon: every route, every method, before any work is done."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.api.origins import Policy
from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask

ROUTES = (
    ("GET", "/"), ("GET", "/version"), ("GET", "/models"), ("GET", "/logs"), ("GET", "/metrics"),
    ("GET", "/health"), ("GET", "/engines/ps"), ("GET", "/v1/models"), ("GET", "/api/tags"),
    ("POST", "/models/create"), ("POST", "/engines/unload"), ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"), ("POST", "/api/chat"), ("DELETE", "/models/pilot"),
    ("GET", "/no/such/route"), ("OPTIONS", "/v1/chat/completions"), ("PUT", "/"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_rows_11_and_12_strange_hosts_and_origins_are_refused_everywhere(
    daemon: Daemon, method: str, path: str
) -> None:
    for name, value in (
        ("Host", "evil.example"),
        ("Host", "evil.example:12434"),
        ("Host", "127.0.0.1.evil.example"),
        ("Host", "localhost@evil.example"),
        ("Host", "evil.example@localhost"),
        ("Host", "evil.example/.localhost"),
        ("Host", "evil.example#.localhost"),
        ("Origin", "http://evil.example"),
        ("Origin", "http://localhost.evil.example:80"),
        ("Origin", "null"),
        ("Origin", "file://"),
    ):
        answer = ask(daemon, method, path, headers={name: value})
        assert answer.status == 403, (name, value)
        assert answer.body == f"{name} not allowed\n".encode()
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert ask(daemon, "GET", "/models/pilot").status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:1", "[::1]:80", "app.localhost", "10.0.0.7"]
)
def test_our_own_names_pass(daemon: Daemon, host: str) -> None:
    assert ask(daemon, "GET", "/version", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:80"]
)
def test_local_pages_are_served_and_may_read(daemon: Daemon, origin: str) -> None:
    asked = ask(daemon, "OPTIONS", "/engines/v1/chat/completions", headers={"Origin": origin})
    assert (asked.status, asked.body) == (204, b"")
    assert asked.headers["Access-Control-Allow-Origin"] == origin
    assert asked.headers["Access-Control-Allow-Methods"] == "GET, POST, DELETE"
    allowed = asked.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"*", "Authorization", "X-Api-Key", "Content-Type"} <= set(allowed)
    body = {"model": "pilot", "messages": [], "stream": True}
    for answer in (
        ask(daemon, "GET", "/v1/models", headers={"Origin": origin}),
        ask(daemon, "GET", "/no/such", headers={"Origin": origin}),
        ask(daemon, "POST", "/v1/chat/completions", body, headers={"Origin": origin}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_programs_get_no_cors_headers(daemon: Daemon) -> None:
    answer = ask(daemon, "GET", "/models")
    assert not [name for name in answer.headers if name.startswith("Access-Control")]
    assert ask(daemon, "OPTIONS", "/v1/models").status in {404, 405}


@pytest.mark.parametrize("kind", ["text/plain", "text/plain;charset=UTF-8", "multipart/form-data"])
def test_row_12_pages_cannot_post_without_being_asked_first(daemon: Daemon, kind: str) -> None:
    body = b'{"all": true}'
    headers = {"Content-Type": kind, "Origin": "http://localhost:3000"}
    assert ask(daemon, "POST", "/engines/unload", body, headers).status == 415
    hidden = {"Content-Type": kind, "Sec-Fetch-Site": "cross-site"}
    assert ask(daemon, "POST", "/engines/unload", body, hidden).status == 403
    assert ask(daemon, "POST", "/engines/unload", b"{}", {"Content-Type": kind}).status == 200


@pytest.mark.parametrize(
    "path",
    ["/health?deep=1&model=pilot", "/models/evil.example/a/b?remote=true", "/search?q=x", "/docs"],
)
def test_row_12_another_sites_page_makes_us_do_nothing_by_get(daemon: Daemon, path: str) -> None:
    """An image or a script of any page is fetched without an Origin."""
    for mode, kind in (("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe")):
        fetch = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": kind}
        assert ask(daemon, "GET", path, headers=fetch).status == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    followed = ask(daemon, "GET", path, headers={**link, "Sec-Fetch-Dest": "document"})
    assert followed.status == (403 if "?" in path else 200)
    typed = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert ask(daemon, "GET", "/health?deep=1", headers=typed).status == 200


@pytest.fixture(scope="module")
def open_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home: Path = tmp_path_factory.mktemp("open")
    names = {"DMR_ORIGINS": "*", "STOKER_ALLOWED_HOSTS": "models.lan, other.lan"}
    with running_daemon(home, **names) as daemon:
        yield daemon


def test_both_lists_can_be_extended(open_daemon: Daemon) -> None:
    headers = {"Origin": "https://app.example", "Host": "models.lan:12434"}
    answer = ask(open_daemon, "OPTIONS", "/v1/models", headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    frame = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "iframe",
    }
    assert ask(open_daemon, "GET", "/docs", headers=frame).status == 200
    assert ask(open_daemon, "GET", "/version", headers={"Host": "evil.example"}).status == 403


def test_ports_may_be_wildcards() -> None:
    policy = Policy.of(["http://my.host:*", "https://exact.example:8443"], [], listen="127.0.0.1")
    assert policy.allows_origin("http://my.host:5173")
    assert policy.allows_origin("http://MY.host")
    assert policy.allows_origin("https://exact.example:8443")
    assert not policy.allows_origin("https://exact.example")
    assert not policy.allows_origin("https://my.host:5173")
    assert Policy.of([], [], listen="0.0.0.0").allows_host("any.name")
