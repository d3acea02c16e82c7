"""What the real engine allocates: it is started on a model and its log is read."""

import re
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import stoker.engines

WORKER = Path(stoker.engines.__file__).parent / "llamacpp_worker.py"
START_LIMIT = 60.0  # seconds; the models have no weights to read

_BUFFER = re.compile(r" (\S+) +(model|KV|RS|compute|output) buffer size = +([\d.]+) MiB")
_CELLS = re.compile(r"\( *(\d+) cells, +(\d+) layers, +(\d+)/(\d+) seqs\)")


@dataclass(slots=True)
class Measured:
    """MiB with two decimals, as logged; device name → size, by kind of buffer."""

    model: dict[str, float] = field(default_factory=dict)
    cache: dict[str, float] = field(default_factory=dict)
    state: dict[str, float] = field(default_factory=dict)
    compute: dict[str, float] = field(default_factory=dict)
    output: dict[str, float] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def total(self, kind: str) -> float:
        """All devices together."""
        found: dict[str, float] = getattr(self, kind)
        return round(sum(found.values()), 2)


_KINDS = {"model": "model", "KV": "cache", "RS": "state", "compute": "compute", "output": "output"}


def read_log(lines: Sequence[str]) -> Measured:
    """Buffers out of a log at `-lv 4`; sizes of one kind on one device add up."""
    measured = Measured(log=list(lines))
    for line in lines:
        found = _BUFFER.search(line)
        if found:
            sizes: dict[str, float] = getattr(measured, _KINDS[found[2]])
            sizes[found[1]] = sizes.get(found[1], 0.0) + float(found[3])
    return measured


def measure(
    model: Path,
    *flags: str,
    python: str = sys.executable,
    environ: Mapping[str, str] | None = None,
    socket: Path | None = None,
    until: str = "model loaded",
) -> Measured:
    """Start the engine on `model`, wait for `until` in its log, stop it. Raises RuntimeError.

    `python`: of the build to start, with `environ`; this one's own when None.
    """
    address = socket or model.with_suffix(".sock")
    address.unlink(missing_ok=True)
    argv = [python, "-I", str(WORKER), "-m", str(model), "--host", str(address)]
    argv += ["-lv", "4", "--no-warmup", "-fit", "off", "--cache-ram", "0", *flags]
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        return read_log(_until(process, until))
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
        address.unlink(missing_ok=True)


def _until(process: "subprocess.Popen[bytes]", words: str) -> list[str]:
    assert process.stderr is not None
    lines: list[str] = []
    rest = b""
    deadline = time.monotonic() + START_LIMIT
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while time.monotonic() < deadline and selector.select(deadline - time.monotonic()):
            part = process.stderr.read1(65536)  # type: ignore[attr-defined]
            if not part:
                break
            *whole, rest = (rest + part).split(b"\n")
            lines += [line.decode(errors="replace") for line in whole]
            if any(words in line for line in lines[-len(whole) :] if whole):
                return lines
    failed = [line for line in lines if " E " in line]
    raise RuntimeError("\n".join(failed or lines[-20:]) or "the engine said nothing")
