"""API keys at the door: who gets in, who may use which model, who may manage."""

import http.client
import json
import stat
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon
from tests.components.http import Reply, ask
from tests.components.tiny_models import chat_model

DIALECTS = (
    "/v1/chat/completions", "/engines/llama.cpp/v1/completions", "/v1/responses", "/v1/messages",
    "/anthropic/v1/messages/count_tokens", "/api/chat", "/api/generate",
)  # fmt: skip


def hello(path: str, model: str = "pilot", **more: object) -> dict[str, Any]:
    """A small request in the dialect of that path."""
    if "responses" in path:
        return {"model": model, "input": "hi", "max_output_tokens": 1, **more}
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
    if path.endswith(("/v1/completions", "/generate")):
        asked = {"prompt": "hi"}
    return {"model": model, "max_tokens": 1, **asked, **more}


PUBLIC = (("GET", "/"), ("GET", "/health"))
MANAGEMENT = (
    ("GET", "/health?deep=1"), ("GET", "/logs"), ("GET", "/metrics"), ("GET", "/engines/ps"),
    ("GET", "/engines/requests"), ("GET", "/engines/_configure"), ("GET", "/doctor"),
    ("GET", "/api/ps"), ("POST", "/engines/unload"), ("POST", "/engines/_configure"),
    ("POST", "/models/create"), ("POST", "/models/load"), ("DELETE", "/models/purge"),
    ("DELETE", "/models/pilot"), ("POST", "/models/pilot/tag?repo=a/b&tag=c"),
    ("DELETE", "/models/pilot/v1/messages"), ("POST", "/engines/v1/_configure"),
    ("POST", "/api/pull"), ("DELETE", "/api/delete"), ("POST", "/api/copy"),
    ("POST", "/engines/uninstall-backend"),
)  # fmt: skip


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home, files = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("files")
    with running_daemon(home, "--host", "0.0.0.0") as daemon:
        by_socket = {**daemon.env, "STOKER_HOST": f"unix://{home}/run/stoker.sock"}
        owner = Daemon(home, daemon.port, daemon.process, by_socket)
        assert owner.cli("pull", "pilot").returncode == 0
        put_model(home / "models", chat_model(files / "endless.gguf"), "test/endless")
        yield owner


def key(daemon: Daemon, name: str, *flags: str) -> dict[str, str]:
    """A new key, as the header that most clients send."""
    made = daemon.cli("key", "add", name, *flags)
    assert made.returncode == 0, made.stderr
    assert "only this once" in made.stderr
    return {"Authorization": f"Bearer {made.stdout.strip()}"}


@pytest.fixture(scope="module")
def admin(guarded: Daemon) -> dict[str, str]:
    return key(guarded, "admin")


@pytest.fixture(scope="module")
def limited(guarded: Daemon) -> dict[str, str]:
    return key(guarded, "limited", "--model", "pilot")


@pytest.mark.parametrize("path", DIALECTS)
def test_nobody_comes_in_without_a_key(guarded: Daemon, admin: dict[str, str], path: str) -> None:
    secret = admin["Authorization"].split()[1]
    for headers in (
        {}, {"Authorization": "Bearer stk_" + "A" * 43}, {"Authorization": f"Basic {secret}"},
        {"Authorization": f"Bearer {secret[:-1]}"}, {"Authorization": "Bearer"}, {"X-Api-Key": "x"},
    ):  # fmt: skip
        answer = ask(guarded, "POST", path, hello(path), headers)
        assert answer.status == 401, (path, headers)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="stoker"'
        assert b"API key" in answer.body
        assert secret.encode() not in answer.body
    assert ask(guarded, "POST", path, hello(path), admin).status == 200
    assert ask(guarded, "POST", path, hello(path), {"X-Api-Key": secret}).status == 200
    bearer = {"authorization": f"bearer {secret}"}
    assert ask(guarded, "POST", path, hello(path), bearer).status == 200


def test_errors_speak_the_dialect(guarded: Daemon) -> None:
    said = {path: ask(guarded, "POST", path, hello(path)).json["error"] for path in DIALECTS}
    assert said["/v1/chat/completions"]["code"] == "invalid_api_key"
    assert said["/v1/messages"]["type"] == "authentication_error"
    assert said["/api/chat"].startswith("an API key is needed")


@pytest.mark.parametrize(("method", "path"), MANAGEMENT)
def test_management_is_for_keys_without_a_list_of_models(
    guarded: Daemon, limited: dict[str, str], method: str, path: str
) -> None:
    assert ask(guarded, method, path).status == 401
    answer = ask(guarded, method, path, headers=limited)
    assert answer.status == 403
    assert b"manage nothing" in answer.body
    assert ask(guarded, "GET", "/models/pilot", headers=limited).status == 200  # still there


