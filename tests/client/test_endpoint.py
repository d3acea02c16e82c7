"""Which daemon is meant."""

import socket
from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting, StorageError
from stoker.base.paths import paths_of
from stoker.client.endpoint import Endpoint, endpoint_of, parse_endpoint


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:12434", "http://localhost:12434"),
        ("http://localhost:12434/", "http://localhost:12434"),
        ("localhost:9", "http://localhost:9"),
        ("models.example.com", "http://models.example.com:80"),
        ("https://models.example.com", "https://models.example.com:443"),
        ("http://host:1/exp/vDD4.40", "http://host:1/exp/vDD4.40"),
        ("http://[::1]:12434", "http://[::1]:12434"),
        ("unix:///run/stoker.sock", "unix:///run/stoker.sock"),
    ],
)
def test_spellings(text: str, url: str) -> None:
    assert str(parse_endpoint(text, origin="test")) == url


def test_a_line_may_have_an_end() -> None:
    assert str(parse_endpoint(" http://x:1\r\n", origin="test")) == "http://x:1"


@pytest.mark.parametrize(
    "text",
    [
        "ftp://x", "http://", "http://x:99999", "http://x:abc", "unix://relative", "http://[x",
        "http://x y:1", "http://x/a b", "http://x\n.example:1", "http://a..b:1",
        f"http://{70 * 'a'}.b:1", "unix://~nobody-of-this-name/x.sock",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="test="):
        parse_endpoint(text, origin="test")


def test_our_variable_comes_before_dockers(tmp_path: Path) -> None:
    env = {"STOKER_HOST": "a:1", "MODEL_RUNNER_HOST": "b:2", "HOME": str(tmp_path)}
    assert endpoint_of(env) == Endpoint("http", "a", 1, origin="STOKER_HOST")
    del env["STOKER_HOST"]
    assert endpoint_of(env) == Endpoint("http", "b", 2, origin="MODEL_RUNNER_HOST")
    assert not endpoint_of(env).may_start


def test_tls_by_dockers_variable() -> None:
    env = {"MODEL_RUNNER_HOST": "b:2", "MODEL_RUNNER_TLS": "true"}
    assert str(endpoint_of(env)) == "https://b:2"


def test_without_variables_the_socket_if_there_is_one(short_path: Path) -> None:
    env = {"HOME": str(short_path)}
    assert str(endpoint_of(env)) == "http://127.0.0.1:12434"
    path = short_path / ".local/share/stoker/run/stoker.sock"
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert str(endpoint_of(env)) == f"unix://{path}"
    assert endpoint_of(env).may_start


def test_a_home_of_its_own_never_means_the_usual_port(short_path: Path) -> None:
    endpoint = endpoint_of({"STOKER_HOME": str(short_path)})
    assert str(endpoint) == f"unix://{short_path}/run/stoker.sock"
    assert not endpoint.answers()


def test_a_socket_that_somebody_else_may_have_put_there_is_told_nothing(short_path: Path) -> None:
    """Sockets of a home that is deep lie in /tmp, below a name that can be guessed."""
    short_path.chmod(0o1777)
    env = {"STOKER_HOME": f"/{'x' * 200}", "TMPDIR": str(short_path)}
    run = paths_of(env).run
    assert run.parent == short_path
    run.mkdir(mode=0o700)
    assert str(endpoint_of(env)) == f"unix://{run}/stoker.sock"
    run.chmod(0o777)
    with pytest.raises(StorageError, match="may be somebody else's"):
        endpoint_of(env)
