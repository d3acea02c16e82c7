"""Models made once per session, a directory short enough for sockets, and a leak check."""

import asyncio
import inspect
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from stoker.oci.digest import Digest
from stoker.planner.spec import Format, ModelSpec
from tests.components import tiny_models

ModelMaker = Callable[..., ModelSpec]


def spec_of(weights: Path, *, context_size: int | None = tiny_models.CONTEXT) -> ModelSpec:
    """A model whose weights are this file."""
    return ModelSpec(
        id=Digest("sha256:" + "5" * 64),
        name="ai/tiny:latest",
        format=Format.GGUF,
        weights=weights,
        weights_size=weights.stat().st_size if weights.exists() else 0,
        context_size=context_size,
        architecture="llama",
    )


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with chat.gguf, embed.gguf and rerank.gguf."""
    folder = tmp_path_factory.mktemp("models")
    tiny_models.chat_model(folder / "chat.gguf")
    tiny_models.embedding_model(folder / "embed.gguf")
    tiny_models.reranking_model(folder / "rerank.gguf")
    return folder


@pytest.fixture(scope="session")
def bad_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return tiny_models.bad_models(tmp_path_factory.mktemp("bad"))


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """Not pytest's tmp_path: that may be longer than a socket's path may be."""
    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        yield Path(folder)
        assert not list(Path(folder).iterdir()), "sockets or notes left behind"


@pytest.fixture(autouse=True)
async def no_leaks(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """After every coroutine test: no child, no task and no open file more than before."""
    if not inspect.iscoroutinefunction(request.function):
        yield
        return
    children, files = _children(), _open_files()
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert _children() <= children
    for _ in range(3):  # closing a transport takes a turn of the loop
        await asyncio.sleep(0)
    assert _open_files() <= files


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def _open_files() -> int:
    return psutil.Process().num_fds()
