"""Files named in a message: `@notes.md` becomes its text, a path to a picture becomes the picture.

Only in what the user typed. What comes in by a pipe is someone else's text, and a page that says
`@~/.ssh/id_rsa` must not send a key anywhere.
"""

import base64
import re
from pathlib import Path
from typing import Any, Final

from stoker.base.errors import InvalidSetting
from stoker.cli.filenames import file_path

_MAX_PICTURE: Final = 100 * 1024 * 1024
# Far beyond any model's context; more is a mistake, such as the wrong file.
_MAX_TEXT: Final = 8 * 1024 * 1024
# A quoted path, or one without blanks in which a shell's backslashes may stand.
_QUOTED: Final = r"\"[^\"]+\"|'[^']+'"
_FILE: Final = re.compile(rf"(?<!\S)@({_QUOTED}|(?:\\.|[^\s\\])+)")
_PICTURE: Final = re.compile(
    r"(?<!\S)(\"[^\"]+\.(?:jpe?g|png|webp)\"|'[^']+\.(?:jpe?g|png|webp)'"
    r"|(?:\.{0,2}/|~/)(?:\\.|[^\s\\])*\.(?:jpe?g|png|webp))(?!\S)",
    re.IGNORECASE,
)
_MAGIC: Final = (
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"WEBP", 8, "image/webp"),
)


Content = str | list[dict[str, Any]]
"""Of a user message: text, or OpenAI's parts when there are pictures."""


def expand(text: str) -> Content:
    """The message with the files it names.

    What names no readable file stays as it is. Raises InvalidSetting for a picture that is none.
    """
    body = _FILE.sub(_included, text)
    pictures: list[dict[str, Any]] = []

    def take(match: re.Match[str]) -> str:
        path = _path(match[1])
        if not _is_file(path):
            return match[0]
        pictures.append({"type": "image_url", "image_url": {"url": _data_url(path)}})
        return ""

    # In the original text: a file that was included may name pictures of its own.
    found = _PICTURE.sub(take, text)
    if not pictures:
        return body
    rest = _FILE.sub(_included, found).strip()
    return [*pictures, {"type": "text", "text": rest}] if rest else pictures


def _included(match: re.Match[str]) -> str:
    path = _path(match[1])
    if not _is_file(path) or _PICTURE.fullmatch(match[1]):
        return match[0]
    try:
        size = path.stat().st_size
        if size > _MAX_TEXT:
            raise InvalidSetting(f"{path} has {size} bytes; at most {_MAX_TEXT} fit in a message")
        return path.read_text(encoding="utf-8")
    except (PermissionError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"cannot include {path}: {error}") from error


def _data_url(path: Path) -> str:
    data = path.read_bytes() if path.stat().st_size <= _MAX_PICTURE else None
    if data is None:
        raise InvalidSetting(
            f"couldn't process image {str(path)!r}: file size exceeds maximum limit (100 MB)"
        )
    for magic, offset, kind in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return f"data:{kind};base64,{base64.b64encode(data).decode()}"
    raise InvalidSetting(
        f"couldn't process image {str(path)!r}: invalid image type for file: {path}"
    )


def _path(text: str) -> Path:
    plain = text[1:-1] if text[0] in "\"'" else re.sub(r"\\(.)", r"\1", text)
    return file_path(plain)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a name can be, or with a NUL in it: just words
        return False
