"""Files named in a message."""

import base64
from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting
from stoker.cli import attachments
from stoker.cli.attachments import expand
from tests.cli.conftest import Stoker
from tests.components.stub_daemon import Stub

PNG = b"\x89PNG\r\n\x1a\n rest"
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
PICTURE = {"type": "image_url", "image_url": {"url": URL}}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("alpha")
    (tmp_path / "two words.txt").write_text("beta")
    (tmp_path / "p.png").write_bytes(PNG)
    (tmp_path / "two words.PNG").write_bytes(PNG)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("plain", "plain"),
        ("say @a.txt!", "say @a.txt!"),  # no such file: the mark belongs to the name
        ("say @a.txt now", "say alpha now"),
        ("@\"two words.txt\" @'a.txt'", "beta alpha"),
        ("@two\\ words.txt", "beta"),
        ("@nothing.txt and me@a.txt", "@nothing.txt and me@a.txt"),
        ("@~/a.txt", "alpha"),
        ("look at ./none.png", "look at ./none.png"),
        ("@~nobody-of-that-name/x", "@~nobody-of-that-name/x"),
        (f"@{'x' * 5000}", f"@{'x' * 5000}"),
        ("@a\0b ./\0.png", "@a\0b ./\0.png"),
        ("@", "@"),
        ("p.png is only a word", "p.png is only a word"),
    ],
)
def test_text(text: str, content: str) -> None:
    assert expand(text) == content


@pytest.mark.parametrize(
    "text", ["what is ./p.png", "./p.png what is", "what is './p.png'", 'what is "two words.PNG"']
)
def test_pictures(text: str) -> None:
    assert expand(text) == [PICTURE, {"type": "text", "text": "what is"}]


def test_only_pictures() -> None:
    assert expand("./p.png ./two\\ words.PNG") == [PICTURE, PICTURE]


def test_an_included_file_includes_nothing_itself(directory: Path) -> None:
    (directory / "b.txt").write_text("@a.txt ./p.png")
    assert expand("@b.txt") == "@a.txt ./p.png"


def test_other_kinds(directory: Path) -> None:
    (directory / "x.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (directory / "x.webp").write_bytes(b"RIFF1234WEBPVP8 ")
    parts = expand("./x.jpg ./x.webp")
    assert [part["image_url"]["url"][:16] for part in parts if isinstance(part, dict)] == [
        "data:image/jpeg;",
        "data:image/webp;",
    ]


def test_what_cannot_be_sent(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "fake.png").write_text("GIF89a")
    with pytest.raises(InvalidSetting, match="invalid image type for file"):
        expand("./fake.png")
    (directory / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidSetting, match="cannot include binary"):
        expand("@binary")
    monkeypatch.setattr(attachments, "_MAX_TEXT", 3)
    with pytest.raises(InvalidSetting, match="has 5 bytes"):
        expand("@a.txt")
    monkeypatch.setattr(attachments, "_MAX_PICTURE", 3)
    with pytest.raises(InvalidSetting, match=r"exceeds maximum limit \(100 MB\)"):
        expand("./p.png")


def test_what_is_piped_names_no_files(stoker: Stoker, daemon: Stub) -> None:
    stoker("run", "smollm2", "@a.txt", stdin="@a.txt")
    stoker("run", "smollm2", "see ./p.png", stdin="./p.png")
    contents = [chat["messages"][0]["content"] for chat in daemon.chats()]
    assert contents == [
        "alpha\n\n@a.txt",
        [PICTURE, {"type": "text", "text": "see"}, {"type": "text", "text": "./p.png"}],
    ]
