"""Archives as llama.cpp's makers publish them, with a llama-server that really serves.

What is inside is a program around the llama.cpp that the tests have installed: the same arguments,
the same HTTP, another version number.
"""

import functools
import hashlib
import http.server
import io
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import stoker

VERSION = "4242"
_WORKER = Path(stoker.__file__).parent / "engines" / "llamacpp_worker.py"
_SERVER = f"""#!/bin/sh
if [ "$1" = --version ]; then echo "version: {VERSION} (abcdef0)"; exit; fi
exec {sys.executable} -I {_WORKER} "$@"
"""


def release_archive(
    path: Path, *, folder: str = "llama-b4242", server: str = _SERVER, mode: int = 0o755
) -> str:
    """Write a working one; its digest."""
    return archive(path, {f"{folder}/llama-server": server, f"{folder}/libx.so.0": "x"}, mode=mode)


def archive(path: Path, files: Mapping[str, str], *, mode: int = 0o755) -> str:
    """A tar.gz of these files, each with a link beside it, as libraries have; its digest."""
    with tarfile.open(path, "w:gz") as out:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content.encode()), mode
            out.addfile(info, io.BytesIO(content.encode()))
            link = tarfile.TarInfo(f"{name}.link")
            link.type, link.linkname = tarfile.SYMTYPE, name.rpartition("/")[2]
            out.addfile(link)
    return digest(path)


def digest(path: Path) -> str:
    """As `--digest` wants it."""
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A plain HTTP server of a directory; its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
