"""What we ask a host for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from yarl import URL


@dataclass(frozen=True, slots=True)
class Request:
    """What to send.

    `repeatable` overrules the method's own idempotence; a `secret_body` never leaves its origin;
    the answer to a `slow` request may take minutes.
    """

    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    repeatable: bool | None = None
    secret_body: bool = False
    slow: bool = False

    def with_headers(self, **headers: str) -> "Request":
        """The same with more headers; underscores stand for hyphens."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})
