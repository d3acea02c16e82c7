"""One daemon for all tests here: the bundled model, one for embeddings, one that ranks."""

from collections.abc import Iterator

import pytest

from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon
from tests.components.tiny_models import chat_model, embedding_model, reranking_model


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("home")
    files = tmp_path_factory.mktemp("files")
    with running_daemon(home) as daemon:
        pulled = daemon.cli("pull", "pilot")
        assert pulled.returncode == 0, pulled.stderr
        models = home / "models"
        put_model(models, embedding_model(files / "embed.gguf"), "test/embed")
        put_model(models, reranking_model(files / "rank.gguf"), "test/rank")
        put_model(models, chat_model(files / "endless.gguf"), "test/endless")
        yield daemon
