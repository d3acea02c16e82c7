"""Unpacks an archive of llama.cpp: `python release_unpack.py ARCHIVE TARGET`.

It runs as a process of its own, which can be ended, and imports nothing of Stoker. Whatever the
archive calls its directories, the programs are in `TARGET/bin` afterwards.
"""

import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Final

_PROGRAM: Final = "llama-server"
_MAX_FILES: Final = 10_000
"""Releases have some hundred."""
_MAX_BYTES: Final = 16 * 1024**3
"""GPU libraries make the largest ones some GB."""


def unpack(archive: Path, target: Path) -> None:
    """Raises SystemExit with the reason when it is no archive with a llama-server."""
    whole = target / "unpacked"
    whole.mkdir(parents=True)
    try:
        if not tarfile.is_tarfile(archive):
            raise SystemExit(f"error: {archive.name} cannot be unpacked: it is no tar archive")
        with tarfile.open(archive) as file:
            _extract(file, whole)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SystemExit(f"error: {archive.name} cannot be unpacked: {error}") from error
    found = [path for path in whole.rglob(_PROGRAM) if path.is_file()]
    if len(found) != 1:
        raise SystemExit(f"error: the archive has {len(found) or 'no'} {_PROGRAM} in it, not one")
    found[0].chmod(0o755)
    folder = found[0].parent
    # Libraries lie beside the programs, or in `lib` beside their `bin`: the whole tree moves.
    if folder.name == "bin":
        for path in folder.parent.iterdir():
            path.rename(target / path.name)
    else:
        folder.rename(target / "bin")
    shutil.rmtree(whole, ignore_errors=True)


def _extract(file: tarfile.TarFile, whole: Path) -> None:
    total = 0
    for count, member in enumerate(file):
        total += max(member.size, 0)
        if count == _MAX_FILES or total > _MAX_BYTES:
            raise SystemExit("error: the archive holds more than any release of llama.cpp")
        # The filter refuses what would lie or lead outside, and devices. PEP 706.
        file.extract(member, whole, filter="data")


if __name__ == "__main__":
    os.umask(0o022)
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
