"""Docker Hub on loopback: the website's list of models, and manifests as its registry has them.

with docker_hub() as hub:
    hub.add("tiny", "A tiny model", pulls=7, layers={"application/...": 1000})
    ...               # STOKER_DOCKER_HUB=hub.url, DEFAULT_REGISTRY=hub.host
"""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_CONFIG = {
    "mediaType": "application/vnd.docker.ai.model.config.v0.1+json",
    "digest": f"sha256:{'0' * 64}",
    "size": 2,
}
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

Reply = tuple[int, Mapping[str, str], bytes]


@dataclass
class DockerHub:
    """What there is, what was asked, and what to answer instead of a list."""

    url: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    manifests: dict[str, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    answer: Reply | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def add(
        self,
        name: str,
        description: str = "",
        *,
        pulls: int = 0,
        private: bool = False,
        layers: Mapping[str, int] | None = None,
    ) -> None:
        """List `ai/<name>`; with layers (size by media type) it has a manifest, too."""
        self.rows.append(
            {
                "name": name,
                "namespace": "ai",
                "description": description,
                "is_private": private,
                "star_count": 3,
                "pull_count": pulls,
                "last_updated": "2026-11-01T00:00:00Z",
                "repository_type": "image",
            }
        )
        if layers is not None:
            digest = f"sha256:{'1' * 64}"
            listed = [{"mediaType": m, "digest": digest, "size": s} for m, s in layers.items()]
            document = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": _CONFIG}
            body = json.dumps({**document, "layers": listed}).encode()
            self.manifests[f"/v2/ai/{name}/manifests/latest"] = body

    def reply(self, target: str) -> Reply:
        """The answer to a GET."""
        self.seen.append(target)
        path = urlsplit(target).path
        if path in self.manifests:
            return 200, {"Content-Type": _MANIFEST}, self.manifests[path]
        if path != "/v2/repositories/ai/":
            return 404, {}, b"{}"
        return self.answer or self._page(target)

    def _page(self, target: str) -> Reply:
        query = parse_qs(urlsplit(target).query)
        size, page = int(query["page_size"][0]), int(query.get("page", ["1"])[0])
        rows = sorted(self.rows, key=lambda row: -int(row["pull_count"]))
        following = f"{self.url}/v2/repositories/ai/?page_size={size}&page={page + 1}"
        body = {
            "count": len(rows),
            "next": following if len(rows) > page * size else None,
            "previous": None,
            "results": rows[(page - 1) * size : page * size],
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: DockerHub

    def do_GET(self) -> None:
        status, headers, body = self.hub.reply(self.path)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        pass


@contextlib.contextmanager
def docker_hub() -> Iterator[DockerHub]:
    """One, until the block ends."""
    hub = DockerHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
