"""The provider of docker compose, run as compose runs it: a process, its pipes, its exit code."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stoker import Client, __version__
from stoker.wire.manage import Configuration
from tests.components.daemon import Daemon, environment, running_daemon
from tests.components.oci_registry import oci_registry

PLUGIN = str(Path(sys.executable).with_name("docker-model"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon without any model."""
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        yield daemon


def plugin(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PLUGIN, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def up(env: dict[str, str], *flags: str) -> tuple[int, list[dict[str, str]]]:
    """What compose reads of `up`: nothing but messages of the kinds it knows."""
    done = plugin(env, "compose", "--project-name=demo", "up", *flags, "llm")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert {message["type"] for message in messages} <= {"info", "setenv", "error", "debug"}
    return done.returncode, messages


def said(messages: list[dict[str, str]], kind: str) -> list[str]:
    return [message["message"] for message in messages if message["type"] == kind]


def test_metadata_names_the_options(empty: Daemon) -> None:
    done = plugin(dict(empty.env), "compose", "metadata")
    metadata: dict[str, Any] = json.loads(done.stdout)
    options = {option["name"]: option for option in metadata["up"]["parameters"]}
    assert set(options) == {
        "model", "context-size", "runtime-flags", "backend", "speculative-draft-model",
        "speculative-num-tokens", "speculative-min-acceptance-rate",
    }  # fmt: skip
    assert [name for name, option in options.items() if option["required"]] == ["model"]
    assert metadata["down"]["parameters"] == []


def test_up_pulls_configures_and_tells_where(empty: Daemon) -> None:
    env = dict(empty.env)
    code, messages = up(
        env, "--model=pilot", "--context-size=512", "--runtime-flags=--temp 0.1 --top-k 3"
    )
    assert code == 0, messages
    info = said(messages, "info")
    assert info[0] == "Initializing model runner..."
    assert info[1] == "Pulling pilot"
    assert info.index("Setting context size to 512") < info.index(
        "Successfully configured backend for model pilot"
    )
    assert "Setting raw runtime flags to --temp 0.1 --top-k 3" in info
    assert said(messages, "setenv") == ["MODEL=pilot", f"URL={empty.url}/engines/v1/"]
    # It listens on the loopback only: the container's own loopback is another one.
    assert info[-1].startswith(f"containers cannot reach {empty.url}, except with `network_mode")
    (configured,) = Client(empty.url).configurations("pilot")
    assert configured.config == Configuration(
        context_size=512, runtime_flags=["--temp", "0.1", "--top-k", "3"]
    )


def test_a_pull_tells_how_far_it_is(empty: Daemon, tmp_path: Path) -> None:
    with oci_registry(tmp_path) as registry:
        name = f"localhost:{registry.port}/me/pilot:q8"
        for argv in (["pull", "pilot"], ["tag", "pilot", name], ["push", name]):
            assert empty.cli(*argv).returncode == 0
        assert empty.cli("rm", "--force", "pilot").returncode == 0
        code, messages = up(dict(empty.env), f"--model={name}")
    assert code == 0
    pulling = [text for text in said(messages, "info") if text.startswith(f"Pulling {name}")]
    assert pulling[-1] == f"Pulling {name}: 100 %"


def test_up_without_settings_keeps_what_was_configured(empty: Daemon) -> None:
    empty.cli("pull", "pilot")
    empty.cli("configure", "pilot", "--context-size", "256")
    code, messages = up(dict(empty.env), "--model=pilot")
    assert code == 0
    assert not any("configured" in text for text in said(messages, "info"))
    (configured,) = Client(empty.url).configurations("pilot")
    assert configured.config == Configuration(context_size=256)


def test_two_models(empty: Daemon) -> None:
    empty.cli("pull", "pilot")
    empty.cli("tag", "pilot", "me/second")
    code, messages = up(dict(empty.env), "--model=pilot", "--model=me/second")
    assert code == 0
    assert said(messages, "setenv")[0] == "MODEL=pilot,me/second"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "the option `model` is missing (like: model: smollm2)"),
        (["--model=a b"], "invalid model reference"),
        (["--model=pilot", "--context-size=much"], "context-size needs a whole number, not 'much'"),
        (["--model=pilot", "--runtime-flags='"], 'runtime-flags="\'": No closing quotation'),
        (["--model=pilot", "--backend=none", "--context-size=9"], "backend not found"),
        (["--model=pilot", "--runtime-flags=--log-file /x"], "--log-file"),
    ],
)
def test_what_is_wrong_is_told_to_compose(empty: Daemon, flags: list[str], words: str) -> None:
    code, messages = up(dict(empty.env), *flags)
    assert code == 1
    assert words in said(messages, "error")[0]
    assert messages[-1]["type"] == "error"


def test_nobody_there(tmp_path: Path) -> None:
    code, messages = up(environment(tmp_path, STOKER_HOST="http://127.0.0.1:9"), "--model=pilot")
    assert code == 1
    assert "nothing answers at http://127.0.0.1:9" in said(messages, "error")[0]


def test_down_and_others(empty: Daemon) -> None:
    done = plugin(dict(empty.env), "compose", "--project-name=demo", "down", "--model=x", "llm")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert plugin(dict(empty.env), "compose", "sideways").returncode == 2


def test_models_of_a_compose_file(empty: Daemon) -> None:
    """The top level's `models:` are not given to a provider: compose runs these, and reads both
    streams of the first and the last as one JSON value."""
    env = dict(empty.env)
    plugin(env, "pull", "pilot")
    listed = plugin(env, "ls", "--json")
    assert "docker.io/ai/pilot:latest" in json.loads(listed.stdout + listed.stderr)[0]["tags"]
    assert plugin(env, "pull", "ai/pilot").returncode == 0
    done = plugin(env, "configure", "--context-size", "128", "ai/pilot", "--", "--temp", "0.2")
    assert (done.returncode, done.stdout) == (0, "")
    status = plugin(env, "status", "--json")
    assert json.loads(status.stdout + status.stderr)["endpoint"] == f"{empty.url}/v1/"
    # compose keeps `runtime_flags` from plugins that call themselves older than 1.0.6.
    version = json.loads(plugin(env, "docker-cli-plugin-metadata").stdout)["Version"]
    assert version == f"v1.2.0-stoker.{__version__}"


def test_listening_for_containers_too(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, "--host", "0.0.0.0", "--without-keys", MODEL_RUNNER_NO_AUTO_INSTALL="1"
    ) as daemon:
        env = {name: value for name, value in daemon.env.items() if name != "STOKER_HOST"}
        status = json.loads(plugin(env, "status", "--json").stdout)
        assert status["running"]
        assert status["endpointHost"] == f"{daemon.url}/v1/"
        assert status["endpoint"].startswith("http://172.")
        _, messages = up(env, "--model=pilot")
        assert said(messages, "setenv")[1] == f"URL={status['endpoint'][:-3]}engines/v1/"
        assert not any("cannot reach" in text for text in said(messages, "info"))
