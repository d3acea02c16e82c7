"""Health, metrics, the request log: what an operator looks at."""

import http.client
import json
import os
import signal
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask
from tests.components.processes import freeze
from tests.components.tiny_models import chat_model

CHAT = {"model": "pilot", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that was asked to record, with nothing loaded yet."""
    home = tmp_path_factory.mktemp("recording")
    with running_daemon(home, STOKER_RECORD_REQUESTS="1") as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        yield daemon


def samples(daemon: Daemon) -> dict[tuple[str, str], float]:
    """Values by sample name and model."""
    answer = ask(daemon, "GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, sample.labels.get("model", "")): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_metrics_count_ours_and_merge_the_engines(recording: Daemon) -> None:
    assert ask(recording, "GET", "/metrics").body.startswith(b"# No active runners\n")
    for _ in range(2):
        assert ask(recording, "POST", "/v1/chat/completions", CHAT).status == 200
    assert ask(recording, "POST", "/v1/chat/completions", {"model": "no-such"}).status == 404
    found = samples(recording)
    assert found["stoker_requests_total", "pilot"] == 2
    assert found["stoker_loads_total", "pilot"] == 1
    assert found["stoker_first_byte_seconds_count", "pilot"] == 2
    assert found["stoker_refused_total", ""] == 1
    assert found["llamacpp:tokens_predicted_total", "pilot"] == 8
    recording.cli("unload", "--all")
    assert samples(recording)["stoker_stops_total", "pilot"] == 1


def test_health_is_cheap_and_deep_health_asks_the_engines(recording: Daemon) -> None:
    assert ask(recording, "GET", "/health").json["status"] == "ok"
    ask(recording, "POST", "/v1/chat/completions", CHAT)
    deep = ask(recording, "GET", "/health?deep=1")
    assert deep.status == 200
    assert deep.json["models"] == 1
    assert deep.json["runners"] == {"pilot (llama.cpp, completion)": "ready"}


def test_deep_health_goes_the_way_of_a_request(recording: Daemon) -> None:
    recording.cli("unload", "--all")
    assert ask(recording, "GET", "/health?deep=1").json["runners"] == {}
    loaded = ask(recording, "GET", "/health?deep=1&model=pilot")
    assert loaded.status == 200
    assert loaded.json["runners"] == {"pilot (llama.cpp, completion)": "ready"}
    missing = ask(recording, "GET", "/health?deep=1&model=nonesuch")
    assert missing.status == 503
    assert missing.json["problems"] == ["nonesuch: model not found (stoker pull nonesuch)"]


def test_an_engine_that_hangs_is_noticed(recording: Daemon) -> None:
    ask(recording, "POST", "/v1/chat/completions", CHAT)
    (engine,) = recording.engine_pids()
    freeze(engine)
    try:
        deep = ask(recording, "GET", "/health?deep=1")
        assert deep.status == 503
        assert "does not answer" in deep.json["problems"][0]
        assert ask(recording, "GET", "/health").status == 200
    finally:
        os.kill(engine, signal.SIGCONT)


def test_requests_are_recorded_when_the_operator_wants_it(recording: Daemon) -> None:
    for _ in range(12):
        ask(recording, "POST", "/v1/chat/completions", CHAT)
    ask(recording, "POST", "/v1/chat/completions", {**CHAT, "messages": []})
    (kept,) = ask(recording, "GET", "/engines/requests?model=pilot").json
    assert kept["count"] == len(kept["records"]) == 10
    assert kept["model"].startswith("sha256:")
    good, bad = kept["records"][-2:]
    assert (good["model"], good["status_code"]) == ("pilot", 200)
    assert json.loads(good["request"]) == CHAT
    assert json.loads(good["response"])["choices"]
    assert "error" not in good
    assert bad["status_code"] in {200, 400}


def test_requests_can_be_followed(recording: Daemon) -> None:
    follower = http.client.HTTPConnection("127.0.0.1", recording.port, timeout=30)
    follower.request("GET", "/engines/requests", headers={"Accept": "text/event-stream"})
    stream = follower.getresponse()
    assert stream.readline() == b"event: connected\n"
    ask(recording, "POST", "/v1/chat/completions", CHAT)
    lines = [stream.readline() for _ in range(4)]
    assert lines[2] == b"event: new_request\n"
    (new,) = json.loads(lines[3].removeprefix(b"data: "))
    assert new["model"] == "pilot"
    follower.close()


def test_nothing_is_recorded_unless_asked_for(daemon: Daemon) -> None:
    ask(daemon, "POST", "/v1/chat/completions", CHAT)
    assert ask(daemon, "GET", "/engines/requests").json == []


def test_a_follower_of_one_model_sees_no_other(recording: Daemon) -> None:
    assert recording.cli("tag", "pilot", "me/same").returncode == 0
    put_model(recording.home / "models", chat_model(recording.home / "x.gguf"), "test/x")
    follower = http.client.HTTPConnection("127.0.0.1", recording.port, timeout=30)
    headers = {"Accept": "text/event-stream"}
    follower.request("GET", "/engines/requests?model=pilot", headers=headers)
    stream = follower.getresponse()
    assert stream.readline() == b"event: connected\n"
    for model in ("test/x", "me/same"):
        assert (
            ask(recording, "POST", "/v1/chat/completions", {**CHAT, "model": model}).status == 200
        )
    lines = [stream.readline() for _ in range(4)]
    (new,) = json.loads(lines[3].removeprefix(b"data: "))
    assert new["model"] == "me/same"  # another name of the same model
    follower.close()


def test_every_setting_says_where_it_comes_from(recording: Daemon) -> None:
    settings = ask(recording, "GET", "/config").json
    assert settings["record_requests"] == {"value": True, "origin": "STOKER_RECORD_REQUESTS"}
    assert settings["port"] == {"value": recording.port, "origin": "--port"}
    assert settings["log_level"] == {"value": "info", "origin": "default"}


def test_records_are_for_reading(recording: Daemon) -> None:
    """A streamed answer is one object, and pictures are cut."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 500}}
    text = {"type": "text", "text": "what is this?"}
    seeing = {**CHAT, "messages": [{"role": "user", "content": [text, picture]}]}
    ask(recording, "POST", "/v1/chat/completions", {**CHAT, "stream": True})
    ask(recording, "POST", "/v1/chat/completions", seeing)
    (kept,) = ask(recording, "GET", "/engines/requests?model=pilot").json
    streamed, seen = kept["records"][-2:]
    answer = json.loads(streamed["response"])
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"]
    (url,) = (
        part["image_url"]["url"]
        for part in json.loads(seen["request"])["messages"][0]["content"][1:]
    )
    assert url.endswith("A" * 100 + "...[truncated 400 chars]")
