"""Log lines: one for each event, without secrets, whoever wrote the text."""

import json
import logging

import pytest

from stoker.observe.lines import LINES, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key stk_Zm9vYmFyYmF6cXV4 used", "key stk_*** used"),
        ("Authorization: Bearer abc.def-ghi_jkl=", "Authorization: Bearer ***"),
        ("authorization=bearer 0123456789", "authorization=bearer ***"),
        ("token hf_abcdefghijklmnop", "token hf_***"),
        ("OPENAI_API_KEY=sk-proj-abcdefghijkl", "OPENAI_API_KEY=sk-***"),
        ("GET https://me:secret@host.example/v2/", "GET https://***@host.example/v2/"),
        ("host:port@sha256 and task-force stay", "host:port@sha256 and task-force stay"),
        (
            "pull registry.example:5000/a/b@sha256:0123",
            "pull registry.example:5000/a/b@sha256:0123",
        ),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


HOSTILE = "name\r\n[2026-01-01T00:00:00.000000000Z] INFO forged \x1b[2J\u2028 stk_aaaaaaaaaaaaaa"


@pytest.mark.parametrize("form", ["text", "json"])
def test_row_15_text_of_others_cannot_forge_a_line(form: str) -> None:
    record = logging.makeLogRecord({"msg": "pulling model=%s", "args": (HOSTILE,)})
    for line in (LINES[form].service().format(record), LINES[form].engine("e", "m", HOSTILE)):
        written = line.split("\n")
        assert not any(one.startswith("[2026-01-01") for one in written)
        assert "\x1b" not in line
        assert "\r" not in line
        assert "stk_a" not in line


def test_json_lines_are_objects_that_begin_with_their_time() -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("what\nhappened")
    info = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("stoker.x", logging.ERROR, "", 0, "bug", (), info)
    line = LINES["json"].service().format(record)
    said = json.loads(line)
    assert list(said) == ["time", "level", "logger", "message", "exception"]
    assert (said["level"], said["logger"], said["message"]) == ("ERROR", "stoker.x", "bug")
    assert "ValueError: invalid literal" in said["exception"]
    assert "\n" not in line
