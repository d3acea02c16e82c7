"""`python -m fuzz`: every target for FUZZ_SECONDS (30); `python -m fuzz NAME`: one, for ever.

Prints how many inputs were tried. Exits with 1 when something was found; its input is in `.fuzz/`.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

_LOOKED_AT: Final = (
    "stoker.formats", "stoker.oci", "stoker.wire", "stoker.gateway.operation",
    "stoker.gateway.bounds", "stoker.engines.flags", "stoker.registry.challenge",
)  # fmt: skip
with atheris.instrument_imports(include=[*_LOOKED_AT] if sys.argv[1:] else ["nothing"]):
    from fuzz.targets import TARGETS

_FINDS: Final = Path(".fuzz")


def main() -> int:
    """The exit code."""
    if len(sys.argv) > 1:
        target, _ = TARGETS[sys.argv[1]]
        atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
        atheris.Fuzz()
    _FINDS.mkdir(exist_ok=True)
    seconds = os.environ.get("FUZZ_SECONDS", "30")
    found = [name for name in TARGETS if not _tried(name, seconds)]
    return 1 if found else 0


def _tried(name: str, seconds: str) -> bool:
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(TARGETS[name][1]):
            Path(corpus, str(number)).write_bytes(seed)
        done = subprocess.run(
            [sys.executable, "-m", "fuzz", name, f"-max_total_time={seconds}", "-timeout=10",
             "-rss_limit_mb=2048", "-max_len=65536", f"-artifact_prefix={_FINDS}/{name}-", corpus],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    ran = re.search(r"Done (\d+) runs", done.stderr)
    print(f"{name:12} {int(ran[1]) if ran else 0:>10,} inputs", flush=True)
    if done.returncode:
        print("\n".join([*done.stdout.splitlines()[-25:], *done.stderr.splitlines()[-25:]]))
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
