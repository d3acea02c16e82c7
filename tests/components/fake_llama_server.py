"""A stand-in for llama-server, for the faults that a real engine cannot be made to show.

    python -I -S fake_llama_server.py --socket /run/e.sock [--hang] [--crash-after 3] ...

Standard library only. Started through `FakeEngine` (fake_engine.py); `--help` lists the faults.
"""

import argparse
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

_LINGER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=Path, required=True)
    start = parser.add_argument_group("start")
    start.add_argument("--log", action="append", default=[], help="write this line to stderr")
    start.add_argument("--noise", type=int, default=0, help="so many lines more")
    start.add_argument("--exit-code", type=int, help="write the lines and exit")
    start.add_argument("--die-by", help="write the lines and send itself this signal, as SIGKILL")
    start.add_argument("--hang", action="store_true", help="never listen")
    start.add_argument("--never-healthy", action="store_true", help="listen, answer 503 for ever")
    start.add_argument("--chatty", action="store_true", help="write a line when asked for health")
    start.add_argument("--mute", action="store_true", help="accept connections, answer nothing")
    start.add_argument("--loading", type=float, default=0.0, help="answer 503 for so many seconds")
    start.add_argument("--reads", type=Path, help="half of this file, then load")
    stop = parser.add_argument_group("stop")
    stop.add_argument("--ignore-term", action="store_true")
    stop.add_argument("--grandchild", type=Path, help="start one that lingers; its pid goes here")
    answer = parser.add_argument_group("answers")
    answer.add_argument("--tokens", type=int, default=5, help="tokens of an answer; 0: endless")
    answer.add_argument("--pause", type=float, default=0.0, help="seconds between two tokens")
    answer.add_argument("--drop-after", type=int, help="close the connection after so many tokens")
    answer.add_argument("--crash-after", type=int, help="abort after so many tokens")
    answer.add_argument("--garbage", action="store_true", help="answer bytes that are no HTTP")
    answer.add_argument("--babble", type=int, help="after so many tokens, what is no JSON")
    answer.add_argument("--short", action="store_true", help="announce more than is sent")
    answer.add_argument("--stall-after", type=int, help="say nothing more after so many tokens")
    answer.add_argument("--once", action="store_true", help="one request for each connection")
    answer.add_argument("--big", type=int, default=0, help="pad whole answers to so many bytes")
    return parser.parse_args()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = False
    options: ClassVar[argparse.Namespace]
    healthy_at: ClassVar[float]

    def do_GET(self) -> None:
        if self.options.mute:
            time.sleep(600)
        if self.path == "/health":
            if self.options.chatty:
                sys.stderr.write("asked for health\n")
                sys.stderr.flush()
            if self.options.never_healthy or time.monotonic() < self.healthy_at:
                self._json(503, {"error": {"message": "Loading model", "code": 503}})
            else:
                self._json(200, {"status": "ok"})
        elif self.path == "/v1/models":
            self._json(200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})
        else:
            self._json(404, {"error": {"message": "File Not Found", "code": 404}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.options.once and self.asked:
            self.close_connection = True
            return
        self.asked = True
        if self.options.garbage:
            self.wfile.write(os.urandom(4096))
            self.close_connection = True
        elif self.options.short and not body.get("stream"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
        elif self.options.babble is not None and not body.get("stream"):
            self._send(b"babble")
        elif self.path == "/v1/embeddings":
            self._json(200, {"object": "list", "data": [{"index": 0, "embedding": [0.0, 1.0]}]})
        elif self.path not in ("/v1/chat/completions", "/v1/completions"):
            self._json(404, {"error": {"message": "File Not Found", "code": 404}})
        elif body.get("stream"):
            self._stream(body)
        else:
            text = " ".join(f"t{number}" for number in range(self.options.tokens))
            message = {"role": "assistant", "content": text + "x" * self.options.big}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._json(200, {"object": "chat.completion", "model": "fake", "choices": [choice]})

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        options, number = self.options, 0
        while not options.tokens or number < options.tokens:
            if number == options.crash_after:
                os.abort()
            if number == options.stall_after:
                time.sleep(600)
            if number == options.babble:
                self._chunk(b"data: babble\n\n")
            if number == options.drop_after:
                self.close_connection = True
                return
            self._event({"delta": {"content": f"t{number} "}, "finish_reason": None}, body)
            number += 1
            if options.pause:
                time.sleep(options.pause)
        self._event({"delta": {}, "finish_reason": "stop"}, body)
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, choice: dict[str, Any], body: dict[str, Any]) -> None:
        event = {
            "object": "chat.completion.chunk",
            "model": body.get("model", "fake"),
            "choices": [{"index": 0, **choice}],
        }
        self._chunk(f"data: {json.dumps(event)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _json(self, status: int, value: object) -> None:
        self._send(json.dumps(value).encode(), status)

    def _send(self, content: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""

    def address_string(self) -> str:
        return "unix"


def main() -> None:
    options = _options()
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.grandchild:
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", _LINGER])
        options.grandchild.write_text(str(child.pid))
    lines = [*options.log, *(f"noise {number}" for number in range(options.noise))]
    sys.stderr.write("".join(line + "\n" for line in lines))
    sys.stderr.flush()
    if options.die_by:
        os.kill(os.getpid(), signal.Signals[options.die_by])
    if options.exit_code is not None:
        os._exit(options.exit_code)
    if options.reads:
        with options.reads.open("rb", buffering=0) as file:
            file.read(options.reads.stat().st_size // 2)
    if options.hang:
        threading.Event().wait()
    _Handler.options = options
    _Handler.healthy_at = time.monotonic() + options.loading
    with _Server(str(options.socket), _Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
