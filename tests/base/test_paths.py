"""Where things live."""

from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting
from stoker.base.paths import MAX_SOCKET_PATH, paths_of


def test_stoker_home_moves_everything(tmp_path: Path) -> None:
    paths = paths_of({"STOKER_HOME": str(tmp_path)})
    for place in (paths.data, paths.models, paths.cache, paths.logs, paths.run, paths.socket):
        assert place.is_relative_to(tmp_path)


def test_models_path_moves_only_the_models(tmp_path: Path) -> None:
    paths = paths_of({"HOME": "/home/u", "MODELS_PATH": str(tmp_path / "m")})
    assert paths.models == tmp_path / "m"
    assert paths.data == Path("/home/u/.local/share/stoker")


def test_relative_xdg_directories_are_ignored_as_the_specification_says() -> None:
    paths = paths_of({"HOME": "/home/u", "XDG_DATA_HOME": "relative"})
    assert paths.data == Path("/home/u/.local/share/stoker")


def test_a_long_home_still_gets_sockets_that_fit() -> None:
    paths = paths_of({"STOKER_HOME": "/" + "x" * 200})
    assert len(str(paths.run / "engine-00000000.sock")) <= MAX_SOCKET_PATH
    assert paths.run == paths_of({"STOKER_HOME": "/" + "x" * 200}).run
    assert paths.run != paths_of({"STOKER_HOME": "/" + "y" * 200}).run


@pytest.mark.parametrize("variable", ["HOME", "STOKER_HOME", "MODELS_PATH"])
def test_a_home_that_nobody_has(variable: str) -> None:
    with pytest.raises(InvalidSetting, match="home directory"):
        paths_of({"HOME": "/home/u", variable: "~nobody-of-this-name"})
