"""The interactive chat, on a real terminal."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.terminal import CTRL_C, CTRL_D, terminal
from tests.components.stub_daemon import Stub


def contents(daemon: Stub) -> list[list[str]]:
    """The texts of every chat request."""
    return [[message["content"] for message in chat["messages"]] for chat in daemon.chats()]


def test_a_conversation(daemon: Stub, tmp_path: Path) -> None:
    with terminal("run", "smollm2") as screen:
        screen.expect("Send a message (/? for help)")
        screen.type("first\r")
        screen.expect("Hello there")
        screen.expect(">")
        screen.type("/set system Be brief\r")
        screen.expect("Set system message.")
        screen.type('"""two\r')
        screen.expect(".")
        screen.type('lines"""\r')
        screen.expect("Hello there")
        screen.expect(">")
        screen.type("/clear\r")
        screen.expect("Cleared the conversation.")
        screen.type("/set system\r")
        screen.expect("Cleared system message.")
        screen.type("/set num_ctx 4096\r")
        screen.expect("Set num_ctx to 4096")
        screen.type("/what\r")
        screen.expect("Unknown command '/what'. Type /? for help")
        screen.type("/?\r")
        screen.expect("Available commands:")
        screen.type("last\r")
        screen.expect("Hello there")
        screen.type("/bye\r")
        assert screen.end() == 0
    assert contents(daemon) == [
        ["first"],
        ["Be brief", "first", "Hello there", "two\nlines"],
        ["last"],
    ]
    configured = next(r for r in daemon.requests if r.path == "/engines/_configure")
    assert configured.body == {"model": "smollm2", "context-size": 4096}
    assert any("x-preload-only" in request.headers for request in daemon.requests)
    history = tmp_path / "stoker/history"
    assert "+first\n" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_ctrl_c_stops_the_answer_and_not_the_program(daemon: Stub) -> None:
    daemon.stall_after = 1
    with terminal("run", "smollm2") as screen:
        screen.expect("Send a message")
        screen.type("tell me\r")
        screen.expect("Hello")
        screen.type(CTRL_C)
        assert daemon.gone.wait(10)
        daemon.stall_after = None
        screen.expect("Send a message")
        screen.type("again\r")
        screen.expect("Hello there")
        screen.expect("Send a message")
        screen.type(CTRL_C)
        screen.expect("Use Ctrl + d or /bye to exit.")
        screen.expect("Send a message")
        screen.type(CTRL_D)
        assert screen.end() == 0
    assert "Traceback" not in screen.seen
    # The exchange that was stopped is not part of the conversation.
    assert contents(daemon) == [["tell me"], ["again"]]


def test_a_failure_does_not_end_the_chat(daemon: Stub) -> None:
    route = "/engines/v1/chat/completions"
    daemon.fail[route] = (500, "out of memory\n", {"Stoker-Hint": "stoker unload --all"})
    with terminal("run", "smollm2", environ={"DOCKER_MODEL_NOHISTORY": "1"}) as screen:
        screen.expect("Send a message")
        screen.type("one\r")
        screen.expect("error: out of memory")
        screen.expect("hint: stoker unload --all")
        del daemon.fail[route]
        screen.type("two\r")
        screen.expect("Hello there")
        screen.type("/exit\r")
        assert screen.end() == 0
    assert contents(daemon)[-1] == ["two"]


def test_a_poor_terminal_gets_plain_lines(daemon: Stub) -> None:
    with terminal("run", "smollm2", environ={"TERM": "dumb"}) as screen:
        screen.expect("> ")
        screen.type("hi\r")
        screen.expect("Hello there")
        screen.type(CTRL_D)
        assert screen.end() == 0


def test_ctrl_c_during_a_single_answer(daemon: Stub) -> None:
    daemon.stall_after = 1
    with terminal("run", "smollm2", "hi") as screen:
        screen.expect("Hello")
        screen.type(CTRL_C)
        assert screen.end() == 130
    assert "Traceback" not in screen.seen
    assert daemon.gone.wait(10)


def test_an_answer_cannot_control_the_terminal(daemon: Stub) -> None:
    daemon.answer = ["a\x1b[2Jb", "\x9bc\r\n👩\u200d🚀"]
    daemon.reasoning = ["d\x1b[2Je"]
    with terminal("run", "smollm2", "hi") as screen:
        assert screen.end() == 0
    assert "Thinking:\r\nd[2Je" in screen.seen
    assert screen.seen.endswith("a[2Jbc\r\n👩\u200d🚀\r\n")


def test_a_long_wait_is_explained(daemon: Stub) -> None:
    daemon.stall_after = 0
    with terminal("run", "smollm2", "hi") as screen:
        screen.expect("waiting for smollm2")
        screen.type(CTRL_C)
        assert screen.end() == 130
    # What was drawn is erased again.
    assert screen.seen.rstrip("\r\n^C").endswith("\x1b[K")


def test_a_wait_takes_one_line_of_a_narrow_terminal(daemon: Stub) -> None:
    daemon.stall_after = 0
    with terminal("run", "smollm2", "hi", environ={"COLUMNS": "19"}) as screen:
        screen.expect("waiting for smol \x1b[K")
        screen.type(CTRL_C)
        assert screen.end() == 130


def test_bars_on_a_terminal(daemon: Stub) -> None:
    with terminal("pull", "other") as screen:
        assert screen.end() == 0
    assert "2af3b81862c6: Downloading [>                        ] 0.00B/258.68MB" in screen.seen
    assert screen.seen.endswith(
        "2af3b81862c6: Pull complete 258.68MB\r\nModel pulled successfully\r\n"
    )


def test_a_reader_that_had_enough(daemon: Stub) -> None:
    daemon.answer = ["word "] * 20_000
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "stoker.cli.main", "run", "smollm2", "hi"],
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    os.read(read, 4)
    os.close(read)
    _, errors = process.communicate(timeout=15)
    assert (process.returncode, errors) == (0, b"")
