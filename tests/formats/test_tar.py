"""Tar archives of strangers: what the standard library writes is read, what is odd is bounded."""

import io
import struct
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.base.errors import ParseError
from stoker.formats import tar as tar_module
from stoker.formats.tar import Member, MemberKind, TarParser

LONG = "/".join(["directory"] * 20) + "/ä-file.txt"


def read(data: bytes, step: int = 1000) -> list[tuple[Member, bytes]]:
    parser = TarParser()
    found: list[tuple[Member, bytearray]] = []
    for at in range(0, len(data), step):
        for event in parser.feed(data[at : at + step]):
            if isinstance(event, Member):
                found.append((event, bytearray()))
            else:
                found[-1][1].extend(event)
    parser.close()
    return [(member, bytes(content)) for member, content in found]


def tar(*members: tuple[str, bytes, dict[str, Any]], kind: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=kind) as archive:
        for name, data, attributes in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 512, 513, 1 << 20])
def test_what_others_write_is_read(kind: int, step: int) -> None:
    data = tar(
        ("short", b"x" * 600, {}),
        (LONG, b"content", {}),
        ("empty", b"", {}),
        ("folder", b"", {"type": tarfile.DIRTYPE}),
        ("link", b"", {"type": tarfile.SYMTYPE, "linkname": "x" * 300}),
        kind=kind,
    )
    assert read(data, step) == [
        (Member("short", MemberKind.FILE, 600), b"x" * 600),
        (Member(LONG, MemberKind.FILE, 7), b"content"),
        (Member("empty", MemberKind.FILE, 0), b""),
        (Member("folder", MemberKind.DIRECTORY, 0), b""),
        (Member("link", MemberKind.LINK, 0), b""),
    ]


def test_sizes_beyond_what_eleven_octal_digits_hold() -> None:
    size = 9 << 30
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        info = tarfile.TarInfo("big")
        info.size = size
        parser = TarParser()
        (member,) = parser.feed(info.tobuf(kind))
        assert member == Member("big", MemberKind.FILE, size)
        with pytest.raises(ParseError, match="incomplete"):
            parser.close()


def test_global_headers_are_passed_over() -> None:
    info = tarfile.TarInfo.create_pax_global_header({"comment": "x" * 5000, "path": "evil"})
    assert [m.name for m, _ in read(info + tar(("name", b"data", {})))] == ["name"]


def test_sparse_files_are_no_files() -> None:
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": "99999999999"}
    data = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    assert [m.kind for m, _ in read(data)] == [MemberKind.OTHER]


def test_extension_headers_are_bounded() -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        info = tarfile.TarInfo("x")
        info.type, info.size = kind, 10 << 30
        with pytest.raises(ParseError, match="extension header"):
            list(TarParser().feed(info.tobuf(tarfile.GNU_FORMAT)))


@pytest.mark.parametrize("records", [b"99 path=x\n", b"path=x\n", b"0 path=x\n", b"5 a=b", b"\n"])
def test_malformed_extension_headers(records: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    data = info.tobuf() + records.ljust(512, b"\0") + tar(("name", b"", {}))
    with pytest.raises(ParseError, match="extension header"):
        read(data)


def test_negative_and_absurd_sizes() -> None:
    for size in (-1, 1 << 60):
        header = bytearray(tarfile.TarInfo("x").tobuf())
        header[124:136] = (b"\xff" if size < 0 else b"\x80") + struct.pack(">xxxq", size)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        with pytest.raises(ParseError, match="impossible size"):
            list(TarParser().feed(bytes(header)))


def test_an_endless_list_of_headers_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_module, "MAX_HEADERS", 5000)
    header = tarfile.TarInfo("x").tobuf()
    parser = TarParser()
    for _ in range(5):
        list(parser.feed(header * 1000))
    with pytest.raises(ParseError, match="entries"):
        list(parser.feed(header))


@given(st.binary(max_size=3000), st.integers(1, 700))
def test_any_bytes_give_members_or_our_error(data: bytes, step: int) -> None:
    try:
        read(data, step)
    except ParseError:
        return


@given(st.data())
def test_any_damage_gives_members_or_our_error(data: st.DataObject) -> None:
    whole = bytearray(tar(("a", b"x" * 700, {}), (LONG, b"y", {})))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(whole))
    except ParseError:
        return
