"""A token service for a registry with token authentication: signs real tokens, remembers requests.

Runs in a thread of its own, so that one server can serve a whole test session.
"""

import base64
import contextlib
import http.server
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization

from tests.components.local_ca import signing_certificate
from tests.components.oci_registry import TokenAuth

SERVICE = "stoker-test-registry"
ISSUER = "stoker-test-issuer"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for a token."""

    method: str
    parameters: Mapping[str, list[str]]
    authorization: str | None


@dataclass(slots=True)
class TokenServer:
    """Anonymous users may pull from `public/`; users may do everything; tests change the rest."""

    url: str
    bundle: Path
    users: dict[str, str] = field(default_factory=lambda: {"reader": "swordfish"})
    identity_tokens: dict[str, str] = field(
        default_factory=lambda: {"identity-of-reader": "reader"}
    )
    seconds: int = 300
    asked: list[Asked] = field(default_factory=list)
    # Status and body of the next answers, instead of a token.
    refusals: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def auth(self) -> TokenAuth:
        return TokenAuth(f"{self.url}/token", SERVICE, ISSUER, self.bundle)


@contextlib.contextmanager
def token_server(directory: Path) -> Iterator[TokenServer]:
    """Serve tokens on loopback until the block ends."""
    issued, key, certificate = signing_certificate(directory)
    chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    state = TokenServer(f"http://127.0.0.1:{server.server_address[1]}", issued.certificate)
    _Handler.states[server.server_address[1]] = state, _Signer(key, chain)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Signer:
    def __init__(self, key: object, chain: list[str]) -> None:
        self._key = key
        self._chain = chain

    def token(self, user: str | None, scopes: list[str], seconds: int) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": user or "",
            "aud": SERVICE,
            "exp": now + seconds,
            "nbf": now - 10,
            "iat": now,
            "jti": uuid.uuid4().hex,
            "access": [access for scope in scopes if (access := _access(user, scope))],
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"x5c": self._chain})  # type: ignore[arg-type]


def _access(user: str | None, scope: str) -> dict[str, object] | None:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    wanted = actions.split(",")
    allowed = wanted if user else [a for a in wanted if a == "pull" and name.startswith("public/")]
    return {"type": kind, "name": name, "actions": allowed} if allowed else None


class _Handler(http.server.BaseHTTPRequestHandler):
    states: dict[int, tuple[TokenServer, _Signer]] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        self._serve(parse_qs(urlsplit(self.path).query))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        self._serve(parse_qs(self.rfile.read(length).decode()))

    def _serve(self, parameters: dict[str, list[str]]) -> None:
        state, signer = self.states[self.server.server_address[1]]  # type: ignore[index]
        authorization = self.headers.get("Authorization")
        state.asked.append(Asked(self.command, parameters, authorization))
        if state.refusals:
            self._answer(*state.refusals.pop(0))
            return
        user, known = self._user(state, parameters, authorization)
        if not known:
            self._answer(401, b'{"details":"the secret swordfish is wrong"}')
            return
        scopes = [part for scope in parameters.get("scope", []) for part in scope.split()]
        token = signer.token(user, scopes, state.seconds)
        name = "access_token" if self.command == "POST" else "token"
        self._answer(200, json.dumps({name: token, "expires_in": state.seconds}).encode())

    def _user(
        self, state: TokenServer, parameters: dict[str, list[str]], authorization: str | None
    ) -> tuple[str | None, bool]:
        if self.command == "POST":
            user = state.identity_tokens.get(parameters.get("refresh_token", [""])[0])
            return user, user is not None
        if authorization is None:
            return None, True
        name, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
        return name, state.users.get(name) == password

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""
