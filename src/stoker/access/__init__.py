"""Who may use what: API keys at rest, and what each of them allows."""

from stoker.access.caller import LOCAL, Caller
from stoker.access.keys import Key, KeyFile
from stoker.access.ring import KeyRing

__all__ = ["LOCAL", "Caller", "Key", "KeyFile", "KeyRing"]
