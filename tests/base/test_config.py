"""Configuration: layers, origins, refusals."""

from pathlib import Path

import pytest

from stoker.base.config import load_config
from stoker.base.errors import InvalidSetting
from stoker.base.remembered import read_remembered, remembering


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


def test_what_start_runner_was_told_lies_between_file_and_environment(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('port = 1\nhost = "127.0.0.2"\n')
    told = tmp_path / "runner.json"
    with remembering(told, {"port": 2}), remembering(told, {"gpu": "vulkan"}):
        config = load_config(tmp_path, {}, {}, remembered=told)
        assert (config.host, config.port, config.gpu) == ("127.0.0.2", 2, "vulkan")
        assert config.origins["port"] == str(told)
        config = load_config(tmp_path, {"MODEL_RUNNER_PORT": "3"}, {}, remembered=told)
        assert config.port == 3


def test_what_failed_is_not_remembered(tmp_path: Path) -> None:
    told = tmp_path / "runner.json"
    with pytest.raises(KeyError), remembering(told, {"port": 2}):
        raise KeyError
    assert not told.exists()
    with remembering(told, {"port": 2}):
        pass
    with pytest.raises(KeyError), remembering(told, {"port": 3, "host": "::1"}):
        raise KeyError
    assert read_remembered(told) == {"port": 2}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"engine": 1}', "\xff"])
def test_a_damaged_memory_is_said(tmp_path: Path, content: str) -> None:
    told = tmp_path / "runner.json"
    told.write_text(content, encoding="latin-1")
    with pytest.raises(InvalidSetting, match="damaged"):
        read_remembered(told)


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
        ('gpu = "quantum"', {}, "gpu cannot be 'quantum'; it must be one of auto, none"),
    ],
)
def test_impossible_values_name_their_origin(
    tmp_path: Path, file: str, variables: dict[str, str], words: str
) -> None:
    (tmp_path / "config.toml").write_text(file)
    with pytest.raises(InvalidSetting, match=words.replace("(", r"\(")) as caught:
        load_config(tmp_path, variables, {})
    assert "\n" not in caught.value.message
