"""The id of the request that is being answered, for whoever writes about it."""

import random
import re
from contextvars import ContextVar
from typing import Final

HEADER: Final = "X-Request-Id"

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Empty outside of requests. Tasks that a request starts keep its id."""

# What UUIDs, ULIDs, trace ids and most proxies' own are made of.
_SANE: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


def accepted(given: str | None) -> str:
    """The client's own id, if it can stand in a header and in a log; else a new one."""
    if given and _SANE.fullmatch(given):
        return given
    return f"{random.getrandbits(48):012x}"  # no secret, it need only differ
