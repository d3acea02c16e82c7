"""Which file names an artifact may have. Refused, never repaired. Pure."""

import posixpath
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from stoker.base.errors import UnsupportedFormat

# Linux: NAME_MAX is 255 bytes; PATH_MAX 4096 includes the store's own directory.
_MAX_COMPONENT: Final = 255
_MAX_PATH: Final = 2048
_DRIVE = re.compile(r"[A-Za-z]:")
# Control characters, invisible format characters (they turn text around), surrogates, separators.
_UNSEEN: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def check_names(names: Iterable[str]) -> None:
    """Raises UnsupportedFormat for a name that leads elsewhere, or two that could be one file."""
    seen: dict[str, str] = {}
    for name in names:
        why = flaw_of(name)
        if why:
            raise _refused(name, why)
        folded = _folded(name)
        if folded in seen:
            raise _refused(name, f"it could be the same file as {seen[folded]!a}")
        seen[folded] = name
    for folded, name in seen.items():
        parent = posixpath.dirname(folded)
        while parent:
            if parent in seen:
                raise _refused(name, f"{seen[parent]!a} is a file, not a directory")
            parent = posixpath.dirname(parent)


def _folded(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def flaw_of(name: str) -> str:
    """Why no artifact may have a file of this name, as a clause; empty if one may."""
    if not name or len(name) > _MAX_PATH:
        return f"it must have 1 to {_MAX_PATH} characters"
    if any(unicodedata.category(character) in _UNSEEN for character in name):
        return "it has invisible characters"
    # The compatibility form shows what look-alikes of dots and slashes stand for.
    for text in (name, unicodedata.normalize("NFKC", name)):
        if "\\" in text or text.startswith("/") or _DRIVE.match(text):
            return "it must be relative, with forward slashes"
        if text.count("/") != name.count("/"):
            return "it has a look-alike of a slash"
        for component in text.split("/"):
            if component.strip(". ") == "":
                return "it has a component without a name"
            if component.endswith((".", " ")) or component.startswith(" "):
                return "a component ends in a dot or begins or ends in a space"
            if len(component.encode()) > _MAX_COMPONENT:
                return f"a component is longer than {_MAX_COMPONENT} bytes"
    return ""


def _refused(name: str, why: str) -> UnsupportedFormat:
    shown = ascii(name if len(name) <= 100 else f"{name[:97]}...")
    return UnsupportedFormat(
        f"refused: the artifact has a file named {shown}: {why}",
        hint="tell the publisher of the model; nothing was unpacked",
    )
