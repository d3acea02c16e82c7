"""Whose name and password a registry gets: Docker's configuration, helpers and environment.

Credentials are looked up by host and given to that host only. Docker Model Runner sends
`DOCKER_USERNAME` and `DOCKER_PASSWORD` to any registry; here they are Docker Hub's.
"""

import asyncio
import base64
import binascii
import contextlib
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, final

import msgspec

from stoker.base.paths import home_of
from stoker.registry.place import HUB_API_HOST

log = logging.getLogger(__name__)

HUB_SERVER: Final = "https://index.docker.io/v1/"
_HUB_HOSTS: Final = frozenset({HUB_API_HOST, "docker.io", "index.docker.io"})
# Docker's own convention: this user name marks the secret as an identity token.
_TOKEN_USER: Final = "<token>"  # noqa: S105
_HELPER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HELPER_SECONDS: Final = 15.0
_MAX_HELPER_ANSWER: Final = 64 * 1024
_MAX_CONFIG: Final = 1024 * 1024


@final
class Secret:
    """A string that shows itself only when asked: not in repr, logs, errors or comparisons."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself; for the header it goes into and nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self._text)


@dataclass(frozen=True, slots=True)
class Credential:
    """What to show a registry. An identity token is exchanged at the realm (OAuth2).

    `direct`: should the exchange fail, the token may be shown to the registry as it is.
    """

    username: str = ""
    password: Secret | None = None
    identity_token: Secret | None = None
    direct: bool = False

    @property
    def basic(self) -> Secret | None:
        """The value of a Basic `Authorization` header, when there is a password."""
        if self.password is None:
            return None
        pair = f"{self.username}:{self.password.reveal()}".encode()
        return Secret(f"Basic {base64.b64encode(pair).decode()}")


ANONYMOUS: Final = Credential()


class Credentials(Protocol):
    """Something that knows credentials by host."""

    async def find(self, host: str) -> Credential:
        """The credential for `host[:port]`; ANONYMOUS when there is none. Does not raise."""
        ...


@final
class BearerFor:
    """A token that came with one request: for that registry; others are asked elsewhere."""

    def __init__(self, host: str, token: Secret, others: Credentials) -> None:
        self._host = host
        self._token = token
        self._others = others

    async def find(self, host: str) -> Credential:
        if host == self._host:
            return Credential(identity_token=self._token, direct=True)
        return await self._others.find(host)


class _Auth(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Config(msgspec.Struct):
    auths: dict[str, _Auth] | None = None
    credsStore: str = ""  # noqa: N815  # the file's name
    credHelpers: dict[str, str] | None = None  # noqa: N815


class _HelperAnswer(msgspec.Struct, rename="pascal"):
    username: str = ""
    secret: str = ""


@final
class DockerCredentials:
    """Environment, then `config.json`: `credHelpers`, `credsStore`, `auths`."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._env = dict(os.environ if environ is None else environ)

    async def find(self, host: str) -> Credential:
        names = _names_of(host)
        if HUB_SERVER in names and (found := self._from_environment()):
            return found
        config = await asyncio.to_thread(self._config)
        helper = next((h for n in names if (h := (config.credHelpers or {}).get(n))), None)
        for program in dict.fromkeys((helper, config.credsStore)):
            if program and (found := await self._from_helper(program, names[0])):
                return found
        for server, auth in (config.auths or {}).items():
            if _server_host(server) in names and (found := _from_auth(auth)):
                return found
        return ANONYMOUS

    def _from_environment(self) -> Credential | None:
        for user, password in (
            ("DOCKER_USERNAME", "DOCKER_PASSWORD"),
            ("DOCKER_HUB_USER", "DOCKER_HUB_PASSWORD"),
        ):
            if self._env.get(user) and self._env.get(password):
                return Credential(self._env[user], Secret(self._env[password]))
        return None

    def _config(self) -> _Config:
        directory = self._env.get("DOCKER_CONFIG")
        folder = Path(directory) if directory else home_of(self._env) / ".docker"
        path = folder / "config.json"
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_CONFIG), type=_Config)
        except FileNotFoundError:
            return _Config()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # Its text may quote a secret; the kind of error says enough.
            log.warning("docker config unreadable path=%s error=%s", path, type(error).__name__)
            return _Config()

    async def _from_helper(self, helper: str, server: str) -> Credential | None:
        """Ask `docker-credential-<helper> get`; the server goes over stdin, never into argv."""
        if not _HELPER_NAME.fullmatch(helper):
            log.warning("credential helper ignored: its name is no program name")
            return None
        program = f"docker-credential-{helper}"
        try:
            output = await _run_helper(program, server, self._env)
            answer = msgspec.json.decode(output, type=_HelperAnswer) if output else None
        except TimeoutError:
            log.warning("credential helper timed out program=%s", program)
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # A public model must not fail because Docker Desktop's helper is not on PATH.
            log.warning(
                "credential helper failed program=%s error=%s", program, type(error).__name__
            )
            return None
        return _credential(answer.username, answer.secret) if answer else None


async def _run_helper(program: str, server: str, env: Mapping[str, str]) -> bytes:
    """Its standard output, empty when it knows nothing. Raises OSError, TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        program,
        "get",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(env),
    )
    try:
        async with asyncio.timeout(_HELPER_SECONDS):
            output, _ = await process.communicate(server.encode())
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    # "credentials not found in native keychain" is exit status 1 and perfectly normal.
    return output if process.returncode == 0 and len(output) <= _MAX_HELPER_ANSWER else b""


def _names_of(host: str) -> tuple[str, ...]:
    """The names under which a host may be filed; the first one is for helpers."""
    return (HUB_SERVER, *sorted(_HUB_HOSTS)) if host in _HUB_HOSTS else (host,)


def _server_host(server: str) -> str:
    """The host of a key of `auths`: bare, or a URL with scheme and path."""
    return server.partition("://")[2].partition("/")[0] if "://" in server else server.rstrip("/")


def _from_auth(auth: _Auth) -> Credential | None:
    if auth.identitytoken:
        return Credential(identity_token=Secret(auth.identitytoken))
    if auth.username and auth.password:
        return Credential(auth.username, Secret(auth.password))
    try:
        pair = base64.b64decode(auth.auth, validate=False).decode()
    except (binascii.Error, ValueError):
        return None
    username, colon, password = pair.rstrip("\0").partition(":")
    return _credential(username, password) if colon else None


def _credential(username: str, secret: str) -> Credential | None:
    if not secret:
        return None
    if username == _TOKEN_USER:
        return Credential(identity_token=Secret(secret))
    return Credential(username, Secret(secret))
