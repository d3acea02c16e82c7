"""llama.cpp compiled for this very processor: the one that runs, and it says the same."""

import psutil
import pytest

from tests.components.daemon import Daemon
from tests.components.http import ask
from tests.components.processes import family_of, survivors

from .conftest import kill_in_a_stream, running

CHAT = {
    "model": "pilot", "temperature": 0, "max_tokens": 60,
    "messages": [{"role": "user", "content": "What is Stoker?"}],
}  # fmt: skip


def said(daemon: Daemon, engine: str = "") -> str:
    answer = ask(daemon, "POST", f"/engines/{engine}v1/chat/completions", CHAT)
    assert answer.status == 200, answer.body
    return str(answer.json["choices"][0]["message"]["content"])


def test_it_takes_the_place_of_the_wheel(daemon: Daemon, request: pytest.FixtureRequest) -> None:
    before = said(daemon)
    assert running(daemon, "pilot")["build"] == "b11549 (wheel)"
    request.getfixturevalue("native")
    assert said(daemon, "llama.cpp/") == before
    assert running(daemon, "pilot")["build"] == "b11549 (native)"


def test_it_runs_from_its_own_environment(native: Daemon) -> None:
    assert said(native)
    command = psutil.Process(running(native, "pilot")["pid"]).cmdline()
    assert command[0].startswith(str(native.home / "engines" / "llama.cpp" / "native-b11549"))


def test_killed_in_the_middle_of_a_stream(native: Daemon) -> None:
    expected = said(native)
    family = family_of(running(native, "pilot")["pid"])
    kill_in_a_stream(native, "pilot", family[0], tokens=1900)
    assert not survivors(family)
    assert said(native) == expected
