"""A line of an engine's log that tells why it failed, and what that means to the user."""

import re
from dataclasses import dataclass

from stoker.engines.spec import Reason


@dataclass(frozen=True, slots=True)
class Sign:
    """`message` is filled with the pattern's groups."""

    pattern: re.Pattern[str]
    reason: Reason
    message: str
    hint: str | None = None


def sign(pattern: str, reason: Reason, message: str, hint: str | None = None) -> Sign:
    """A sign, its pattern compiled."""
    return Sign(re.compile(pattern), reason, message, hint)
