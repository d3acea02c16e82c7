"""Logging in to real registries: passwords, tokens, identity tokens, and who gets to see them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.components.faults import Answer, FaultProxy, fault_proxy
from tests.components.oci_registry import Htpasswd, RunningRegistry, oci_registry
from tests.components.token_server import TokenServer, token_server
from tests.registry.conftest import QUICK
from tests.registry.test_push import push_model

from stoker.base.errors import AuthRequired, Denied, RateLimited, RegistryError, StokerError
from stoker.oci.descriptor import Descriptor
from stoker.oci.mediatypes import DOCKER_GGUF
from stoker.oci.reference import Reference, parse_reference
from stoker.registry.client import RegistryClient
from stoker.registry.credentials import DockerCredentials, Secret

WEIGHTS = b"weights" * 1000


@pytest.fixture(scope="module")
def password_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with oci_registry(tmp_path_factory.mktemp("htpasswd"), auth=Htpasswd()) as running:
        yield running


@pytest.fixture(scope="module")
def _tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    with token_server(tmp_path_factory.mktemp("tokens")) as running:
        yield running


@pytest.fixture
def tokens(_tokens: TokenServer) -> TokenServer:
    _tokens.asked.clear()
    _tokens.refusals.clear()
    return _tokens


@pytest.fixture(scope="module")
def token_registry(
    tmp_path_factory: pytest.TempPathFactory, _tokens: TokenServer
) -> Iterator[RunningRegistry]:
    with oci_registry(tmp_path_factory.mktemp("token"), auth=_tokens.auth) as running:
        yield running


def logged_in(directory: Path, host: str, **entry: str) -> RegistryClient:
    """A client whose docker configuration knows this host."""
    entry = entry or {"username": "reader", "password": "swordfish"}
    config = {"auths": {host: entry}}
    (directory / "config.json").write_text(json.dumps(config))
    return RegistryClient(QUICK, credentials=DockerCredentials({"DOCKER_CONFIG": str(directory)}))


def reference(registry: RunningRegistry | FaultProxy, name: str) -> Reference:
    return parse_reference(f"{registry.host}/{name}:latest")


async def test_basic(
    password_registry: RunningRegistry, tmp_path: Path, repository_name: str
) -> None:
    async with logged_in(tmp_path, password_registry.host) as client:
        repository = client.repository(reference(password_registry, repository_name))
        manifest = await push_model(repository, WEIGHTS)
        assert await repository.resolve() == manifest


async def test_basic_is_asked_for_once(
    password_registry: RunningRegistry, tmp_path: Path, repository_name: str
) -> None:
    async with fault_proxy(password_registry.host) as proxy:
        async with logged_in(tmp_path, proxy.host) as client:
            await push_model(client.repository(reference(proxy, repository_name)), WEIGHTS)
        assert ["authorization" in s.headers for s in proxy.seen].count(False) == 1


async def test_without_a_login(
    password_registry: RunningRegistry, client: RegistryClient, repository_name: str
) -> None:
    repository = client.repository(reference(password_registry, repository_name))
    with pytest.raises(AuthRequired, match="UNAUTHORIZED - Authentication required") as caught:
        await repository.resolve()
    assert "docker login" in str(caught.value.hint)


async def test_with_a_wrong_password(
    password_registry: RunningRegistry, tmp_path: Path, repository_name: str
) -> None:
    wrong = {"username": "reader", "password": "hunter2"}
    async with logged_in(tmp_path, password_registry.host, **wrong) as client:
        repository = client.repository(reference(password_registry, repository_name))
        with pytest.raises(AuthRequired) as caught:
            await repository.resolve()
    assert "reader" in str(caught.value.hint)
    assert "hunter2" not in f"{caught.value!r} {caught.value.hint}"


async def test_bearer_push_and_pull(
    token_registry: RunningRegistry, tokens: TokenServer, tmp_path: Path, repository_name: str
) -> None:
    async with logged_in(tmp_path, token_registry.host) as client:
        repository = client.repository(reference(token_registry, repository_name))
        manifest = await push_model(repository, WEIGHTS)
        assert await repository.resolve() == manifest
    scopes = [asked.parameters["scope"][0] for asked in tokens.asked]
    # One token to push, one to pull.
    assert scopes == [
        f"repository:{repository_name}:pull,push",
        f"repository:{repository_name}:pull",
    ]


async def test_bearer_anonymous(
    token_registry: RunningRegistry,
    tokens: TokenServer,
    tmp_path: Path,
    client: RegistryClient,
    repository_name: str,
) -> None:
    async with logged_in(tmp_path, token_registry.host) as owner:
        for name in (f"public/{repository_name}", repository_name):
            await push_model(owner.repository(reference(token_registry, name)), WEIGHTS)
    tokens.asked.clear()
    await client.repository(reference(token_registry, f"public/{repository_name}")).resolve()
    assert [asked.authorization for asked in tokens.asked] == [None]
    with pytest.raises(AuthRequired):
        await client.repository(reference(token_registry, repository_name)).resolve()


async def test_many_requests_at_once_ask_for_one_token(
    token_registry: RunningRegistry, tokens: TokenServer, tmp_path: Path, repository_name: str
) -> None:
    import asyncio

    async with logged_in(tmp_path, token_registry.host) as client:
        repository = client.repository(reference(token_registry, repository_name))
        blobs = [Descriptor.of(bytes([n]), DOCKER_GGUF) for n in range(10)]
        async with asyncio.TaskGroup() as group:
            for blob in blobs:
                group.create_task(repository.exists(blob))
    assert len(tokens.asked) == 1


async def test_an_identity_token_is_exchanged(
    token_registry: RunningRegistry, tokens: TokenServer, tmp_path: Path, repository_name: str
) -> None:
    host = token_registry.host
    async with logged_in(tmp_path, host, identitytoken="identity-of-reader") as client:
        await push_model(client.repository(reference(token_registry, repository_name)), WEIGHTS)
    (asked,) = tokens.asked
    assert asked.method == "POST"
    assert asked.parameters["grant_type"] == ["refresh_token"]
    assert asked.parameters["client_id"] == ["stoker"]
    assert asked.authorization is None


async def test_a_bearer_of_the_request_is_exchanged_and_stays_with_it(
    token_registry: RunningRegistry,
    tokens: TokenServer,
    client: RegistryClient,
    repository_name: str,
) -> None:
    name = reference(token_registry, repository_name)
    given = client.repository(name, bearer=Secret("identity-of-reader"))
    manifest = await push_model(given, WEIGHTS)
    assert await given.resolve() == manifest
    # Another request to the same registry does not live off this token.
    with pytest.raises(AuthRequired):
        await client.repository(name).resolve()


async def test_a_bearer_that_cannot_be_exchanged_is_shown_as_it_is(
    token_registry: RunningRegistry,
    tokens: TokenServer,
    client: RegistryClient,
    repository_name: str,
) -> None:
    async with fault_proxy(token_registry.host) as proxy:
        repository = client.repository(
            reference(proxy, repository_name), bearer=Secret("straight.to.registry")
        )
        with pytest.raises(AuthRequired):
            await repository.resolve()
        assert proxy.seen[-1].headers["authorization"] == "Bearer straight.to.registry"


async def test_a_token_that_the_registry_no_longer_takes_is_renewed(
    token_registry: RunningRegistry, tokens: TokenServer, tmp_path: Path, repository_name: str
) -> None:
    async with fault_proxy(token_registry.host) as proxy, logged_in(tmp_path, proxy.host) as client:
        repository = client.repository(reference(proxy, repository_name))
        await push_model(repository, WEIGHTS)
        await repository.resolve()
        before = len(tokens.asked)
        challenge = f'Bearer realm="{tokens.url}/token",service="{tokens.auth.service}"'
        proxy.on("GET", "/manifests/", Answer(401, {"WWW-Authenticate": challenge}))
        await repository.resolve()
        assert len(tokens.asked) == before + 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, b"swordfish"), AuthRequired),
        ((403, b"swordfish"), AuthRequired),
        ((429, b"swordfish"), RateLimited),
        ((503, b"swordfish"), RegistryError),
        ((200, b"swordfish"), RegistryError),
        ((200, b"{}"), RegistryError),
        ((200, b'{"token":"a\\r\\nX-Evil: b"}'), RegistryError),
        ((200, b'{"token":"' + b"a" * 200_000 + b'"}'), RegistryError),
        ((200, b'{"token":17}'), RegistryError),
    ],
)
async def test_row_8_a_token_service_is_never_quoted(
    token_registry: RunningRegistry,
    tokens: TokenServer,
    client: RegistryClient,
    answer: tuple[int, bytes],
    error: type[StokerError],
) -> None:
    tokens.refusals += [answer] * 3
    with pytest.raises(error) as caught:
        await client.repository(reference(token_registry, "public/x")).resolve()
    assert "swordfish" not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"


async def test_forbidden(client: RegistryClient, proxy: FaultProxy) -> None:
    body = b'{"errors":[{"code":"DENIED","message":"requested access is denied"}]}'
    proxy.on("GET", "/manifests/", Answer(403, {}, body))
    with pytest.raises(Denied, match="requested access is denied"):
        await client.repository(reference(proxy, "x/y")).resolve()
