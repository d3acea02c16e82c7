"""Which engine runs a model. Pure."""

from collections.abc import Mapping

from stoker.base.errors import NotFound, UnsupportedFormat
from stoker.engines.spec import Engine
from stoker.planner.spec import ModelSpec


def choose(engines: Mapping[str, Engine], model: ModelSpec, named: str | None) -> Engine:
    """The engine of that name, or else the first that reads the model's format.

    Raises UnsupportedFormat, and NotFound for an engine that nobody knows.
    """
    if named is None:
        for engine in engines.values():
            if model.format in engine.formats:
                return engine
        raise UnsupportedFormat(
            f"no engine here reads {model.format} models ({model.name})",
            hint="stoker status lists the engines",
        )
    chosen = engines.get(named)
    if chosen is None:
        raise NotFound("backend not found", hint=f"known engines: {', '.join(engines)}")
    if model.format not in chosen.formats:
        able = (one.name for one in engines.values() if model.format in one.formats)
        names = " or ".join(able) or "none installed here"
        raise UnsupportedFormat(
            f"{named} cannot run {model.name}: it is a {model.format} model",
            hint=f"engines that read {model.format}: {names}",
        )
    return chosen
