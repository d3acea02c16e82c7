"""How a model will be run, and what that costs."""

from typing import Final

from stoker.library.settings import SettingsKey, SettingsStore
from stoker.planner.spec import Mode, ModelSpec, RunSettings

# What an engine process takes beside the weights; measured with a tiny model.
_PROCESS: Final = 64 * 1024 * 1024
# Keys, values and buffers in proportion to the weights, at the context the engines start with.
_CONTEXT_SHARE: Final = 0.15


class RunPlanner:
    """Settings and memory of a run."""

    def __init__(self, settings: SettingsStore) -> None:
        self._settings = settings

    def settings(self, engine: str, model: ModelSpec, mode: Mode) -> RunSettings:
        """What `configure` set for this model in this mode."""
        return self._settings.of(SettingsKey(engine, model.id, mode))

    def memory(self, engine: str, model: ModelSpec, settings: RunSettings) -> int:
        """Estimated bytes of host memory."""
        del engine, settings
        return int(model.weights_size * (1 + _CONTEXT_SHARE)) + _PROCESS