def test_two_routes_are_for_everybody_and_unknown_ones_for_nobody(
    guarded: Daemon, admin: dict[str, str], limited: dict[str, str]
) -> None:
    for method, path in PUBLIC:
        for headers in ({}, {"X-Api-Key": "wrong"}, admin, limited):
            assert ask(guarded, method, path, headers=headers).status == 200
    assert ask(guarded, "GET", "/no/such/route").status == 401
    for headers in (admin, limited):
        assert ask(guarded, "GET", "/no/such/route", headers=headers).status == 404
    assert ask(guarded, "GET", "/health?deep=1", headers=admin).status == 200
    assert ask(guarded, "GET", "/logs", headers=admin).status == 200


@pytest.mark.parametrize("path", DIALECTS)
def test_a_list_of_models_counts_in_every_dialect(
    guarded: Daemon, limited: dict[str, str], path: str
) -> None:
    pinned = ask(guarded, "GET", "/models/pilot", headers=limited).json["id"]
    for name in ("pilot", "ai/pilot", "docker.io/ai/pilot:latest", pinned, pinned[7:19]):
        assert ask(guarded, "POST", path, hello(path, name), limited).status == 200, name
    # What exists and what does not look the same from here.
    for name in ("test/endless", "no-such", "pilot:other", f"x@sha256:{'0' * 64}", "0" * 12):
        answer = ask(guarded, "POST", path, hello(path, name), limited)
        assert answer.status == 403, name
        assert f"key limited may not use {name}".encode() in answer.body


def test_lists_show_what_a_key_may_use(
    guarded: Daemon, admin: dict[str, str], limited: dict[str, str]
) -> None:
    def seen(headers: dict[str, str]) -> list[int]:
        return [
            len(ask(guarded, "GET", "/v1/models", headers=headers).json["data"]),
            len(ask(guarded, "GET", "/models", headers=headers).json),
            len(ask(guarded, "GET", "/api/tags", headers=headers).json["models"]),
        ]

    assert (seen(admin), seen(limited)) == ([2, 2, 2], [1, 1, 1])
    for path in ("/v1/models/test/endless", "/models/test/endless", "/models/no-such"):
        assert ask(guarded, "GET", path, headers=limited).status == 403
    show = {"model": "test/endless"}
    assert ask(guarded, "POST", "/api/show", show, limited).status == 403
    unload = {"model": "test/endless", "keep_alive": 0}
    assert ask(guarded, "POST", "/api/generate", unload, limited).status == 403


def test_a_short_name_leads_a_key_only_to_what_it_may_use(guarded: Daemon) -> None:
    """`GET /models/NAME` and the like are content with the last component of a name."""
    for allowed in ("endless", "test/endless:v2", "pilot:other"):
        one = key(
            guarded, f"for-{allowed.translate(str.maketrans('/:', '--'))}", "--model", allowed
        )
        for path in (f"/models/{allowed}", f"/v1/models/{allowed}"):
            assert ask(guarded, "GET", path, headers=one).status == 404, path
        named = {"model": allowed}
        assert ask(guarded, "POST", "/api/show", named, one).status == 404
        unload = {**named, "keep_alive": 0}
        assert ask(guarded, "POST", "/api/generate", unload, one).status == 404
    mine = key(guarded, "for-endless-itself", "--model", "test/endless")
    assert ask(guarded, "GET", "/models/test/endless", headers=mine).status == 200


def test_a_page_may_ask_whether_it_can_send_a_key_and_read_that_it_should(guarded: Daemon) -> None:
    page = {"Origin": "http://localhost:3000"}
    asked = ask(guarded, "OPTIONS", "/v1/chat/completions", headers=page)
    assert asked.status == 204
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    refused = ask(guarded, "POST", "/v1/chat/completions", hello("/v1/chat/completions"), page)
    assert refused.status == 401
    assert refused.headers["Access-Control-Allow-Origin"] == page["Origin"]


def test_keys_come_and_go_without_a_restart(guarded: Daemon) -> None:
    new = key(guarded, "guest")
    assert ask(guarded, "GET", "/v1/models", headers=new).status == 200
    listed = guarded.cli("key", "list")
    assert "guest" in listed.stdout
    assert new["Authorization"].split()[1] not in listed.stdout
    assert guarded.cli("key", "rm", "guest").stdout == "Removed: guest\n"
    assert ask(guarded, "GET", "/v1/models", headers=new).status == 401
    assert guarded.cli("key", "rm", "guest").returncode == 1
    assert stat.S_IMODE((guarded.home / "keys.json").stat().st_mode) == 0o600


