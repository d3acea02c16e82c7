"""Row 10: what the daemon knows, no engine and no log does."""

from pathlib import Path

from tests.attacks.conftest import SECRET
from tests.components.daemon import Daemon
from tests.components.http import ask

CHAT = {"model": "pilot", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}


def test_no_secret_in_an_engines_environment_or_arguments(daemon: Daemon) -> None:
    assert SECRET.encode() in Path(f"/proc/{daemon.process.pid}/environ").read_bytes()
    assert ask(daemon, "POST", "/v1/chat/completions", CHAT).status == 200
    (engine,) = daemon.engine_pids()
    seen = {name: Path(f"/proc/{engine}/{name}").read_bytes() for name in ("environ", "cmdline")}
    assert b"--model" in seen["cmdline"]
    assert SECRET.encode() not in seen["environ"] + seen["cmdline"]
    variables = {line.partition(b"=")[0] for line in seen["environ"].split(b"\0")}
    assert not [name for name in variables if name.startswith(b"LLAMA_ARG_")]


def test_no_secret_in_logs_answers_or_files(daemon: Daemon) -> None:
    wrong = f"http://user:{SECRET}@127.0.0.1:1/ai/model"
    for name in (wrong, f"127.0.0.1:1/ai/{SECRET}"):
        daemon.cli("pull", name)
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"key={SECRET}"}
    answers = [
        ask(daemon, "GET", path, headers=headers)
        for path in ("/models", "/logs", "/metrics", "/engines/ps", "/engines/requests", "/no")
    ]
    assert not [answer for answer in answers if b"Bearer" in answer.body]
    # The name of a model is no secret: the second one may be shown, its server never answered.
    texts = [path.read_text(errors="replace") for path in (daemon.home / "logs").iterdir()]
    for text in (*texts, *(answer.body.decode() for answer in answers)):
        assert f":{SECRET}@" not in text
        assert f"Bearer {SECRET}" not in text
        assert f"key={SECRET}" not in text
