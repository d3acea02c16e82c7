"""The stand-in is a fair one: Hugging Face's own client can use it."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from tests.components.hub import HubServer


@pytest.fixture
def api(server: HubServer) -> huggingface_hub.HfApi:
    return huggingface_hub.HfApi(endpoint=server.url, token=False)


def test_it_lists_all_pages(server: HubServer, api: Any, name: str, gguf: bytes) -> None:
    files = {"a-Q8_0.gguf": gguf, "README.md": b"hello", **{f"f{n}.txt": b"x" for n in range(7)}}
    commit = server.add(name, files)
    assert api.model_info(name).sha == commit
    tree = list(api.list_repo_tree(name, recursive=True))
    assert sorted(entry.path for entry in tree) == sorted(files)
    weights = next(entry for entry in tree if entry.path == "a-Q8_0.gguf")
    assert weights.lfs.size == len(gguf)


def test_it_downloads(server: HubServer, api: Any, name: str, gguf: bytes, tmp_path: Path) -> None:
    files = {"sub/a-Q8_0.gguf": gguf, "README.md": b"hello"}
    server.add(name, files)
    for path, data in files.items():
        got = api.hf_hub_download(name, path, cache_dir=tmp_path)
        assert Path(got).read_bytes() == data


def test_it_refuses(server: HubServer, api: Any, name: str, gguf: bytes, tmp_path: Path) -> None:
    server.add(name, {"a.gguf": gguf}, gated=True)
    with pytest.raises(GatedRepoError):
        api.hf_hub_download(name, "a.gguf", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/none")
