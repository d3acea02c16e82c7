"""TLS: a certificate of one's own, or one that is made here and trusted from this home."""

import contextlib
import datetime as dt
import http.client
import re
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from stoker.base.config import load_config
from stoker.base.paths import paths_of
from stoker.daemon.certificates import ensure_certificate, names_here
from stoker.daemon.tls import certificate_of
from tests.components.daemon import Daemon, environment, run_cli, running_daemon
from tests.components.local_ca import LocalCa

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def made(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / name).read_bytes())


def test_a_certificate_is_made_once_and_kept(tmp_path: Path) -> None:
    home = tmp_path / "tls"
    ensure_certificate(home, ["localhost", "127.0.0.1"], NOW)
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    assert set(before) == {"ca.pem", "ca-key.pem", "cert.pem", "key.pem"}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("ca-key.pem", "key.pem"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    ensure_certificate(home, ["localhost"], NOW + dt.timedelta(days=300))
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


@pytest.mark.parametrize("change", ["name", "time", "damage", "stranger"])
def test_it_is_made_anew_by_the_same_authority(tmp_path: Path, change: str) -> None:
    ensure_certificate(tmp_path, ["localhost"], NOW)
    authority, old = made(tmp_path, "ca.pem"), made(tmp_path, "cert.pem")
    names, later = ["localhost"], NOW
    if change == "name":
        names = ["localhost", "models.lan", "10.0.0.7", "::1"]
    elif change == "time":
        later = NOW + dt.timedelta(days=340)
    elif change == "damage":
        (tmp_path / "key.pem").write_text("damaged")
    else:
        other = tmp_path / "other"
        ensure_certificate(other, names, NOW)
        for name in ("cert.pem", "key.pem"):
            (other / name).replace(tmp_path / name)
    ensure_certificate(tmp_path, names, later)
    new = made(tmp_path, "cert.pem")
    assert made(tmp_path, "ca.pem") == authority
    assert new.serial_number != old.serial_number
    new.verify_directly_issued_by(authority)
    assert new.not_valid_after_utc - later > dt.timedelta(days=360)
    shown = new.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in shown} == set(names)


def test_names_of_this_machine() -> None:
    assert names_here("10.1.2.3", ["a.lan"]) >= {"10.1.2.3", "a.lan", "localhost", "127.0.0.1"}
    assert len(names_here("0.0.0.0", [])) > len({"localhost", "127.0.0.1", "::1"})


def encrypted(daemon: Daemon, **variables: str) -> dict[str, str]:
    return {**daemon.env, "STOKER_HOST": f"https://127.0.0.1:{daemon.port}", **variables}


@pytest.fixture(scope="module")
def automatic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running_daemon(tmp_path_factory.mktemp("home"), "--tls", "auto") as daemon:
        yield daemon


def test_the_command_line_trusts_its_own_home(automatic: Daemon, tmp_path: Path) -> None:
    env = encrypted(automatic)
    assert run_cli(env, "pull", "pilot").returncode == 0
    asked = run_cli(env, "run", "pilot", "hi")
    assert (asked.returncode, asked.stderr) == (0, "")
    made = run_cli(env, "key", "add", "far")
    assert made.returncode == 0, made.stderr
    stranger = {**environment(tmp_path), "STOKER_HOST": env["STOKER_HOST"]}
    refused = run_cli(stranger, "list")
    assert refused.returncode == 1
    assert "is not trusted: unable to get local issuer certificate" in refused.stderr
    authority = str(automatic.home / "tls" / "ca.pem")
    told = {**stranger, "MODEL_RUNNER_TLS_CA_CERT": authority}
    assert "an API key is needed" in run_cli(told, "list").stderr
    told["STOKER_API_KEY"] = made.stdout.strip()
    assert "pilot" in run_cli(told, "list").stdout
    assert run_cli(env, "key", "rm", "far").returncode == 0


def test_old_versions_and_plain_text_are_refused(automatic: Daemon) -> None:
    authority = automatic.home / "tls" / "ca.pem"
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=authority)
        # What Python 3.13 asks of certificates by itself.
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.minimum_version = context.maximum_version = version
        line = http.client.HTTPSConnection("localhost", automatic.port, context=context, timeout=9)
        line.request("GET", "/health")
        assert line.getresponse().status == 200
        line.close()
    old = ssl.create_default_context(cafile=authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    line = http.client.HTTPSConnection("localhost", automatic.port, context=old, timeout=9)
    # The server says so: it is not this side that will not.
    with pytest.raises(ssl.SSLError, match=r"alert protocol version|EOF occurred"):
        line.request("GET", "/health")
    plain = http.client.HTTPConnection("127.0.0.1", automatic.port, timeout=9)
    plain.request("GET", "/health")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        plain.getresponse()
    assert run_cli(encrypted(automatic), "version").returncode == 0


def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    authority = LocalCa(tmp_path / "ca")
    issued = authority.issue(["127.0.0.1"])
    flags = ("--tls-cert", str(issued.certificate), "--tls-key", str(issued.key))
    home = tmp_path / "home"
    home.mkdir()
    with running_daemon(home, *flags) as daemon:
        env = encrypted(daemon, MODEL_RUNNER_TLS_CA_CERT=str(authority.certificate))
        assert run_cli(env, "version").returncode == 0
        assert not (home / "tls").exists()
        assert re.search(r"address=https://", (home / "daemon.out").read_text())


def shown_by(context: ssl.SSLContext, authority: Path) -> bytes:
    """The certificate that a new connection gets, once the handshake has succeeded."""
    client = ssl.create_default_context(cafile=authority)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    seen = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for side in (seen, server, seen, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    certificate = seen.getpeercert(binary_form=True)
    assert certificate
    return certificate


def test_renewed_files_are_shown_and_broken_ones_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = LocalCa(tmp_path / "ca")
    issued = authority.issue(["127.0.0.1"])
    environ = {"STOKER_TLS_CERT": str(issued.certificate), "STOKER_TLS_KEY": str(issued.key)}
    certificate = certificate_of(
        load_config(tmp_path, environ, {}), paths_of({"STOKER_HOME": str(tmp_path)})
    )
    assert certificate
    before = shown_by(certificate.context, authority.certificate)
    authority.issue(["127.0.0.1"])  # into the same files
    assert shown_by(certificate.context, authority.certificate) == before
    certificate.renew()
    renewed = shown_by(certificate.context, authority.certificate)
    assert renewed != before
    issued.key.write_text("half a fi")
    certificate.renew()
    assert shown_by(certificate.context, authority.certificate) == renewed
    assert "the certificate stays as it was" in caplog.text


@pytest.mark.parametrize(
    ("flags", "said", "code"),
    [
        (["--tls-cert", "no-such.pem"], "no-such.pem is not there", 1),
        (["--tls-key", "k.pem"], "--tls-key goes with --tls-cert", 2),
        (["--tls", "yes"], "it must be auto or off", 1),
        (["--tls-cert", "junk.pem"], "are no certificate with its key", 1),
    ],
)
def test_what_cannot_work_is_said_at_once(
    tmp_path: Path, flags: list[str], said: str, code: int
) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    flags = [str(tmp_path / flag) if flag == "junk.pem" else flag for flag in flags]
    refused = run_cli(environment(tmp_path), "serve", "--port", "0", *flags)
    assert refused.returncode == code
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
