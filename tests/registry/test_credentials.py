"""Security row 10: whose credentials go where, and that nobody else sees them."""

import base64
import json
import logging
import os
import stat
from pathlib import Path

import pytest

from stoker.registry import credentials as module
from stoker.registry.credentials import ANONYMOUS, Credential, DockerCredentials, Secret
from stoker.registry.tokens import token_request

HUB = "registry-1.docker.io"
AUTH = base64.b64encode(b"ada:s3cret:with colon").decode()


def found(credential: Credential) -> tuple[str, str, str]:
    password, token = credential.password, credential.identity_token
    return (
        credential.username,
        password.reveal() if password else "",
        token.reveal() if token else "",
    )


def configured(directory: Path, config: object, **env: str) -> DockerCredentials:
    text = config if isinstance(config, str) else json.dumps(config)
    (directory / "config.json").write_text(text)
    return DockerCredentials({"DOCKER_CONFIG": str(directory), **env})


def install_helper(directory: Path, name: str, script: str) -> str:
    """A credential helper; it notes its arguments and input beside itself. Returns PATH."""
    program = directory / f"docker-credential-{name}"
    program.write_text(
        f'#!/bin/sh\nread server\necho "$* $server" >> "{directory}/{name}.log"\n{script}\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{directory}{os.pathsep}/usr/bin{os.pathsep}/bin"


@pytest.mark.parametrize(
    ("auths", "host", "wanted"),
    [
        ({"r.example": {"auth": AUTH}}, "r.example", ("ada", "s3cret:with colon", "")),
        ({"https://r.example/v1/": {"auth": AUTH}}, "r.example", ("ada", "s3cret:with colon", "")),
        ({"r.example:5000": {"username": "a", "password": "b"}}, "r.example:5000", ("a", "b", "")),
        ({"r.example": {"identitytoken": "tok"}}, "r.example", ("", "", "tok")),
        ({"https://index.docker.io/v1/": {"auth": AUTH}}, HUB, ("ada", "s3cret:with colon", "")),
        ({"docker.io": {"auth": AUTH}}, HUB, ("ada", "s3cret:with colon", "")),
        ({"r.example": {"auth": AUTH}}, "r.example:5000", ("", "", "")),
        ({"r.example": {"auth": AUTH}}, "example", ("", "", "")),
        ({"r.example": {"auth": AUTH}}, "evil-r.example", ("", "", "")),
        ({"r.example": {"auth": "%%%"}}, "r.example", ("", "", "")),
        ({"r.example": {}}, "r.example", ("", "", "")),
    ],
)
async def test_auths(
    tmp_path: Path, auths: object, host: str, wanted: tuple[str, str, str]
) -> None:
    assert found(await configured(tmp_path, {"auths": auths}).find(host)) == wanted


async def test_row_10_environment_credentials_are_docker_hubs(tmp_path: Path) -> None:
    env = {"DOCKER_USERNAME": "ada", "DOCKER_PASSWORD": "word"}
    credentials = configured(tmp_path, {}, **env)
    assert found(await credentials.find(HUB)) == ("ada", "word", "")
    for host in ("ghcr.io", "evil.example", "docker.io.evil.example", "localhost:5000"):
        assert await credentials.find(host) is ANONYMOUS


async def test_helpers_come_before_auths(tmp_path: Path) -> None:
    answer = '{"ServerURL":"x","Username":"bob","Secret":"fromhelper"}'
    path = install_helper(tmp_path, "mine", f"echo '{answer}'")
    config = {
        "credHelpers": {"r.example": "mine"},
        "auths": {"r.example": {"auth": AUTH}, "other.example": {"auth": AUTH}},
    }
    credentials = configured(tmp_path, config, PATH=path)
    assert found(await credentials.find("r.example")) == ("bob", "fromhelper", "")
    assert found(await credentials.find("other.example")) == ("ada", "s3cret:with colon", "")
    # The server came over standard input; argv has the verb alone.
    assert (tmp_path / "mine.log").read_text() == "get r.example\n"


async def test_the_store_is_asked_under_dockers_own_name_for_the_hub(tmp_path: Path) -> None:
    answer = '{"Username":"<token>","Secret":"identity"}'
    path = install_helper(tmp_path, "store", f"echo '{answer}'")
    credentials = configured(tmp_path, {"credsStore": "store"}, PATH=path)
    assert found(await credentials.find(HUB)) == ("", "", "identity")
    assert (tmp_path / "store.log").read_text() == "get https://index.docker.io/v1/\n"


@pytest.mark.parametrize(
    "script",
    ["exit 1", "echo nonsense", "echo '{}'", "echo '[]'", "head -c 100000 /dev/zero", "true"],
)
async def test_a_helper_that_knows_nothing_falls_through(tmp_path: Path, script: str) -> None:
    path = install_helper(tmp_path, "store", script)
    config = {"credsStore": "store", "auths": {"r.example": {"auth": AUTH}}}
    credentials = configured(tmp_path, config, PATH=path)
    assert found(await credentials.find("r.example"))[0] == "ada"


async def test_a_helper_that_is_missing_or_misnamed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("desktop.exe", "../../bin/sh", "a b", "-rf"):
        credentials = configured(tmp_path, {"credsStore": name}, PATH=str(tmp_path))
        assert await credentials.find("r.example") is ANONYMOUS
    assert "credential helper" in caplog.text


async def test_a_helper_that_hangs_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HELPER_SECONDS", 0.2)
    path = install_helper(tmp_path, "store", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    credentials = configured(tmp_path, {"credsStore": "store"}, PATH=path)
    assert await credentials.find("r.example") is ANONYMOUS
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"auths":7}', "\x00", "[" * 100_000])
async def test_row_10_a_broken_config_is_no_reason_to_fail_or_to_quote_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    credentials = configured(tmp_path, text + '"hunter2')
    assert await credentials.find("r.example") is ANONYMOUS
    assert "docker config unreadable" in caplog.text
    assert "hunter2" not in caplog.text


async def test_no_config_at_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert await DockerCredentials({"HOME": str(tmp_path)}).find(HUB) is ANONYMOUS
    assert caplog.text == ""


def test_row_10_secrets_do_not_show(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("hunter2")
    credential = Credential("ada", secret, Secret("tok-en"))
    from yarl import URL

    request = token_request(
        URL("https://r.example/t"), service="s", scopes=frozenset(), credential=credential
    )
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").warning("%s %r %s %r", secret, secret, credential, request)
    shown = f"{caplog.text} {secret} {credential!r} {request!r}"
    assert "hunter2" not in shown
    assert "tok-en" not in shown
    assert base64.b64encode(b"ada:hunter2").decode() not in shown
