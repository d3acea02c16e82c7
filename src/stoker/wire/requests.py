"""Messages of `GET /engines/requests`; the keys are Docker Model Runner's."""

from typing import Any

import msgspec


class Record(msgspec.Struct, omit_defaults=True):
    """One request; `request` and `response` are bodies. `timestamp` in unix seconds."""

    id: str
    model: str
    method: str
    url: str
    request: str
    response: str = ""
    error: str = ""
    timestamp: int = msgspec.field(default_factory=int)
    status_code: int = msgspec.field(default_factory=int)


class Recorded(msgspec.Struct):
    """What is kept of one model; `model` is its id, in a live stream the name that was asked."""

    count: int
    model: str
    config: dict[str, Any]
    records: list[Record]
