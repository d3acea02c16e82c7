"""requirements/*.txt pin what pyproject.toml asks for, with hashes, and name no place to get it."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def names(requirements: list[object]) -> set[str]:
    texts = [text for text in requirements if isinstance(text, str)]
    found = (re.match(r"[\w.-]+", text) for text in texts)
    return {re.sub(r"[_.]", "-", match[0].lower()) for match in found if match}


def pinned(file: str) -> dict[str, str]:
    text = (ROOT / "requirements" / file).read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("file", ["run.txt", "dev.txt"])
def test_every_line_has_a_version_and_hashes(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text().replace("\\\n", "")
    for line in text.splitlines():
        assert re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line
    assert "://" not in text
    assert "index" not in text.lower()


def test_nothing_is_forgotten() -> None:
    run = names(PROJECT["project"]["dependencies"])
    assert run <= set(pinned("run.txt"))
    groups = PROJECT["dependency-groups"]
    assert run | names(groups["check"]) | names(groups["test"]) <= set(pinned("dev.txt"))
    assert pinned("run.txt").items() <= pinned("dev.txt").items()
