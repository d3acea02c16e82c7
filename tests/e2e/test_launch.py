"""`stoker launch`: in an app's place stands a small program that asks as it was told to."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.components.daemon import Daemon, run_cli, running_daemon

ASK = """\
#!{python}
import json, os, sys, urllib.request
env = os.environ
if "ANTHROPIC_BASE_URL" in env:
    url, key = env["ANTHROPIC_BASE_URL"] + "/v1/messages", env["ANTHROPIC_AUTH_TOKEN"]
    model = env.get("ANTHROPIC_MODEL", "")
elif "OPENCODE_CONFIG_CONTENT" in env:
    config = json.loads(env["OPENCODE_CONFIG_CONTENT"])
    options = config["provider"]["stoker"]["options"]
    url, key = options["baseURL"] + "/chat/completions", options["apiKey"]
    model = config["model"].removeprefix("stoker/")
else:
    url, key = env["OPENAI_BASE_URL"] + "/chat/completions", env["OPENAI_API_KEY"]
    model = sys.argv[sys.argv.index("-m") + 1] if "-m" in sys.argv else "pilot"
body = {{"model": model, "max_tokens": 4, "messages": [{{"role": "user", "content": "hi"}}]}}
headers = {{"Authorization": f"Bearer {{key}}", "Content-Type": "application/json"}}
request = urllib.request.Request(url, json.dumps(body).encode(), headers)
with urllib.request.urlopen(request) as answer:
    print(json.dumps([answer.status, model, sys.argv[1:]]))
sys.exit(7)
"""
SHOW = """\
#!{python}
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ)]))
"""


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)


@pytest.fixture(scope="module")
def env(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With the apps on the PATH, and nothing else there."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("claude", "codex", "opencode"):
        program(folder, name, ASK)
    program(folder, "docker", SHOW)
    return {**daemon.env, "PATH": str(folder)}


@pytest.mark.parametrize("app", ["claude", "codex", "opencode"])
def test_an_app_is_told_whom_to_ask(env: Mapping[str, str], app: str) -> None:
    done = run_cli(env, "launch", app, "--model", "pilot", "--", "--its-own", "flag")
    assert done.returncode == 7, done.stderr  # the app's own
    status, model, arguments = json.loads(done.stdout)
    assert (status, model) == (200, "pilot")
    assert arguments[-2:] == ["--its-own", "flag"]


def test_its_settings_for_a_shell(daemon: Daemon, env: Mapping[str, str]) -> None:
    done = run_cli(env, "launch", "opencode", "--model", "pilot", "--config")
    (line,) = done.stdout.splitlines()
    export, assignment = shlex.split(line)
    config = json.loads(assignment.removeprefix("OPENCODE_CONFIG_CONTENT="))
    assert export == "export"
    assert config["provider"]["stoker"]["options"]["baseURL"] == f"{daemon.url}/engines/v1"
    assert "pilot" in config["provider"]["stoker"]["models"]
    done = run_cli(env, "launch", "codex", "--model", "pilot", "--config")
    assert done.stdout.splitlines()[-1].startswith("# and started as: codex -c ")


def test_a_real_key_stays_in_its_variable(env: Mapping[str, str]) -> None:
    secret = {**env, "STOKER_API_KEY": "stk_secret"}
    for app in ("claude", "opencode", "openwebui"):
        done = run_cli(secret, "launch", app, "--config")
        assert "stk_secret" not in done.stdout
        script = f'{done.stdout}\n{sys.executable} -c "import os; print(dict(os.environ))"'
        seen = subprocess.run(
            ["/bin/sh", "-c", script], env=secret, capture_output=True, text=True, check=True
        )
        assert seen.stdout.count("stk_secret") == 2
    assert "stk_secret" not in run_cli(secret, "launch", "codex", "--dry-run").stdout


def test_nothing_runs_dry(daemon: Daemon, env: Mapping[str, str]) -> None:
    done = run_cli(env, "launch", "claude", "--model", "not/here", "--dry-run", "--", "-p", "a b")
    assert done.returncode == 0
    assert done.stdout == (
        f"Would run: ANTHROPIC_BASE_URL={daemon.url}/anthropic ANTHROPIC_AUTH_TOKEN=not-needed"
        " CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 ANTHROPIC_MODEL=not/here"
        " ANTHROPIC_DEFAULT_HAIKU_MODEL=not/here claude -p 'a b'\n"
    )


def test_which_there_are(env: Mapping[str, str]) -> None:
    lines = run_cli(env, "launch").stdout.splitlines()
    states = {line.split()[0]: re.split(r" {2,}", line.strip())[-1] for line in lines[1:]}
    assert states == {
        "claude": "installed",
        "codex": "installed",
        "opencode": "installed",
        "aider": "aider is not installed",
        "openwebui": "docker is installed",
        "anythingllm": "docker is installed",
    }


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["notepad"], 2, "unknown app: notepad"),
        (["claude", "--port", "1"], 2, "--port, --image and --detach are for containers"),
        (["aider", "--model", "pilot"], 1, "aider not found; please install it and re-run"),
        (["openwebui"], 1, "containers cannot reach http://127.0.0.1:"),
        (["claude", "--model", "a b"], 1, "invalid model reference"),
    ],
)
def test_mistakes(env: Mapping[str, str], argv: list[str], code: int, words: str) -> None:
    done = run_cli(env, "launch", *argv)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_without_a_model_it_is_said(env: Mapping[str, str]) -> None:
    done = run_cli(env, "launch", "codex")
    assert "note: without --model, codex asks for models that may not be here" in done.stderr


def test_a_container(env: Mapping[str, str], tmp_path: Path) -> None:
    flags = ("--host", "0.0.0.0", "--without-keys")
    with running_daemon(tmp_path, *flags) as daemon:
        own = {name: value for name, value in daemon.env.items() if name != "STOKER_HOST"}
        argv = ("launch", "openwebui", "--port", "3456", "--image", "web:1", "-d")
        done = run_cli({**own, "PATH": env["PATH"]}, *argv)
    assert "open http://127.0.0.1:3456 when it is up" in done.stderr
    command, variables = json.loads(done.stdout)
    assert command[:4] == ["run", "--rm", "-d", "-p"]
    assert command[4:7] == ["127.0.0.1:3456:8080", "-v", "openwebui_data:/app/backend/data"]
    assert command[-1] == "web:1"
    assert variables["OPENAI_API_BASE_URL"].startswith("http://172.")
    assert variables["OPENAI_API_BASE_URL"].endswith(f":{daemon.port}/engines/v1")
    named = {command[at + 1] for at, word in enumerate(command) if word == "-e"}
    assert {"OPENAI_API_BASE_URL", "OPENAI_API_KEY", "WEBUI_AUTH"} <= named
    assert os.environ.get("OPENAI_API_BASE_URL") is None
