"""Stands in for `systemctl --user` where no user manager runs: starts what a unit file says.

A real process with systemd's exit codes and words; it reads `ExecStart` and `Environment` of the
real file, gives the daemon nothing else, and notes each call in `calls`. `FAKE_BUS=down` behaves as
in a shell opened by su.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve()


def install(folder: Path) -> Path:
    """Put a `systemctl` into a directory, which then belongs first in PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "systemctl"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I {HERE} "$@"\n')
    script.chmod(0o755)
    return folder


def calls(config: Path) -> list[list[str]]:
    """What it was asked, oldest first."""
    note = config / "systemctl.calls"
    return [json.loads(line) for line in note.read_text().splitlines()] if note.exists() else []


def main(argv: list[str]) -> int:
    if os.environ.get("FAKE_BUS") == "down":
        sys.stderr.write("Failed to connect to bus: No medium found\n")
        return 1
    config = Path(os.environ["XDG_CONFIG_HOME"])
    with (config / "systemctl.calls").open("a") as note:
        note.write(json.dumps(argv) + "\n")
    words = [word for word in argv if not word.startswith("--")]
    verb, names = words[0], words[1:]
    for name in names:
        unit = config / "systemd" / "user" / name
        pid = config / f"{name}.pid"
        if not unit.exists():
            sys.stderr.write(f"Unit {name} not found.\n")
            return 5
        if verb == "start" or (verb == "enable" and "--now" in argv):
            pid.write_text(str(_start(unit)))
        elif verb == "disable" and "--now" in argv and pid.exists():
            _stop(int(pid.read_text()))
    return 0


def _start(unit: Path) -> int:
    lines = [line.partition("=") for line in unit.read_text().splitlines()]
    command = next(value for key, _, value in lines if key == "ExecStart")
    log = next(value for key, _, value in lines if key == "StandardError")
    pairs = [_plain(value)[0].partition("=") for key, _, value in lines if key == "Environment"]
    with Path(log.removeprefix("append:")).open("ab") as out:
        child = subprocess.Popen(
            [word.replace("$$", "$") for word in _plain(command)],
            env={"HOME": os.environ["HOME"], **{name: value for name, _, value in pairs}},
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True,
        )  # fmt: skip
    return child.pid


def _plain(text: str) -> list[str]:
    return [word.replace("%%", "%") for word in shlex.split(text)]


def _stop(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
        while True:
            os.kill(pid, 0)
            time.sleep(0.02)  # nothing tells a stranger when a process ends
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
