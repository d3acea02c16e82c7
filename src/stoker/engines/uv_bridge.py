"""Runs `uv pip install` with pip's settings: `python uv_bridge.py BACKEND EXCLUDED PACKAGE...`.

uv does not read pip's configuration, so that on a machine with a company's mirror it would go
elsewhere. This file runs in the environment that is being made and imports nothing of Stoker.
BACKEND (`cpu`, `auto`) says which PyTorch is wanted where no mirror is configured; EXCLUDED are
names, with commas between them.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_PIP_TO_UV: Final = {
    "cert": ("SSL_CERT_FILE", ""),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "index-url": ("UV_DEFAULT_INDEX", ""),
    "no-index": ("UV_NO_INDEX", ""),
}


def uv_environment(listing: str) -> dict[str, str]:
    """The variables of uv for what `pip config list` says. A later line counts more in pip."""
    found: dict[str, str] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name not in _PIP_TO_UV:
            continue
        variable, separator = _PIP_TO_UV[name]
        text = str(ast.literal_eval(value)) if value[:1] in ("'", '"') else value
        found[variable] = separator.join(text.split()) if separator else text.strip()
    if "UV_INDEX" in found:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # what pip does: the best of all
    return found


def is_mirrored(settings: dict[str, str]) -> bool:
    """Whether packages come from places of the user's choice, PyTorch too then."""
    return bool(settings.keys() & {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_NO_INDEX"})


def _main(backend: str, excluded: str, packages: list[str]) -> None:
    pip = [sys.executable, "-I", "-m", "pip", "config", "list"]
    listing = subprocess.run(pip, check=False, capture_output=True, text=True).stdout
    settings = uv_environment(listing)
    argv = [sys.executable, "-I", "-m", "uv", "pip", "install", "--python", sys.executable]
    argv += ["--compile-bytecode", "--no-progress"]
    if not is_mirrored(settings):
        argv += ["--torch-backend", backend]
    if excluded:
        listed = Path(sys.prefix) / "excluded.txt"
        listed.write_text(excluded.replace(",", "\n") + "\n", encoding="utf-8")
        argv += ["--excludes", str(listed)]
    # What is in the environment was set on purpose and counts more than a file.
    os.execve(argv[0], [*argv, *packages], {**settings, **os.environ})  # noqa: S606  # no shell


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], sys.argv[3:])
