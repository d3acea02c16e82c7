"""A process that works on stores and is killed in the middle, once at every step.

    python -m tests.store.crash_worker DIRECTORY

For N = 1, 2, 3 … a forked child does the same work in a store of its own and dies by SIGKILL right
before, or in the middle of, its Nth touch of the file system. Then the store is checked, and the
work is done again to its end. Prints how many deaths there were; any flaw ends in a traceback.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stoker.store import Store
from stoker.transfer import Cut, copy
from tests.store.models import model, put_model

ONE = model(b"shared" * 500, b"one" * 500)
TWO = model(b"shared" * 500, b"two" * 4000)
FIRST, SECOND, MOVED = (f"docker.io/ai/{name}:latest" for name in ("one", "two", "moved"))

# What the interpreter reports of our own touches; the rest of them is wrapped below.
_EVENTS = frozenset({
    "open", "os.rename", "os.remove", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.chmod",
    "os.truncate", "fcntl.flock", "shutil.rmtree",
})  # fmt: skip
_WRAPPED = ("fsync", "write", "pwrite", "fchmod", "close")


async def work(root: Path, done: Callable[[str], None]) -> None:
    """Everything a store can do. `done` is told after each promise."""
    store = Store.open(root)
    done("open")
    await put_model(store, ONE, FIRST)
    done("tag one")
    await copy(TWO.content, store.blobs, TWO.descriptor, cut=Cut(5000, 4000, 1500), concurrency=2)
    store.tag(SECOND, TWO.descriptor)
    done("tag two")
    store.view(TWO.descriptor.digest, [("model.gguf", TWO.manifest.layers[1])])
    store.tag(MOVED, ONE.descriptor)
    store.tag(MOVED, TWO.descriptor)
    done("move")
    store.untag(MOVED)
    store.remove(ONE.descriptor.digest)
    done("remove")
    store.gc()
    done("gc")
    store.fsck(deep=True, repair=True)
    done("all")


def main(base: Path) -> None:
    number = 0
    while True:
        number += 1
        root = base / str(number) / "models"
        promises = root.parent / "promises"
        root.parent.mkdir()
        child = os.fork()
        if not child:
            _die(root, promises, number)
        _, status = os.waitpid(child, 0)
        kept = promises.read_text().split("\n") if promises.exists() else []
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, f"step {number}: failed, {kept}"
            assert "all" in kept
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        _check(root, kept, number)
    sys.stdout.write(str(number - 1))


def _check(root: Path, kept: list[str], number: int) -> None:
    """What a user finds after the crash; then the work again, undisturbed."""
    store = Store.open(root)
    report = store.fsck(deep=True)
    assert report.problems == (), (number, kept, report)
    names = {name: entry.manifest for entry in store.entries() for name in entry.names}
    if "tag one" in kept and "move" not in kept:
        assert names[FIRST] == ONE.descriptor, (number, kept)
    if "tag two" in kept:
        assert names[SECOND] == TWO.descriptor, (number, kept)
    if "remove" in kept:
        assert set(names) == {SECOND}, (number, kept)
    if number % 4:
        return  # once in four is enough for the second half of the check
    child = os.fork()
    if not child:
        asyncio.run(work(root, lambda _: None))
        store.purge()
        left = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
        # Young litter may be another process's work; it goes after a day.
        young = {path for path in left if "tmp" in path.parts or "building-" in str(path)}
        kept_files = {Path("index.json"), Path("oci-layout"), Path(".stoker/lock")}
        os._exit(0 if left - young == kept_files and len(young) <= 1 else 3)
    _, status = os.waitpid(child, 0)
    assert status == 0, (number, kept, status)


def _die(root: Path, promises: Path, number: int) -> None:
    """In the child: work until step `number`."""
    log = os.open(promises, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    write = os.write
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        return steps == number

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and step():
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if step():
                if len(arguments) > 1 and isinstance(arguments[1], bytes | memoryview):
                    # In the middle of a write: half of it is there.
                    data = arguments[1]
                    function(arguments[0], data[: len(data) // 2], *arguments[2:])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)

        return call

    for name in _WRAPPED:
        setattr(os, name, wrapped(getattr(os, name)))
    sys.addaudithook(watch)
    asyncio.run(work(root, lambda text: void(write(log, f"{text}\n".encode()))))
    os._exit(0)


def void(_: object) -> None:
    """Nothing."""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
