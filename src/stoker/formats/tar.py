"""Reading tar archives of strangers: bytes go in, members and their content come out.

The standard library's reader keeps extension headers of any size in memory and understands links
and sparse files; this one bounds what it keeps and gives nothing but names, kinds and bytes. POSIX
1003.1 ustar and pax, and GNU's long names and large sizes: what Go, GNU tar and Python write.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, final

from stoker.base.errors import ParseError

BLOCK: Final = tarfile.BLOCKSIZE
MAX_HEADERS: Final = 200_000
"""Of one archive: ten times the files of the largest known repositories, with extensions."""
MAX_EXTENSION: Final = 1024 * 1024
"""Bytes of one pax header or long name; real ones have some hundred."""
MAX_SIZE: Final = 2**53 - 1

_PLAIN: Final = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
_LINKS: Final = frozenset({tarfile.LNKTYPE, tarfile.SYMTYPE})
# "No data blocks follow", whatever the size field says.
_BODILESS: Final = _LINKS | {
    tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
}  # fmt: skip
_SPARSE = "GNU.sparse."


class MemberKind(Enum):
    """What a member is. `value` is for messages."""

    FILE = "a file"
    DIRECTORY = "a directory"
    LINK = "a link"
    OTHER = "neither file nor directory"


@dataclass(frozen=True, slots=True)
class Member:
    """A header; its content follows in pieces. `name` is as the archive has it, unchecked."""

    name: str
    kind: MemberKind
    size: int
    """Bytes of content that follow."""


@final
class TarParser:
    """Feed it until the archive ends, then `close` it. Raises ParseError."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._position = 0
        self._left = 0
        self._padding = 0
        self._headers = 0
        self._extension: bytearray | None = None
        self._kind = b""
        # From extension headers, for the next member.
        self._name: str | None = None
        self._size: int | None = None
        self._sparse = False
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Member | bytes]:
        """A Member for each header, and its content in pieces as they are."""
        view, at = memoryview(data), 0
        while at < len(view) and not self._ended:
            if self._left:
                piece = view[at : at + self._left]
                self._left -= len(piece)
                if self._extension is None:
                    yield bytes(piece)
                else:
                    self._extension += piece
                    self._finish_extension()
            elif self._padding:
                piece = view[at : at + self._padding]
                self._padding -= len(piece)
            else:
                piece = view[at : at + BLOCK - len(self._header)]
                self._header += piece
                if len(self._header) == BLOCK:
                    member = self._begin(bytes(self._header))
                    self._header.clear()
                    if member:
                        yield member
            at += len(piece)
            self._position += len(piece)

    def close(self) -> None:
        """Raises ParseError when the archive ends in the middle of something."""
        inside = self._left or self._padding or self._header or self._name is not None
        if inside and not self._ended:
            raise self._error("the archive ends in the middle of a file; it is incomplete")

    def _begin(self, block: bytes) -> Member | None:
        self._headers += 1
        if self._headers > MAX_HEADERS:
            raise self._error(f"more than {MAX_HEADERS} entries")
        if not any(block):
            self._ended = True
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise self._error(f"not a tar archive: {error}") from error
        if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            self._begin_extension(info)
            return None
        if info.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            self._expect(info.size)
            # Passed over: content of a member that nobody is told of.
            self._extension, self._kind = bytearray(), b""
            return None
        return self._member(info)

    def _member(self, info: tarfile.TarInfo) -> Member:
        size = info.size if self._size is None else self._size
        name = info.name if self._name is None else self._name
        sparse = self._sparse or info.type == tarfile.GNUTYPE_SPARSE
        self._name, self._size, self._sparse = None, None, False
        if info.type in _BODILESS:
            size = 0
        self._expect(size)
        kind = MemberKind.OTHER
        if info.type in _PLAIN and not sparse:
            kind = MemberKind.FILE
        elif info.type == tarfile.DIRTYPE:
            kind = MemberKind.DIRECTORY
        elif info.type in _LINKS:
            kind = MemberKind.LINK
        return Member(name, kind, size)

    def _expect(self, size: int) -> None:
        if not 0 <= size <= MAX_SIZE:
            raise self._error(f"impossible size {size}")
        self._extension = None
        self._left = size
        self._padding = -size % BLOCK

    def _begin_extension(self, info: tarfile.TarInfo) -> None:
        if info.size > MAX_EXTENSION:
            raise self._error(f"an extension header of {info.size} bytes")
        self._expect(info.size)
        self._extension, self._kind = bytearray(), info.type

    def _finish_extension(self) -> None:
        if self._left:
            # A global header or long link name may be as long as it likes: it is not kept.
            if not self._kind and self._extension:
                self._extension.clear()
            return
        data, self._extension = bytes(self._extension or b""), None
        if self._kind == tarfile.GNUTYPE_LONGNAME:
            self._name = data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        elif self._kind:
            self._read_pax(data)

    def _read_pax(self, data: bytes) -> None:
        """Records `<length> <key>=<value>` and a newline; only names and sizes matter here."""
        while data:
            digits, space, _ = data[:20].partition(b" ")
            length = int(digits) if digits.isdigit() else 0
            record = data[len(digits) + 1 : length]
            if not space or not length or len(data) < length or not record.endswith(b"\n"):
                raise self._error("a malformed extension header")
            key, _, value = record[:-1].partition(b"=")
            data = data[length:]
            if key == b"path":
                self._name = value.decode("utf-8", "surrogateescape")
            elif key == b"size":
                if not value.isdigit() or len(value) > 20:
                    raise self._error("an impossible size in an extension header")
                self._size = int(value)
            elif key.decode("utf-8", "replace").startswith(_SPARSE):
                self._sparse = True

    def _error(self, what: str) -> ParseError:
        return ParseError(f"tar: {what}", offset=self._position)
