"""`GET /config` and `GET /engines/_configure/effective`: settings and their origins. Ours."""

from typing import Any

import msgspec


class Effective(msgspec.Struct):
    """One setting. `origin`: `default`, a file, a variable or a flag."""

    value: Any
    origin: str


class Running(msgspec.Struct, omit_defaults=True):
    """The runner of a model now. `says`: what its engine answers when it is asked; `differs`: where
    that is not what the settings say.
    """

    state: str
    pid: int
    build: str
    says: dict[str, Any] = {}
    differs: list[str] = []
    problem: str = ""


class EffectiveModel(msgspec.Struct, omit_defaults=True):
    """What a model runs with, or would, in one mode; `problem`: why it cannot."""

    model: str
    backend: str
    mode: str
    settings: dict[str, Effective] = {}
    running: Running | None = None
    problem: str = ""
    hint: str = ""
