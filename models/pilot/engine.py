"""Talk to pilot over HTTP: through a server that runs already, or llama.cpp started here on a GGUF
file.
"""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TIMEOUT = 120.0


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON answer to a JSON body. urllib's errors pass through."""
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    # The caller names the server; it is no input of a stranger.
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        parsed: dict[str, Any] = json.load(answer)
    return parsed


@contextmanager
def llama_cpp(gguf: Path, *, context: int = 2048, threads: int = 2) -> Iterator[str]:
    """The address (no path) of a llama.cpp server on `gguf`; it ends with the block."""
    import xllamacpp  # noqa: PLC0415 (a server elsewhere does without)

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx = context
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.use_jinja = True
    params.verbosity = 0
    server = xllamacpp.Server(params)
    try:
        yield server.listening_address
    finally:
        del server


def chat(base_url: str, model: str, messages: list[dict[str, Any]], **options: Any) -> str:
    """The assistant's answer as text, a tool call as `<tool_call>` with its JSON. `base_url` ends
    in /v1.

    Greedy unless `options` say otherwise.
    """
    body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 160, **options}
    message = post(f"{base_url.rstrip('/')}/chat/completions", body)["choices"][0]["message"]
    text = message.get("content") or ""
    for call in message.get("tool_calls") or []:
        function = call["function"]
        arguments = json.loads(function["arguments"])
        text += "<tool_call>" + json.dumps(
            {"name": function["name"], "arguments": arguments}, ensure_ascii=False
        )
    return text
