"""Names of files as people type them."""

from pathlib import Path


def file_path(text: str) -> Path:
    """`~` is the home directory; `~somebody` without one is a name like any other."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
