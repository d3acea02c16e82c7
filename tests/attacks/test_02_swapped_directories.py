"""Row 2: a directory becomes a link while files are written below it. None lands elsewhere."""

import subprocess
import sys
from pathlib import Path

from stoker.base.errors import StorageError
from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import digest_of
from stoker.store import Store
from tests.components.shapes import Layer, put_shape, tar_of

ROUNDS = 20
# Whoever may write here: exchanges directories with a link that leads out, all the time.
SWAPPER = """
import ctypes, os, sys
from pathlib import Path

views, outside = Path(sys.argv[1]), sys.argv[2]
exchange = ctypes.CDLL(None, use_errno=True).renameat2
print("ready", flush=True)
swaps = 0
while Path(outside).parent.joinpath("go-on").exists():
    for sub in [*views.glob("building-*/model/sub"), *views.glob("building-*/model")]:
        link = os.fsencode(sub.parent / "link")
        try:
            os.symlink(outside, link)
            for _ in range(200):
                swaps += exchange(-100, os.fsencode(sub), -100, link, 2) == 0
            os.unlink(link)
        except OSError:
            continue  # it is gone
print(swaps)
"""


def test_nothing_lands_elsewhere_while_directories_are_swapped(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "models")
    archived = tar_of({f"sub/{number}.txt": b"archived" for number in range(200)})
    layers = [Layer(mt.DOCKER_DIR_TAR, archived), Layer(mt.DOCKER_MODEL_FILE, b"placed", "x")]
    put_shape(store, "docker.io/ai/m:latest", layers, {"config": {"format": "safetensors"}})
    archive, placed = (Descriptor.of(layer.data, layer.media_type) for layer in layers)
    files = [(f"sub/placed-{number}.bin", placed) for number in range(200)]
    outside, go_on = tmp_path / "outside", tmp_path / "go-on"
    outside.mkdir()
    go_on.touch()
    views = store.root / ".stoker" / "views"
    command = [sys.executable, "-c", SWAPPER, str(views), str(outside)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as swapper:
        assert swapper.stdout is not None
        assert swapper.stdout.readline() == "ready\n"
        noticed = 0
        try:
            for number in range(ROUNDS):
                try:
                    store.view(digest_of(b"%d" % number), files, [archive])
                except StorageError:
                    noticed += 1
        finally:
            go_on.unlink()
        swaps = int(swapper.stdout.readline())
    assert swaps > ROUNDS
    assert noticed
    assert list(outside.iterdir()) == []
