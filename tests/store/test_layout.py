import os
import subprocess
import sys
from pathlib import Path

import pytest

from stoker.base.errors import CorruptStore, StorageError, UnsupportedFormat
from stoker.store import Store


def test_a_new_store_is_an_oci_layout(root: Path) -> None:
    Store.open(root)
    assert (root / "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'
    assert '"manifests": []' in (root / "index.json").read_text()
    assert (root / "blobs" / "sha256").is_dir()


def test_opening_again_changes_nothing(root: Path) -> None:
    Store.open(root)
    before = (root / "index.json").stat().st_mtime_ns
    Store.open(root)
    assert (root / "index.json").stat().st_mtime_ns == before


def test_a_directory_of_something_else_is_refused(root: Path) -> None:
    root.mkdir()
    (root / "letter.txt").write_text("dear diary")
    with pytest.raises(StorageError, match="not empty and not a model store") as caught:
        Store.open(root)
    assert caught.value.hint
    assert [path.name for path in root.iterdir()] == ["letter.txt"]


def test_a_layout_made_by_others_is_taken_over(root: Path) -> None:
    (root / "blobs").mkdir(parents=True)
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (root / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    assert Store.open(root).entries() == ()


def test_a_half_made_store_is_finished(root: Path) -> None:
    (root / ".stoker").mkdir(parents=True)
    assert Store.open(root).entries() == ()


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"imageLayoutVersion": 1}'])
def test_a_damaged_marker_is_named(root: Path, text: str) -> None:
    Store.open(root)
    (root / "oci-layout").write_text(text)
    with pytest.raises(CorruptStore, match="oci-layout is damaged"):
        Store.open(root)


def test_a_later_layout_is_left_alone(root: Path) -> None:
    Store.open(root)
    (root / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(UnsupportedFormat, match=r"2\.0\.0"):
        Store.open(root)


def test_a_file_in_the_way_is_named(root: Path) -> None:
    root.write_text("")
    with pytest.raises(StorageError, match="cannot open the model store"):
        Store.open(root)


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_a_read_only_place_is_named(root: Path) -> None:
    # Permissions do not stop root, /proc stops everybody.
    with pytest.raises(StorageError) as caught:
        Store.open(Path("/proc/models"))
    assert caught.value.hint


def test_many_processes_may_create_it_at_once(root: Path) -> None:
    code = (
        "import sys, pathlib; from stoker.store import Store; Store.open(pathlib.Path(sys.argv[1]))"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(root)]) for _ in range(4)]
    assert [child.wait(timeout=20) for child in children] == [0, 0, 0, 0]
    assert Store.open(root).fsck().clean
