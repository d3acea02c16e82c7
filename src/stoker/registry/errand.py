"""What a request is for. Pure."""

from dataclasses import dataclass, replace
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Errand:
    """What a request is for: the words for its errors and the rights it needs."""

    action: str
    reference: str
    scopes: frozenset[str]

    @property
    def failed(self) -> str:
        return f'failed to {self.action} model "{self.reference}"'

    def also(self, scope: str) -> "Errand":
        """The same with one more right."""
        return replace(self, scopes=self.scopes | {scope})


def pull_scope(repository: str) -> str:
    """The right to read (distribution, "Token Scope Documentation")."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """The right to read and write."""
    return f"repository:{repository}:pull,push"
