"""The real llama.cpp: it answers, it stops, and it says why when it cannot start."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from stoker.base.errors import LaunchFailed
from stoker.engines import llamacpp_worker
from stoker.engines.launcher import LocalLauncher
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.spec import Instance
from stoker.planner.spec import Mode, ModelSpec, RunSettings
from tests.components import tiny_models
from tests.engines.conftest import spec_of


async def load(
    model: ModelSpec,
    run_dir: Path,
    *flags: str,
    mode: Mode = Mode.COMPLETION,
    engine: LlamaCpp | None = None,
    settings: RunSettings | None = None,
) -> Instance:
    engine = engine or LlamaCpp()
    settings = settings or RunSettings(runtime_flags=flags)
    command = engine.command(model, mode, settings, run_dir / "engine-1" / "e.sock")
    return await LocalLauncher().start(engine, command, label=model.name, log=lambda _line: None)


@asynccontextmanager
async def running(
    model: ModelSpec, run_dir: Path, *flags: str, mode: Mode = Mode.COMPLETION
) -> AsyncIterator[tuple[Instance, aiohttp.ClientSession]]:
    instance = await load(model, run_dir, *flags, mode=mode)
    try:
        connector = aiohttp.UnixConnector(str(instance.socket))
        async with aiohttp.ClientSession("http://engine", connector=connector) as session:
            yield instance, session
    finally:
        await instance.stop()


async def post(session: aiohttp.ClientSession, path: str, body: Mapping[str, Any]) -> Any:
    async with session.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


CHAT = {"messages": [{"role": "user", "content": "hello"}]}


async def test_chat_completion_embedding_models_metrics(models: Path, run_dir: Path) -> None:
    model = spec_of(models / "chat.gguf")
    async with running(model, run_dir) as (instance, session):
        answer = await post(session, "/v1/chat/completions", {**CHAT, "max_tokens": 7})
        assert answer["usage"]["completion_tokens"] == 7
        text = answer["choices"][0]["message"]["content"]
        assert text.isascii()
        assert text.isprintable()
        listed = await (await session.get("/v1/models")).json()
        entry = listed["data"][0]
        assert entry["id"] == answer["model"] == "ai/tiny:latest"
        assert "llamacpp:" in await (await session.get("/metrics")).text()
        assert (await session.get("/")).status == 404  # no web page of its own
        assert any("KV buffer size" in line for line in instance.log_tail)
    assert await instance.wait() == 0, "the worker takes TERM as a request, not as a blow"
    assert not instance.socket.exists()


async def test_embeddings_of_long_inputs(models: Path, run_dir: Path) -> None:
    model = spec_of(models / "embed.gguf", context_size=512)
    async with running(model, run_dir, mode=Mode.EMBEDDING) as (_, session):
        answer = await post(session, "/v1/embeddings", {"input": ["a b", "c " * 400]})
        assert [len(item["embedding"]) for item in answer["data"]] == [64, 64]
        async with session.post("/v1/embeddings", json={"input": "c " * 900}) as refused:
            assert refused.status == 400, "too long is the caller's mistake, not the engine's"


async def test_reranking(models: Path, run_dir: Path) -> None:
    model = spec_of(models / "rerank.gguf", context_size=512)
    async with running(model, run_dir, mode=Mode.RERANKING) as (_, session):
        question = {"query": "who", "documents": ["me", "you", "nobody"]}
        answer = await post(session, "/v1/rerank", question)
    assert {result["index"] for result in answer["results"]} == {0, 1, 2}


async def test_a_native_program_is_driven_the_same_way(
    models: Path, run_dir: Path, tmp_path: Path
) -> None:
    program = tmp_path / "llama-server"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{llamacpp_worker.__file__}" "$@"\n')
    program.chmod(0o755)
    engine = LlamaCpp({"LLAMA_SERVER_PATH": str(tmp_path), "PATH": "/usr/bin:/bin"})
    instance = await load(spec_of(models / "chat.gguf"), run_dir, engine=engine)
    await instance.stop()
    assert await instance.wait() == 0


async def test_term_during_a_stream_stops_at_once(models: Path, run_dir: Path) -> None:
    async with running(spec_of(models / "chat.gguf"), run_dir) as (instance, session):
        async with session.post(
            "/v1/chat/completions", json={**CHAT, "stream": True, "ignore_eos": True}
        ) as stream:
            for _ in range(10):
                assert (await stream.content.readline()) is not None
            began = time.monotonic()
            await instance.stop()
            assert time.monotonic() - began < 1.0
            with pytest.raises(aiohttp.ClientError):
                await stream.content.read()
        assert await instance.wait() == 0


async def test_three_models_side_by_side(models: Path, run_dir: Path) -> None:
    engine = LlamaCpp()
    command = [
        engine.command(
            spec_of(models / "chat.gguf"),
            Mode.COMPLETION,
            RunSettings(),
            run_dir / str(n) / "e.sock",
        )
        for n in range(3)
    ]
    launcher = LocalLauncher()
    instances = await asyncio.gather(
        *(launcher.start(engine, one, label="tiny", log=lambda _line: None) for one in command)
    )
    assert len({instance.pid for instance in instances}) == 3
    await asyncio.gather(*(instance.stop() for instance in instances))


async def test_settings_reach_the_engine(models: Path, run_dir: Path) -> None:
    flags = ("--parallel=2", "--cache_type_k", "q8_0", "--no-mmap", "-fa", "--temp", "0")
    model = spec_of(models / "chat.gguf")
    async with running(model, run_dir, "--ctx-size", "1024", *flags) as (_, session):
        slots = await (await session.get("/slots")).json()
        properties = await (await session.get("/props")).json()
    assert [slot["n_ctx"] for slot in slots] == [512, 512]
    assert properties["default_generation_settings"]["params"]["temperature"] == 0.0


async def test_a_template_of_the_package_is_used(
    models: Path, run_dir: Path, tmp_path: Path
) -> None:
    template = tmp_path / "template.jinja"
    template.write_text("{% for m in messages %}<<{{ m.content }}>>{% endfor %}")
    model = replace(spec_of(models / "chat.gguf"), chat_template=template)
    async with running(model, run_dir) as (_, session):
        shown = await post(session, "/apply-template", CHAT)
    assert shown["prompt"] == "<<hello>>"


async def test_the_users_own_llama_configuration_changes_nothing(
    models: Path, run_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / ".config" / "llama.cpp").mkdir(parents=True)
    (tmp_path / ".config" / "llama.cpp" / "config.ini").write_text("ctx-size = 768\n")
    engine = LlamaCpp({"HOME": str(tmp_path), "LLAMA_ARG_CTX_SIZE": "512", "PATH": "/usr/bin:/bin"})
    instance = await load(spec_of(models / "chat.gguf"), run_dir, engine=engine)
    assert any("n_ctx         " in line and "4096" in line for line in instance.log_tail)
    await instance.stop()


@pytest.mark.parametrize(
    ("kind", "reason", "text"),
    [
        ("truncated tensors", "bad_file", "the model file is truncated"),
        ("truncated header", "bad_file", "the model file is truncated or corrupt"),
        ("garbage", "bad_file", "the model file is not GGUF, it begins with 'not '"),
        ("html", "bad_file", "the model file is not GGUF, it begins with '<htm'"),
        ("empty", "bad_file", "the model file is truncated or corrupt"),
        (
            "wrong version",
            "bad_file",
            "the model file says GGUF version 99, llama.cpp reads up to 3",
        ),
        ("missing tensors", "bad_file", "the model file is inconsistent: tensor 'blk.2.attn_norm"),
        (
            "no heads",
            "bad_file",
            "the model file is inconsistent: tensor 'blk.0.attn_q.weight' has",
        ),
        ("missing", "bad_file", "the model file cannot be opened: "),
        (
            "unknown architecture",
            "unsupported_architecture",
            "llama.cpp does not know the architecture 'zebra9'",
        ),
    ],
)
async def test_a_bad_file_is_told_by_its_reason(
    bad_models: dict[str, Path], run_dir: Path, kind: str, reason: str, text: str
) -> None:
    with pytest.raises(LaunchFailed) as caught:
        await load(spec_of(bad_models[kind]), run_dir)
    assert caught.value.reason == reason
    assert caught.value.message.startswith(f"ai/tiny:latest cannot be loaded: {text}")
    assert any("exiting due to model loading error" in line for line in caught.value.log_tail)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("-ctk", "q99"), "wrong value for -ctk: Unsupported cache type: q99"),
        (("--device", "CUDA7"), "wrong value for --device: invalid device: CUDA7"),
        (
            ("-fa", "off", "-ctv", "q8_0"),
            "these runtime flags do not fit the model or each other: quantized V",
        ),
    ],
)
async def test_bad_arguments_are_named(
    models: Path, run_dir: Path, flags: tuple[str, ...], text: str
) -> None:
    with pytest.raises(LaunchFailed, match=text) as caught:
        await load(spec_of(models / "chat.gguf"), run_dir, *flags)
    assert caught.value.reason == "bad_arguments"


async def test_a_broken_template(models: Path, run_dir: Path, tmp_path: Path) -> None:
    template = tmp_path / "bad.jinja"
    template.write_text("{% for x in %}")
    with pytest.raises(LaunchFailed, match="chat template cannot be used") as caught:
        await load(replace(spec_of(models / "chat.gguf"), chat_template=template), run_dir)
    assert caught.value.reason == "bad_template"


async def test_a_projector_that_is_none(models: Path, run_dir: Path) -> None:
    model = replace(spec_of(models / "chat.gguf"), mmproj=models / "embed.gguf")
    with pytest.raises(LaunchFailed, match=r"projector cannot be read: .*embed\.gguf") as caught:
        await load(model, run_dir)
    assert caught.value.reason == "bad_file"


async def test_no_room_for_the_socket(models: Path, tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match="cannot listen on") as caught:
        await load(spec_of(models / "chat.gguf"), tmp_path / ("far" * 40))
    assert caught.value.reason == "address_in_use"


def test_the_models_are_made_in_no_time(tmp_path: Path) -> None:
    began = time.monotonic()
    tiny_models.chat_model(tmp_path / "chat.gguf")
    tiny_models.embedding_model(tmp_path / "embed.gguf")
    assert time.monotonic() - began < 2.0
