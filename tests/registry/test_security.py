"""Security rows 8, 9 and 10 from end to end: what really arrives at the other host.

Loopback stands in for the whole network: 127.0.0.1 is the user's own machine, 127.0.0.2 a public
host and 127.0.0.3 a host of the company's network.
"""

import ipaddress
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from tests.components.faults import Answer, Change, FaultProxy, fault_proxy, redirect
from tests.components.oci_registry import RunningRegistry, SeededModel, seed_model
from tests.registry.conftest import QUICK, quick, read

from stoker.base.errors import AuthRequired, Denied, Unreachable
from stoker.net.names import Names
from stoker.net.reach import Reach, reach_of
from stoker.oci.descriptor import Descriptor
from stoker.oci.mediatypes import DOCKER_GGUF
from stoker.oci.reference import parse_reference
from stoker.registry.client import RegistryClient
from stoker.registry.credentials import Credential, Credentials, DockerCredentials, Secret
from stoker.registry.options import RegistryOptions

WEIGHTS = bytes(range(256)) * 100
HALF = len(WEIGHTS) // 2
HOSTS = {
    "public.test": "127.0.0.2",
    "auth.public.test": "127.0.0.2",
    "evil.test": "127.0.0.2",
    "inside.public.test": "127.0.0.1",
    "company.test": "127.0.0.3",
    "sso.lan": "127.0.0.3",
    "metadata.public.test": "169.254.169.254",
}
REACH = {"127.0.0.2": Reach.PUBLIC, "127.0.0.3": Reach.PRIVATE}


async def resolve(host: str) -> Sequence[str]:
    if host not in HOSTS:
        raise OSError("no such name")
    return [HOSTS[host]]


def pretended(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Reach:
    return REACH.get(str(address), reach_of(address))


class Known:
    """Credentials for every host, to see which of them leave."""

    async def find(self, host: str) -> Credential:
        return Credential("ada", Secret(f"password-for-{host}"))


def client_for(
    options: RegistryOptions = QUICK, credentials: Credentials | None = None
) -> RegistryClient:
    insecure = options.insecure | HOSTS.keys() | {"127.0.0.2", "127.0.0.3"}
    return RegistryClient(
        replace(options, insecure=frozenset(insecure)),
        credentials=credentials or Known(),
        names=Names(resolve=resolve, reach=pretended),
    )


@pytest.fixture
async def public(registry: RunningRegistry) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(registry.host, address="127.0.0.2") as running:
        yield running


@pytest.fixture
async def company(registry: RunningRegistry) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(registry.host, address="127.0.0.3") as running:
        yield running


@pytest.fixture
def seeded(registry: RunningRegistry, repository_name: str) -> SeededModel:
    return seed_model(registry.host, repository_name, WEIGHTS)


def challenge(realm: str) -> Answer:
    return Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})


LAYER = Descriptor.of(WEIGHTS, DOCKER_GGUF)


async def test_row_9_a_redirect_to_another_host_keeps_range_and_drops_credentials(
    public: FaultProxy, company: FaultProxy, seeded: SeededModel, repository_name: str
) -> None:
    """Registry inside, storage outside: the usual case, with a password on the first hop."""
    company.on("GET", "/blobs/", Answer(401, {"WWW-Authenticate": 'Basic realm="r"'}))
    there = f"http://public.test:{public.port}/v2/{repository_name}/blobs/{LAYER.digest}?sig=a%2Fb"
    company.on("GET", "/blobs/", redirect(there))
    async with client_for() as client:
        name = parse_reference(f"company.test:{company.port}/{repository_name}")
        repository = client.repository(name)
        assert await read(repository, LAYER, at=HALF) == (HALF, WEIGHTS[HALF:])
    asked = company.seen[-1].headers
    assert asked["authorization"].startswith("Basic ")
    (arrived,) = public.seen
    assert arrived.path.endswith("?sig=a%2Fb")
    assert arrived.headers["range"] == f"bytes={HALF}-"
    assert not {"authorization", "cookie"} & arrived.headers.keys()


async def test_row_9_cookies_are_not_kept(
    company: FaultProxy, seeded: SeededModel, repository_name: str
) -> None:
    company.on("GET", "/manifests/", Change(lambda r: r.with_header("Set-Cookie", "id=7; Path=/")))
    async with client_for() as client:
        name = parse_reference(f"company.test:{company.port}/{repository_name}")
        repository = client.repository(name)
        await repository.resolve()
        await read(repository, LAYER)
    assert all("cookie" not in seen.headers for seen in company.seen)


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.public.test/latest/meta-data/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://127.0.0.1:{inside}/v2/",
        "http://inside.public.test:{inside}/v2/",
        "http://2130706433:{inside}/v2/",
        "http://127.1:{inside}/v2/",
        "http://0.0.0.0:{inside}/v2/",
        "http://company.test:{inside}/v2/",
        "http://10.0.0.1/",
    ],
)
@pytest.mark.parametrize("way", ["redirect", "realm", "location"])
async def test_row_8_a_public_registry_leads_nowhere_private(
    public: FaultProxy, proxy: FaultProxy, target: str, way: str
) -> None:
    url = target.format(inside=proxy.port)
    if way == "redirect":
        public.on("GET", "/", redirect(url), times=9)
    elif way == "realm":
        public.on("GET", "/", challenge(url), times=9)
    else:
        public.on("POST", "/", Answer(202, {"Location": url}), times=9)
    async with client_for() as client:
        repository = client.repository(parse_reference(f"public.test:{public.port}/a/b"))
        with pytest.raises((Denied, Unreachable)):
            await (push(repository) if way == "location" else repository.resolve())
    assert proxy.seen == []


