"""Settings: schemes, mirrors and the environment that chooses them."""

from pathlib import Path

import pytest

from stoker.net.options import NetOptions
from stoker.registry.options import RegistryOptions, api_host, options_of


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        ("registry-1.docker.io", "https"), ("localhost", "http"), ("localhost:5000", "http"),
        ("127.0.0.1:5000", "http"), ("127.9.9.9", "http"), ("[::1]:5000", "http"),
        ("nas.local", "http"), ("nas.local:80", "http"), ("local", "https"),
        ("10.0.0.1:5000", "https"), ("localhost.evil.example", "https"),
        ("r.example:5000", "http"), ("r.example", "https"), ("all.example:1", "http"),
    ],
)  # fmt: skip
def test_plain_http_only_where_it_is_named_or_local(host: str, scheme: str) -> None:
    options = options_of({"INSECURE_REGISTRY": "R.example:5000, all.example"})
    assert options.scheme(host) == scheme


def test_insecure_true_is_for_all_and_false_for_none() -> None:
    assert options_of({"INSECURE_REGISTRY": "true"}).scheme("r.example") == "http"
    assert options_of({"INSECURE_REGISTRY": "false"}).scheme("r.example") == "https"
    assert options_of({}).scheme("r.example") == "https"


def test_a_host_with_a_certificate_directory_is_spoken_to_in_tls(tmp_path: Path) -> None:
    (tmp_path / "localhost:5000").mkdir()
    options = RegistryOptions(net=NetOptions(certs_d=(tmp_path,)), insecure_all=True)
    assert options.scheme("localhost:5000") == "https"
    assert options.scheme("localhost:5001") == "http"
    assert options.scheme("..") == "http"


def test_environment() -> None:
    options = options_of(
        {
            "MODEL_RUNNER_REGISTRY_MIRRORS": " https://mirror.example/ ,m2.example,, ",
            "STOKER_TRUSTED_HOSTS": "SSO.example",
        }
    )
    assert options.mirrors == ("https://mirror.example", "m2.example")
    assert options.net.trusted_hosts == {"sso.example"}


def test_docker_hubs_api_lives_elsewhere() -> None:
    assert (api_host("docker.io"), api_host("ghcr.io")) == ("registry-1.docker.io", "ghcr.io")
