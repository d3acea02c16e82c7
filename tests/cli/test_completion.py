"""The completion scripts, run by the shells themselves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from stoker.cli.commands.completion import SCRIPTS
from tests.components.stub_daemon import Stub


def in_bash(line: str) -> list[str]:
    """What bash would offer at the end of this line."""
    bash = shutil.which("bash")
    assert bash
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    script = (
        f"{SCRIPTS['bash']}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        '_stoker; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [bash, "--norc", "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash(daemon: Stub) -> None:
    assert in_bash("stoker pul") == ["pull"]
    assert in_bash("stoker run smo") == ["smollm2"]
    assert in_bash("stoker list --j") == ["--json"]
    assert in_bash("stoker run xyz") == []
