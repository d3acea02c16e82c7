"""Makes a method of a function that builds a call: its name, words and types stay."""

from collections.abc import Callable
from functools import update_wrapper
from inspect import Parameter, signature
from typing import Any, TypeVar, get_args

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
