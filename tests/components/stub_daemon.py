"""A small real HTTP server with the management API's shapes, for tests of client and CLI.

A stand-in with a scripted store: it speaks real HTTP over TCP or a unix socket, so that time-outs,
broken streams and cancelled requests are what they are in life.
"""

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ID = "sha256:354bf30d0aa3af413d2aa5ae4f23c66d78980072d1e07a5b0d776e9606a2f0b9"
SMOLLM2: dict[str, Any] = {
    "id": ID,
    "tags": ["docker.io/ai/smollm2:latest"],
    "created": 1742816981,
    "config": {
        "format": "gguf",
        "quantization": "IQ2_XXS/Q4_K_M",
        "parameters": "361.82M",
        "architecture": "llama",
        "size": "256.35MiB",
        "gguf": {"general.architecture": "llama"},
        "context_size": 8192,
    },
}

RECORDED: dict[str, Any] = {
    "count": 1,
    "model": "smollm2",
    "config": {},
    "records": [
        {
            "id": f"{ID}_1",
            "model": "smollm2",
            "method": "POST",
            "url": "/v1/chat/completions",
            "request": "{}",
            "status_code": 200,
            "timestamp": 1742816981,
        }
    ],
}


@dataclass(slots=True)
class Request:
    """What arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Stub:
    """The script of the server and the record of what it was asked."""

    url: str = ""
    models: list[dict[str, Any]] = field(default_factory=list)
    runners: list[dict[str, Any]] = field(default_factory=list)
    backends: dict[str, str] = field(default_factory=lambda: {"llama.cpp": "Running: b1"})
    configurations: list[dict[str, Any]] = field(default_factory=list)
    answer: list[str] = field(default_factory=lambda: ["Hello", " there"])
    reasoning: list[str] = field(default_factory=list)
    recorded: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    fail: dict[str, tuple[int, str, dict[str, str]]] = field(default_factory=dict)
    """Path -> status, body, headers of a refusal."""
    cut_after: int | None = None
    """Break the connection after that many pieces of a stream."""
    stall_after: int | None = None
    """Stop sending after that many pieces until the client has gone."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when a client left in the middle of a stall."""

    def find(self, name: str) -> dict[str, Any] | None:
        """The model of that name, in any spelling the tests use."""
        for model in self.models:
            full = name if "/" in name else f"ai/{name}"
            full = full if ":" in full.rpartition("/")[2] else f"{full}:latest"
            tags = model.get("tags", [])
            if f"docker.io/{full}" in tags or name in {model["id"], *tags}:
                return model
        return None

    def paths(self) -> list[str]:
        """Method and path of everything asked, in order."""
        return [f"{request.method} {request.path}" for request in self.requests]

    def chats(self) -> list[dict[str, Any]]:
        """Bodies of the chat requests, preloads left out."""
        return [
            request.body
            for request in self.requests
            if request.path.endswith("/chat/completions")
            and "x-preload-only" not in request.headers
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: Stub

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def handle(self) -> None:
        with suppress(ConnectionError, ssl.SSLError):  # the client left, or did not trust us
            super().handle()

    def address_string(self) -> str:
        return "client"

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _handle(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            self._skip_chunks()
        path = unquote(url.path)
        query = {k: v[-1] for k, v in parse_qs(url.query).items()}
        headers = {k.lower(): v for k, v in self.headers.items()}
        request = Request(self.command, path, query, headers, json.loads(raw) if raw else None)
        self.stub.requests.append(request)
        if path in self.stub.fail:
            status, text, more = self.stub.fail[path]
            self._send(status, text.encode(), "text/plain; charset=utf-8", more)
            return
        if path.endswith("/chat/completions"):
            self._chat(request)
        elif path.startswith("/models"):
            self._models(request)
        else:
            self._engines(request)

    def _skip_chunks(self) -> None:
        """Who answers and hangs up in the middle of a body may not be heard at all."""
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()

    def _models(self, request: Request) -> None:
        stub, name = self.stub, request.path.removeprefix("/models").strip("/")
        key = f"{request.method} {name.rpartition('/')[2]}"
        if request.path in {"/models", "/models/"}:
            self._json(stub.models)
        elif key == "POST create":
            model = {**SMOLLM2, "tags": [f"docker.io/ai/{request.body['from']}:latest"]}
            self._stream(_transfer("pull"))
            stub.models.append(model)
        elif key == "POST push":
            self._stream(_transfer("push"))
        elif key == "POST tag":
            target = f"{request.query['repo']}:{request.query['tag']}"
            self._json(
                {"message": f'Model tagged successfully with "{target}"', "target": target}, 201
            )
        elif key == "DELETE purge":
            stub.models.clear()
            self._send(200, b"", "text/plain")
        elif (model_found := stub.find(name)) is None:
            self._send(404, b"model not found\n", "text/plain", {"Stoker-Error": "model_not_found"})
        elif request.method == "DELETE":
            stub.models.remove(model_found)
            done = [{"Untagged": tag} for tag in model_found["tags"]]
            self._json([*done, {"Deleted": model_found["id"]}])
        else:
            self._json(model_found)

    def _engines(self, request: Request) -> None:
        stub = self.stub
        answers: dict[str, Any] = {
            "/version": {"version": "9.9"},
            "/engines/ps": stub.runners,
            "/engines/status": stub.backends,
            "/engines/df": {"models_disk_usage": 270610000, "default_backend_disk_usage": 0},
            "/engines/unload": {"unloaded_runners": len(stub.runners)},
            "/engines/_configure": stub.configurations,
            "/engines/v1/models": {
                "object": "list",
                "data": [{"id": model["tags"][0], "object": "model"} for model in stub.models],
            },
        }
        if request.path == "/engines/requests":
            self._requests(request)
        elif request.path == "/logs":
            self._stream([b"[2026-11-21T00:00:00Z] one\n", b"[2026-11-21T00:00:01Z] two\n"])
        elif request.path.endswith("_configure") and request.method == "POST":
            self._send(202, b"", "text/plain")
        elif request.path in answers:
            self._json(answers[request.path])
        else:
            self._send(404, b"404 page not found\n", "text/plain")

    def _requests(self, request: Request) -> None:
        if request.headers.get("accept") != "text/event-stream":
            self._json(self.stub.recorded)
            return
        frames = [b'event: connected\ndata: {"status": "connected"}\n\n']
        frames += [
            b"event: new_request\ndata: " + json.dumps([entry]).encode() + b"\n\n"
            for entry in self.stub.recorded or [RECORDED]
        ]
        self._stream(frames, "text/event-stream")

    def _chat(self, request: Request) -> None:
        if not request.body["messages"]:
            self._json({})
            return
        pieces = [{"reasoning_content": text} for text in self.stub.reasoning]
        pieces += [{"content": text} for text in self.stub.answer]
        chunks: list[Any] = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        chunks.append({"choices": [], "usage": usage})
        frames = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
        self._stream([*frames, b"data: [DONE]\n\n"], "text/event-stream")

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode() + b"\n", "application/json")

    def _send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, pieces: list[bytes], kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for sent, piece in enumerate(pieces):
            if sent == self.stub.cut_after:
                self.stub.cut_after = None
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if sent == self.stub.stall_after:
                self._wait_for_leaving()
                return
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _wait_for_leaving(self) -> None:
        self.close_connection = True
        with suppress(ConnectionError):
            self.connection.recv(1)
        self.stub.gone.set()


def _transfer(mode: str) -> list[bytes]:
    layer = {"id": "sha256:2af3b81862c6be03c769683af18efdadb2c33f60ff32ab6f83e42c043d6c7816"}
    size = 258_680_000
    verb = "Downloaded" if mode == "pull" else "Uploaded"
    steps = [0, size // 2, size]
    records: list[dict[str, Any]] = [
        {
            "type": "progress",
            "message": f"{verb}: {done / 1048576:.2f} MB",
            "total": size,
            "layer": {**layer, "size": size, "current": done},
            "mode": mode,
        }
        for done in steps
    ]
    message = f"Model {mode}ed successfully"
    closing = {"size": 0, "current": 0}
    records.append(
        {"type": "success", "message": message, "total": 0, "layer": closing, "mode": mode}
    )
    return [json.dumps(record).encode() + b"\n" for record in records]


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def stub_daemon(unix: Path | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Stub]:
    """A running server; `stub.url` is what STOKER_HOST should be."""
    stub = Stub()
    handler = type("Handler", (_Handler,), {"stub": stub})
    server: socketserver.BaseServer
    if unix is None:
        tcp = _Tcp(("127.0.0.1", 0), handler)
        if tls is not None:
            # Shaking hands is left to the first read, in the connection's own thread.
            tcp.socket = tls.wrap_socket(
                tcp.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if tls is None else "https"
        stub.url, server = f"{scheme}://127.0.0.1:{tcp.server_address[1]}", tcp
    else:
        server = _Unix(str(unix), handler)
        stub.url = f"unix://{unix}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