def test_a_key_may_have_only_so_many_requests_at_a_time(guarded: Daemon) -> None:
    slow = key(guarded, "slow", "--model", "test/endless", "--concurrency", "1")
    chat = "/v1/chat/completions"
    endless = hello(chat, "test/endless", stream=True, max_tokens=3000)
    for path, code in ((chat, "key_busy"), ("/v1/messages", "rate_limit_error")):
        connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=30)
        headers = {**slow, "Content-Type": "application/json"}
        connection.request("POST", chat, json.dumps(endless), headers)
        assert connection.getresponse().read(10)
        refused = ask(guarded, "POST", path, hello(path, "test/endless"), slow)
        assert refused.status == 429
        assert refused.headers["Retry-After"] == "1"
        assert code in {refused.json["error"].get("code"), refused.json["error"]["type"]}
        assert ask(guarded, "GET", "/v1/models", headers=slow).status == 200
        connection.close()
        assert _until_admitted(guarded, hello(chat, "test/endless"), slow).status == 200


def _until_admitted(daemon: Daemon, body: object, headers: dict[str, str]) -> Reply:
    pause = threading.Event()
    while (answer := ask(daemon, "POST", "/v1/chat/completions", body, headers)).status == 429:
        pause.wait(0.1)
    return answer


def test_row_24_a_response_is_remembered_for_whom_it_was_made(
    guarded: Daemon, admin: dict[str, str], limited: dict[str, str]
) -> None:
    other = key(guarded, "other", "--model", "pilot")
    made = ask(guarded, "POST", "/v1/responses", hello("/v1/responses"), limited).json["id"]
    for headers, status in ((limited, 200), (other, 404), (admin, 404)):
        assert ask(guarded, "GET", f"/v1/responses/{made}", headers=headers).status == status
        follow = hello("/v1/responses", previous_response_id=made)
        followed = ask(guarded, "POST", "/v1/responses", follow, headers)
        assert followed.status == (200 if status == 200 else 400)
    assert ask(guarded, "DELETE", f"/v1/responses/{made}", headers=other).status == 404
    assert ask(guarded, "DELETE", f"/v1/responses/{made}", headers=limited).status == 200


def test_the_command_line_sends_a_key(guarded: Daemon, admin: dict[str, str]) -> None:
    secret = admin["Authorization"].split()[1]
    by_port = {**guarded.env, "STOKER_HOST": guarded.url}
    without = Daemon(guarded.home, guarded.port, guarded.process, by_port)
    refused = without.cli("list")
    assert refused.returncode == 1
    assert "error: " in refused.stderr
    assert "STOKER_API_KEY" in refused.stderr
    with_key = Daemon(
        guarded.home, guarded.port, guarded.process, {**by_port, "STOKER_API_KEY": secret}
    )
    assert "pilot" in with_key.cli("list").stdout
    assert with_key.cli("run", "pilot", "hi").returncode == 0


def test_keys_are_made_where_they_are_for(guarded: Daemon) -> None:
    elsewhere = {**guarded.env, "STOKER_HOST": "http://models.example:12434"}
    far = Daemon(guarded.home, guarded.port, guarded.process, elsewhere)
    refused = far.cli("key", "list")
    assert refused.returncode == 1
    assert "made on the machine that they are for" in refused.stderr


def test_on_loopback_a_key_is_needed_as_soon_as_there_is_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        anything = {"Authorization": "Bearer not-needed"}
        assert ask(daemon, "GET", "/models", headers=anything).status == 200
        headers = key(daemon, "first")
        assert ask(daemon, "GET", "/models", headers=anything).status == 401
        assert ask(daemon, "GET", "/models", headers=headers).status == 200
        assert daemon.cli("key", "rm", "first").returncode == 0
        assert ask(daemon, "GET", "/models", headers=anything).status == 200


def test_keys_can_be_asked_for_or_switched_off_in_words(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_daemon(tmp_path_factory.mktemp("home"), STOKER_REQUIRE_KEYS="1") as daemon:
        assert ask(daemon, "GET", "/models").status == 401
        assert "no API key exists yet" in (daemon.home / "daemon.out").read_text()
    home = tmp_path_factory.mktemp("home")
    with running_daemon(home, "--host", "0.0.0.0", "--without-keys") as daemon:
        assert ask(daemon, "GET", "/models").status == 200
        assert "whoever can connect" in (daemon.home / "daemon.out").read_text()
