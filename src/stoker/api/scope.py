"""Which routes are for whom. A handler that says nothing is for those who may manage everything."""

from collections.abc import Callable
from enum import Enum
from typing import Final, TypeVar

_H = TypeVar("_H")
_MARK: Final = "__stoker_scope__"


class Scope(Enum):
    """Whom a handler answers."""

    PUBLIC = "anybody"
    MODELS = "whoever may use a model; the handler asks which"
    MANAGEMENT = "whoever may do everything"


def open_to(scope: Scope) -> Callable[[_H], _H]:
    """A decorator for handlers."""

    def mark(handler: _H) -> _H:
        setattr(handler, _MARK, scope)
        return handler

    return mark


def scope_of(handler: object) -> Scope:
    """For whom this handler is."""
    scope: Scope = getattr(handler, _MARK, Scope.MANAGEMENT)
    return scope
