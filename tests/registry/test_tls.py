"""TLS under a local authority, and what is said when it is not trusted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.components.local_ca import LocalCa
from tests.components.oci_registry import RunningRegistry, Tls, oci_registry
from tests.registry.conftest import QUICK, quick
from tests.registry.test_push import push_model

from stoker.base.errors import InvalidSetting, Unreachable
from stoker.net.names import Names
from stoker.oci.reference import parse_reference
from stoker.registry.client import RegistryClient
from stoker.registry.options import RegistryOptions


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> LocalCa:
    return LocalCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def tls_registry(
    tmp_path_factory: pytest.TempPathFactory, authority: LocalCa
) -> Iterator[RunningRegistry]:
    issued = authority.issue(["registry.test", "127.0.0.1"])
    tls = Tls(issued.certificate, issued.key)
    with oci_registry(tmp_path_factory.mktemp("tls"), tls=tls) as running:
        yield running


async def loopback(_: str) -> Sequence[str]:
    """DNS for tests: every name is here."""
    return ["127.0.0.1"]


def client_for(options: RegistryOptions) -> RegistryClient:
    return RegistryClient(options, names=Names(resolve=loopback))


async def test_a_bundle_from_the_environment(
    tls_registry: RunningRegistry, authority: LocalCa, repository_name: str
) -> None:
    async with client_for(quick(ca_files=(authority.certificate,))) as client:
        name = parse_reference(f"registry.test:{tls_registry.port}/{repository_name}")
        repository = client.repository(name)
        manifest = await push_model(repository, b"weights" * 100_000)
        assert await repository.resolve() == manifest


async def test_certs_d_makes_even_loopback_tls(
    tls_registry: RunningRegistry, authority: LocalCa, repository_name: str, tmp_path: Path
) -> None:
    own = tmp_path / tls_registry.host
    own.mkdir()
    (own / "ca.crt").write_bytes(authority.certificate.read_bytes())
    async with client_for(quick(certs_d=(tmp_path,))) as client:
        name = parse_reference(f"{tls_registry.host}/{repository_name}")
        await push_model(client.repository(name), b"weights")
    (own / "bad.crt").write_text("not a certificate")
    async with client_for(quick(certs_d=(tmp_path,))) as client:
        with pytest.raises(InvalidSetting, match=r"bad\.crt"):
            await client.repository(name).resolve()


async def test_an_unknown_authority(tls_registry: RunningRegistry) -> None:
    async with client_for(QUICK) as client:
        repository = client.repository(parse_reference(f"registry.test:{tls_registry.port}/a/b"))
        with pytest.raises(Unreachable, match=r"certificate of registry\.test") as caught:
            await repository.resolve()
    assert "SSL_CERT_FILE" in str(caught.value.hint)


async def test_a_certificate_for_somebody_else(
    tls_registry: RunningRegistry, authority: LocalCa
) -> None:
    async with client_for(quick(ca_files=(authority.certificate,))) as client:
        repository = client.repository(parse_reference(f"other.test:{tls_registry.port}/a/b"))
        with pytest.raises(Unreachable, match=r"certificate of other\.test"):
            await repository.resolve()


async def test_a_registry_without_tls(registry: RunningRegistry) -> None:
    async with client_for(QUICK) as client:
        repository = client.repository(parse_reference(f"registry.test:{registry.port}/a/b"))
        with pytest.raises(Unreachable, match="no TLS connection") as caught:
            await repository.resolve()
    assert "INSECURE_REGISTRY=registry.test" in str(caught.value.hint)


async def test_insecure_when_it_is_named(registry: RunningRegistry, repository_name: str) -> None:
    async with client_for(replace(QUICK, insecure=frozenset({"registry.test"}))) as client:
        name = parse_reference(f"registry.test:{registry.port}/{repository_name}")
        await push_model(client.repository(name), b"weights")
