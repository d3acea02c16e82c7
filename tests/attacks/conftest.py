"""One daemon for all attacks: the bundled model, and one that never ends by itself."""

from collections.abc import Iterator

import pytest

from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon
from tests.components.tiny_models import chat_model

SECRET = "hf_thisMustNotBeSeenAnywhere123"


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("home")
    secrets = {"HF_TOKEN": SECRET, "DOCKER_PASSWORD": SECRET, "LLAMA_ARG_SLOT_SAVE_PATH": "/tmp"}
    with running_daemon(home, **secrets) as daemon:
        pulled = daemon.cli("pull", "pilot")
        assert pulled.returncode == 0, pulled.stderr
        model = chat_model(tmp_path_factory.mktemp("files") / "endless.gguf")
        put_model(home / "models", model, "test/endless")
        yield daemon
