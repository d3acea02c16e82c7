"""A daemon behind TLS, with Docker Model Runner's variables."""

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker import AsyncClient, Client
from stoker.base.errors import InvalidSetting, Unreachable
from stoker.client.endpoint import endpoint_of
from tests.components.stub_daemon import stub_daemon


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A fresh certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    openssl = shutil.which("openssl")
    assert openssl, "the openssl program is needed here; Debian: apt-get install openssl"
    key, cert, both = (tmp_path / name for name in ("key.pem", "cert.pem", "both.pem"))
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=stoker-test", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    return both


@pytest.fixture
def environ(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables that lead to a daemon with that certificate."""
    for name in ("MODEL_RUNNER_TLS_CA_CERT", "MODEL_RUNNER_TLS_SKIP_VERIFY", "STOKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with stub_daemon(tls=context) as stub:
        host = stub.url.removeprefix("https://")
        yield {"MODEL_RUNNER_HOST": host, "MODEL_RUNNER_TLS": "true"}


def test_a_stranger_is_not_trusted(environ: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match=r"is not trusted: self.signed certificate"):
        Client(endpoint_of(environ)).version()


def test_the_wrong_name_and_the_wrong_scheme(
    environ: dict[str, str], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_RUNNER_TLS_CA_CERT", str(certificate))
    port = environ["MODEL_RUNNER_HOST"].rpartition(":")[2]
    with stub_daemon() as plain:
        for url, hint in (
            (f"https://localhost:{port}", "a name or an address that is in it"),
            (f"http://127.0.0.1:{port}", "its address begins with https://"),
            (plain.url.replace("http:", "https:"), "its address begins with http://"),
        ):
            with pytest.raises(Unreachable) as caught:
                Client(url).version()
            assert caught.value.hint
            assert hint in caught.value.hint


def test_a_certificate_of_ones_own(
    environ: dict[str, str], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_RUNNER_TLS_CA_CERT", str(certificate))
    assert Client(endpoint_of(environ)).version() == "9.9"


def test_not_looking(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_RUNNER_TLS_SKIP_VERIFY", "true")
    assert Client(endpoint_of(environ)).version() == "9.9"


def test_a_certificate_that_is_not_there(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_RUNNER_TLS_CA_CERT", "/nowhere/ca.pem")
    with pytest.raises(InvalidSetting, match="No such file"):
        Client(endpoint_of(environ)).version()


def test_a_context_knows_whom_to_trust(
    environ: dict[str, str], certificate: Path, tmp_path: Path
) -> None:
    host = environ["MODEL_RUNNER_HOST"]
    file = tmp_path / "contexts.json"
    for tls in ({"caCert": str(certificate)}, {"skipVerify": True}):
        context = {"host": host, "tls": {"enabled": True, **tls}}
        file.write_text(json.dumps({"current": "c", "contexts": {"c": context}}))
        endpoint = endpoint_of({"STOKER_HOME": str(tmp_path)})
        assert Client(endpoint).version() == "9.9"
        assert asyncio.run(AsyncClient(endpoint).version()) == "9.9"


async def test_a_stranger_is_not_trusted_in_asyncio(environ: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match=r"is not trusted: self.signed certificate"):
        await AsyncClient(endpoint_of(environ)).version()