async def push(repository: object) -> None:
    from stoker.registry.repository import Repository

    assert isinstance(repository, Repository)
    async with repository.ingest(Descriptor.of(b"x", DOCKER_GGUF)) as into:
        await into.write(b"x")
        await into.commit()


async def test_row_8_metadata_addresses_are_refused_even_for_a_registry_at_home(
    proxy: FaultProxy,
) -> None:
    proxy.on("GET", "/", redirect("http://169.254.169.254/latest/"))
    async with client_for() as client:
        with pytest.raises(Denied, match=r"169\.254\.169\.254"):
            await client.repository(parse_reference(f"{proxy.host}/a/b")).resolve()


async def test_row_8_a_company_registry_does_not_lead_to_our_own_machine(
    company: FaultProxy, proxy: FaultProxy
) -> None:
    company.on("GET", "/", redirect(f"http://{proxy.host}/v2/"))
    async with client_for() as client:
        repository = client.repository(parse_reference(f"company.test:{company.port}/a/b"))
        with pytest.raises(Denied, match="it is loopback"):
            await repository.resolve()
    assert proxy.seen == []


async def test_row_8_a_company_registry_may_have_its_token_service_on_another_private_host(
    company: FaultProxy, seeded: SeededModel, repository_name: str
) -> None:
    """docker/model-runner#1050: blocking every private realm broke private registries."""
    realm = f"http://sso.lan:{company.port}/token"
    company.on("GET", "/manifests/", challenge(realm))
    company.on("GET", "/token", Answer(200, {}, b'{"token":"good"}'))
    async with client_for() as client:
        name = parse_reference(f"company.test:{company.port}/{repository_name}")
        assert await client.repository(name).resolve() == seeded.descriptor
    assert company.seen[-1].headers["authorization"] == "Bearer good"


async def test_row_8_but_not_on_a_public_one(public: FaultProxy, company: FaultProxy) -> None:
    company.on("GET", "/manifests/", challenge(f"http://evil.test:{public.port}/token"))
    async with client_for() as client:
        repository = client.repository(parse_reference(f"company.test:{company.port}/a/b"))
        with pytest.raises(Denied, match="it is public"):
            await repository.resolve()
    assert public.seen == []


async def test_row_8_a_public_realm_of_the_same_domain_is_fine(
    public: FaultProxy, seeded: SeededModel, repository_name: str
) -> None:
    public.on("GET", "/manifests/", challenge(f"http://auth.public.test:{public.port}/token"))
    public.on("GET", "/token", Answer(200, {}, b'{"access_token":"good"}'))
    async with client_for() as client:
        name = parse_reference(f"public.test:{public.port}/{repository_name}")
        assert await client.repository(name).resolve() == seeded.descriptor
    basic = public.seen[1].headers["authorization"]
    assert basic.startswith("Basic ")


async def test_row_8_a_trusted_host_may_be_named(
    public: FaultProxy, company: FaultProxy, seeded: SeededModel, repository_name: str
) -> None:
    public.on("GET", "/manifests/", challenge(f"http://sso.lan:{company.port}/token"))
    company.on("GET", "/token", Answer(200, {}, b'{"token":"good"}'))
    async with client_for(quick(trusted_hosts=frozenset({"sso.lan"}))) as client:
        name = parse_reference(f"public.test:{public.port}/{repository_name}")
        assert await client.repository(name).resolve() == seeded.descriptor


async def test_row_8_a_challenge_behind_a_redirect_is_not_answered(
    public: FaultProxy, company: FaultProxy
) -> None:
    company.on("GET", "/", redirect(f"http://evil.test:{public.port}/x"), times=9)
    public.on("GET", "/x", challenge(f"http://evil.test:{public.port}/token"), times=9)
    async with client_for() as client:
        repository = client.repository(parse_reference(f"company.test:{company.port}/a/b"))
        with pytest.raises(Exception, match="status 401"):
            await repository.resolve()
    assert [seen.path for seen in public.seen] == ["/x"]


