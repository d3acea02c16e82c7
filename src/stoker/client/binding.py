"""Makes a method of a function that builds a call: its name, words and types stay."""

from collections.abc import Callable
from functools import update_wrapper
from inspect import Parameter, signature
from typing import Any, TypeVar, cast, final, get_args

F = TypeVar("F", bound=Callable[..., Any])


def method_of(make: Callable[..., object], method: F, *, many: Any = None) -> F:
    """`method`, described as `make`, with `self` first and the answer for its result.

    `many` is the generic type that many answers come in, with a place for theirs. Only `help()` and
    the like see this: type checkers know by themselves.
    """
    own = signature(make)
    (answer,) = get_args(own.return_annotation)
    self = Parameter("self", Parameter.POSITIONAL_ONLY)
    update_wrapper(method, make)
    method.__dict__["__signature__"] = own.replace(
        parameters=[self, *own.parameters.values()],
        return_annotation=many[answer] if many else answer,
    )
    return method


def late(make: Callable[[], F]) -> F:
    """A method that `make` makes when it is first looked up; from then on it is an ordinary one."""
    return cast("F", _Late(make))


@final
class _Late:
    def __init__(self, make: Callable[[], Callable[..., Any]]) -> None:
        self._make = make
        self._name = ""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        setattr(owner, self._name, self._make())
        return getattr(owner if instance is None else instance, self._name)
