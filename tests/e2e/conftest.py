"""One daemon for all end-to-end tests of a module, with the bundled model in its store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.daemon import Daemon, running_daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home: Path = tmp_path_factory.mktemp("home")
    with running_daemon(home) as daemon:
        pulled = daemon.cli("pull", "pilot")
        assert pulled.returncode == 0, pulled.stderr
        yield daemon