async def test_row_10_an_identity_token_does_not_follow_a_redirect(
    public: FaultProxy, company: FaultProxy
) -> None:
    """307 repeats the body, and the body holds the token."""
    company.on("GET", "/manifests/", challenge(f"http://company.test:{company.port}/token"))
    company.on("POST", "/token", redirect(f"http://evil.test:{public.port}/token"))
    async with client_for() as client:
        name = parse_reference(f"company.test:{company.port}/a/b")
        repository = client.repository(name, bearer=Secret("precious"))
        with pytest.raises(Denied, match="somebody else's token"):
            await repository.resolve()
    assert public.seen == []


async def test_row_10_an_upload_that_leads_elsewhere_goes_without_a_token(
    public: FaultProxy, company: FaultProxy, repository_name: str
) -> None:
    company.on("POST", "/uploads/", Answer(401, {"WWW-Authenticate": 'Basic realm="r"'}))
    there = f"http://public.test:{public.port}/bucket?sig=1"
    company.on("POST", "/uploads/", Answer(202, {"Location": there}))
    public.on("PUT", "/bucket", Answer(201))
    async with client_for() as client:
        name = parse_reference(f"company.test:{company.port}/{repository_name}")
        await push(client.repository(name))
    (arrived,) = public.seen
    assert arrived.path.startswith("/bucket?sig=1&digest=sha256:")
    assert "authorization" not in arrived.headers
    assert "authorization" in company.seen[-1].headers


async def test_row_10_each_registry_sees_its_own_password_only(
    public: FaultProxy, company: FaultProxy
) -> None:
    import base64

    for proxy in (public, company):
        basic = Answer(401, {"WWW-Authenticate": 'Basic realm="same"'})
        proxy.on("GET", "/", basic, times=9)
    async with client_for() as client:
        for name in (f"public.test:{public.port}", f"company.test:{company.port}"):
            with pytest.raises(AuthRequired):
                await client.repository(parse_reference(f"{name}/a/b")).resolve()
    for proxy, host in ((public, "public.test"), (company, "company.test")):
        shown = {s.headers.get("authorization", "").removeprefix("Basic ") for s in proxy.seen}
        words = {base64.b64decode(text).decode() for text in shown}
        assert words == {"", f"ada:password-for-{host}:{proxy.port}"}


async def test_row_10_docker_hub_credentials_of_the_environment_stay_at_docker_hub(
    company: FaultProxy,
) -> None:
    company.on("GET", "/", Answer(401, {"WWW-Authenticate": 'Basic realm="r"'}), times=9)
    env = {"DOCKER_USERNAME": "ada", "DOCKER_PASSWORD": "word", "DOCKER_CONFIG": "/nonexistent"}
    async with client_for(credentials=DockerCredentials(env)) as client:
        repository = client.repository(parse_reference(f"company.test:{company.port}/a/b"))
        with pytest.raises(AuthRequired):
            await repository.resolve()
    assert all("authorization" not in seen.headers for seen in company.seen)


async def test_mirrors_are_asked_first_with_their_own_credentials(
    public: FaultProxy, company: FaultProxy, registry: RunningRegistry
) -> None:
    seeded = seed_model(registry.host, "ai/mirrored", WEIGHTS)
    public.on("GET", "/", Answer(404), times=1)
    mirrors = (f"public.test:{public.port}", f"http://company.test:{company.port}/")
    async with client_for(replace(QUICK, mirrors=mirrors)) as client:
        repository = client.repository(parse_reference("mirrored"))
        assert await repository.resolve() == seeded.descriptor
        assert await read(repository, LAYER) == (0, WEIGHTS)
    # The first did not have the manifest but had the blob; Docker Hub was never needed.
    assert [seen.path.split("/")[4] for seen in public.seen] == ["manifests", "blobs"]
    assert [seen.path.split("/")[4] for seen in company.seen] == ["manifests"]


async def test_mirrors_are_for_docker_hub_only(
    public: FaultProxy, company: FaultProxy, seeded: SeededModel, repository_name: str
) -> None:
    mirrors = (f"public.test:{public.port}",)
    async with client_for(replace(QUICK, mirrors=mirrors)) as client:
        name = parse_reference(f"company.test:{company.port}/{repository_name}")
        await client.repository(name).resolve()
    assert public.seen == []


async def test_a_proxy_resolves_names_itself(
    company: FaultProxy, registry: RunningRegistry, repository_name: str
) -> None:
    seeded = seed_model(registry.host, repository_name, WEIGHTS)
    options = replace(
        quick(proxies={"http": f"http://ada:word@{company.host}"}),
        insecure=frozenset({"far-away.test"}),
    )
    async with client_for(options) as client:
        repository = client.repository(parse_reference(f"far-away.test:80/{repository_name}"))
        assert await repository.resolve() == seeded.descriptor
    (seen,) = company.seen
    assert seen.path.startswith("http://far-away.test/v2/")
    assert seen.headers["proxy-authorization"].startswith("Basic ")
