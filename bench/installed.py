"""A daemon in a home of its own in which both engines are installed, the first time for minutes."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.components.daemon import STOKER, Daemon, running_daemon
from tests.components.debian import parts_cache


@contextmanager
def daemon_with_engines(*engines: str, **variables: str) -> Iterator[Daemon]:
    """Nothing else is in it. The builds stay in the test cache, where the next run finds them."""
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        home = Path(folder)
        (home / "cache").mkdir()
        for link, kept in (("engines", "bench-engines"), ("cache/engines", "engines")):
            place = parts_cache() / kept
            place.mkdir(parents=True, exist_ok=True)
            (home / link).symlink_to(place)
        with running_daemon(home, **variables) as daemon:
            _install(daemon, engines)
            yield daemon


def _install(daemon: Daemon, engines: tuple[str, ...]) -> None:
    builds = json.loads(daemon.cli("status", "--json").stdout)["builds"]
    there = {one["backend"] for one in builds if one["source"] != "wheel"}
    for engine in engines:
        if engine not in there:
            print(f"installing {engine} ...", file=sys.stderr, flush=True)
            install = ("install-runner", "--backend", engine, "--gpu", "none")
            subprocess.run([*STOKER, *install], env=dict(daemon.env), check=True)
