import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.store import Store
from tests.components.places import quick_directory


@pytest.fixture
def root() -> Iterator[Path]:
    with quick_directory() as directory:
        yield directory / "models"


@pytest.fixture
def store(root: Path) -> Store:
    return Store.open(root)


@pytest.fixture(autouse=True)
def no_leaked_descriptors() -> Iterator[None]:
    before = open_files()
    yield
    assert open_files() <= before


def open_files() -> set[str]:
    """The stores' files that this process has open; nothing where the system does not tell."""
    found = set()
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            found.add(str(link.readlink()))
    return {name for name in found if "/models/" in name}
