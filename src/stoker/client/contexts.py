"""Named addresses of daemons, as `stoker context` keeps them. Here they are read.

The file is `contexts.json` in the configuration directory, in Docker Model Runner's form. It holds
no secrets.
"""

from pathlib import Path
from typing import Final

import msgspec

from stoker.base.errors import InvalidSetting

DEFAULT: Final = "default"
"""The name that stands for no context: the daemon of this machine is looked for."""


class Tls(msgspec.Struct, rename="camel", omit_defaults=True):
    """How a daemon behind TLS is trusted; `ca_cert` is an absolute path."""

    enabled: bool = False
    skip_verify: bool = False
    ca_cert: str = ""


class Context(msgspec.Struct, rename="camel"):
    """One address. `created_at` is RFC 3339."""

    host: str
    tls: Tls = msgspec.field(default_factory=Tls)
    description: str = ""
    created_at: str = ""


class Contexts(msgspec.Struct):
    """The whole file. `current` is empty for `default`."""

    version: int = 1
    current: str = ""
    contexts: dict[str, Context] = msgspec.field(default_factory=dict)

    def find(self, name: str) -> Context:
        """The context of that name. Raises InvalidSetting."""
        if name not in self.contexts:
            known = ", ".join([DEFAULT, *sorted(self.contexts)])
            raise InvalidSetting(f'context "{name}" does not exist', hint=f"there are: {known}")
        return self.contexts[name]


def read_contexts(path: Path) -> Contexts:
    """The file, or what holds without one. Raises InvalidSetting."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Contexts)
    except (FileNotFoundError, NotADirectoryError):
        return Contexts()
    except (OSError, msgspec.MsgspecError) as error:
        raise InvalidSetting(
            f"{path} is not readable as contexts: {error}", hint="mend it, or delete it"
        ) from error
