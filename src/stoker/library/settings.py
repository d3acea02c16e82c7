"""Run settings of each model: what `configure` set, kept across restarts of the daemon."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from stoker.base.errors import CorruptStore
from stoker.base.units import parse_duration
from stoker.library.kept import write_kept
from stoker.oci.digest import Digest
from stoker.planner.spec import Mode, RunSettings
from stoker.wire.manage import Configuration, Configured

_DEFAULTS: Final = RunSettings()


@dataclass(frozen=True, slots=True)
class SettingsKey:
    """Settings belong to the content, not to a name: retagging keeps them."""

    engine: str
    model: Digest
    mode: Mode


class SettingsStore:
    """Settings in one JSON file, replaced as a whole on every change. One daemon owns it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = {_key(entry): entry for entry in self._read()}

    def entries(self) -> tuple[Configured, ...]:
        """All of them, in the order they were made."""
        return tuple(self._entries.values())

    def put(self, key: SettingsKey, name: str, config: Configuration) -> bool:
        """Replace the settings of a model in a mode; False when nothing changed.

        Raises StorageError; then nothing has.
        """
        entry = Configured(key.engine, name, key.model, key.mode.value, config)
        if self._entries.get(key) == entry:
            return False
        entries = {**self._entries, key: entry}
        write_kept(self._path, list(entries.values()))
        self._entries = entries
        return True

    def of(self, key: SettingsKey) -> RunSettings:
        """The settings to run with. Other modes fall back to those for completion."""
        if not self._entries:
            return _DEFAULTS
        entry = self._entries.get(key) or self._entries.get(
            SettingsKey(key.engine, key.model, Mode.COMPLETION)
        )
        return run_settings(entry.config) if entry else _DEFAULTS

    def _read(self) -> list[Configured]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Configured])
        except FileNotFoundError:
            return []
        except msgspec.MsgspecError as error:
            raise CorruptStore(
                f"{self._path} is not readable as settings: {error}",
                hint="mend it or delete it; models run with their defaults without it",
            ) from error


def run_settings(config: Configuration) -> RunSettings:
    """The wire's settings as the planner and the engines want them. Raises InvalidSetting."""
    return RunSettings(
        # 0 and less than -1 mean "not set", as in Docker Model Runner.
        context_size=config.context_size if _is_context(config.context_size) else None,
        keep_alive=None if config.keep_alive is None else parse_duration(config.keep_alive),
        runtime_flags=tuple(config.runtime_flags),
        reasoning_budget=config.llamacpp.reasoning_budget if config.llamacpp else None,
        hf_overrides=config.vllm.hf_overrides if config.vllm else {},
        gpu_memory_utilization=config.vllm.gpu_memory_utilization if config.vllm else None,
    )


def _is_context(value: int | None) -> bool:
    return value is not None and (value > 0 or value == -1)


def _key(entry: Configured) -> SettingsKey:
    return SettingsKey(entry.backend, Digest(entry.model_id), Mode(entry.mode))
