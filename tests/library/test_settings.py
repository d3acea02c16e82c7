"""Settings that the disk did not take are not in force either."""

from pathlib import Path

import pytest

from stoker.base.errors import StorageError
from stoker.library.settings import SettingsKey, SettingsStore
from stoker.oci.digest import Digest
from stoker.planner.spec import Mode
from stoker.wire.manage import Configuration

KEY = SettingsKey("llama.cpp", Digest("sha256:" + "0" * 64), Mode.COMPLETION)
SMALL = Configuration(context_size=512)


def test_what_could_not_be_written_is_written_the_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    settings = SettingsStore(folder / "settings.json")
    folder.write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        settings.put(KEY, "ai/x", SMALL)
    assert settings.of(KEY).context_size is None
    folder.unlink()
    assert settings.put(KEY, "ai/x", SMALL)
    assert not settings.put(KEY, "ai/x", SMALL)
    assert SettingsStore(folder / "settings.json").of(KEY).context_size == 512
