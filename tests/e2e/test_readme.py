"""What the README shows is what happens: its transcript and its Python are executed."""

import doctest
import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from tests.components.daemon import Daemon
from tests.components.documents import ROOT, blocks

README = ROOT / "README.md"
COMMAND = re.compile(r"^\$ (?P<command>.+)\n(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)


def transcript() -> list[tuple[str, str]]:
    found = chain.from_iterable(COMMAND.finditer(block) for block in blocks("README.md", "console"))
    return [(str(match["command"]), str(match["output"])) for match in found]


def test_the_transcript(daemon: Daemon) -> None:
    """Every command in order, in one shell's world; `...` in the README stands for any text."""
    shown = transcript()
    assert len(shown) >= 5
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    checker = doctest.OutputChecker()
    for command, wanted in shown:
        done = subprocess.run(
            ["sh", "-c", command.replace("12434", str(daemon.port))],
            env={**daemon.env, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert checker.check_output(wanted, done.stdout, options), f"$ {command}\n{done.stdout}"


@pytest.mark.parametrize("code", blocks("README.md", "python"))
def test_the_python(daemon: Daemon, code: str) -> None:
    code = code.replace("12434", str(daemon.port))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stoker pull" in done.stdout


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert "://" in target or (README.parent / target).exists(), target
