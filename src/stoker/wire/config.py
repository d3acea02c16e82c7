"""`GET /config`: what the daemon runs with. Ours."""

from typing import Any

import msgspec


class Effective(msgspec.Struct):
    """One setting. `origin`: `default`, a file, a variable or a flag."""

    value: Any
    origin: str
