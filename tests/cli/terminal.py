"""A program on a real pseudo-terminal: type, wait for text, press Ctrl-C."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from tests.components.daemon import STOKER

_TIMEOUT: Final = 15.0
# The terminal must control the process, or Ctrl-C would be a character and not a signal.
_LAUNCH: Final = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"


class Terminal:
    """What was printed so far is `seen`; `expect` looks only at what came after the last match."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.seen = ""
        self._master = master
        self._from = 0

    def expect(self, text: str) -> None:
        """Wait until this text is printed."""
        deadline = time.monotonic() + _TIMEOUT
        while text not in self.seen[self._from :]:
            assert self._read(deadline), f"no {text!r} after {self.seen[self._from :]!r}"
        self._from = self.seen.index(text, self._from) + len(text)

    def type(self, text: str) -> None:
        """Press keys; `\\r` is Enter."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Wait for the end; the exit code."""
        deadline = time.monotonic() + _TIMEOUT
        while self._read(deadline):
            pass
        return self.process.wait(_TIMEOUT)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux: the other end was closed
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def terminal(
    *argv: str, environ: Mapping[str, str] | None = None, program: Sequence[str] = STOKER
) -> Iterator[Terminal]:
    """`stoker *argv`, or another program, on a terminal of 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **(environ or {})}
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, *program, *argv],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=env,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(master)
