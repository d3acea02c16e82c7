"""What is fuzzed: each target takes any bytes, and may refuse them with an error of ours only."""

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
from tests.components.shapes import tar_of

from stoker.base.errors import StokerError
from stoker.engines.flags import engine_flags
from stoker.formats.gguf import gguf_header
from stoker.formats.hfconfig import parse_hfconfig
from stoker.formats.need import run
from stoker.formats.safetensors import safetensors_header
from stoker.formats.tar import TarParser
from stoker.gateway import Operation, decode_call
from stoker.oci.manifest import parse_index, parse_manifest
from stoker.oci.mediatypes import DOCKER_CONFIG_V01
from stoker.oci.modelconfig import parse_config
from stoker.oci.reference import parse_name, parse_reference
from stoker.registry.challenge import parse_challenges
from stoker.wire import ollama
from stoker.wire.sse import SseDecoder

Target = Callable[[bytes], None]


def _refused(target: Target) -> Target:
    """A refusal is as good as an answer; anything else that is raised is a find."""

    def guarded(data: bytes) -> None:
        try:
            target(data)
        except StokerError as error:
            if not error.message:
                raise AssertionError("an error that says nothing") from error

    return guarded


def reference(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    parse_name(text)
    parsed = parse_reference(text)
    if parse_reference(str(parsed)) != parsed:
        raise AssertionError(f"{parsed} does not parse to itself")


def gguf(data: bytes) -> None:
    run(gguf_header(file_size=len(data)), lambda at, length: data[at : at + length])


def safetensors(data: bytes) -> None:
    run(safetensors_header(file_size=len(data)), lambda at, length: data[at : at + length])


def tar(data: bytes) -> None:
    parser, stream = TarParser(), BytesIO(data)
    while chunk := stream.read(700):
        list(parser.feed(chunk))
    parser.close()


def manifest(data: bytes) -> None:
    for parse in (parse_manifest, parse_index):
        _refused(parse)(data)  # type: ignore[arg-type]  # what it answers is of no interest
    parse_config(data, DOCKER_CONFIG_V01)


def config(data: bytes) -> None:
    parse_hfconfig(data)


def sse(data: bytes) -> None:
    """However the stream is cut, the events are the same."""
    decoder, bytewise = SseDecoder(), SseDecoder()
    whole = [*decoder.feed(data), *decoder.flush()]
    pieces = [event for byte in data for event in bytewise.feed(bytes((byte,)))]
    if [*pieces, *bytewise.flush()] != whole:
        raise AssertionError("the cut of a stream changes its events")


def body(data: bytes) -> None:
    for operation in Operation:
        _refused(lambda raw, operation=operation: decode_call(raw, operation) and None)(data)
    try:
        chat = msgspec.json.decode(data, type=ollama.Chat)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # answered with 400, see api/models.read_json
    ollama.keep_alive_of(chat)
    json.dumps(ollama.chat_body(chat, stream=True))


def flags(data: bytes) -> None:
    words = data.decode("utf-8", "replace").split("\0")
    given = engine_flags(words, engine="llama.cpp")
    if any(word.startswith(("--model", "--slot-save", "--log-file", "--path")) for word in given):
        raise AssertionError(f"{given} reaches a file")


def challenge(data: bytes) -> None:
    parse_challenges([data.decode("latin-1")])


_MANIFEST: Final = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'
    b'{"mediaType":"application/vnd.docker.ai.model.config.v0.1+json","digest":"sha256:'
    + b"0" * 64
    + b'","size":2},"layers":[]}'
)
_PILOT: Final = Path(__file__).parents[1] / "src" / "stoker" / "bundled" / "pilot-Q8_0.gguf"

TARGETS: Final[Mapping[str, tuple[Target, tuple[bytes, ...]]]] = MappingProxyType({
    name: (_refused(target), seeds)
    for name, target, seeds in (
        ("reference", reference, (b"ai/smollm2:360M", b"hf.co/a/b@sha256:" + b"a" * 64)),
        ("gguf", gguf, (_PILOT.read_bytes()[:60_000],)),
        ("safetensors", safetensors,
         (b'\x50\0\0\0\0\0\0\0{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',)),
        ("tar", tar, (tar_of({"a/b.txt": b"x", "n" * 200: b"y" * 600}),)),
        ("manifest", manifest, (_MANIFEST, b'{"schemaVersion":2,"manifests":[]}')),
        ("config", config, (b'{"model_type":"llama","num_hidden_layers":2}',)),
        ("sse", sse, (b"event: a\r\ndata: {}\n\ndata: [DONE]\n\n",)),
        ("body", body, (b'{"model":"pilot","messages":[{"role":"user","content":"x"}],"n":1}',)),
        ("flags", flags, (b"--temp\x000.1\0--ctx-size=5", b"-ngl\0-1")),
        ("challenge", challenge, (b'Bearer realm="https://a/t",service="b",scope="c"',)),
    )
})  # fmt: skip
