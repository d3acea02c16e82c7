"""Configuration: layers, origins, refusals."""

from pathlib import Path

import pytest

from stoker.base.config import load_config
from stoker.base.errors import InvalidSetting


def test_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path, {}, {})
    assert (config.host, config.port, config.log_level) == ("127.0.0.1", 12434, "info")
    assert set(config.origins.values()) == {"default"}


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('port = 1\nhost = "127.0.0.2"\nlog_level = "debug"\n')
    config = load_config(tmp_path, {"MODEL_RUNNER_PORT": "2", "LOG_LEVEL": "warn"}, {"port": 3})
    assert (config.host, config.port, config.log_level) == ("127.0.0.2", 3, "warning")
    assert config.origins["port"] == "--port"
    assert config.origins["log_level"] == "LOG_LEVEL"
    assert config.origins["host"].endswith("config.toml")


@pytest.mark.parametrize(
    ("file", "variables", "words"),
    [
        ("port = 70000", {}, "config.toml: port cannot be 70000"),
        ("", {"MODEL_RUNNER_PORT": "x"}, "MODEL_RUNNER_PORT: port cannot be 'x'"),
        ("", {"LOG_LEVEL": "loud"}, "must be one of debug, info, warning, error"),
        ("memory_budget = -1", {}, "memory_budget cannot be -1"),
        ("host = 5", {}, "host cannot be 5; it must be a text"),
        ("prot = 1", {}, "unknown setting 'prot'"),
        ("port = ", {}, "config.toml"),
    ],
)
def test_impossible_values_name_their_origin(
    tmp_path: Path, file: str, variables: dict[str, str], words: str
) -> None:
    (tmp_path / "config.toml").write_text(file)
    with pytest.raises(InvalidSetting, match=words.replace("(", r"\(")) as caught:
        load_config(tmp_path, variables, {})
    assert "\n" not in caught.value.message
