"""What a handler reads of its query: a struct, decoded for it and shown in `/openapi.json`."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import inspect

from stoker.base.errors import InvalidSetting, UserError

_S = TypeVar("_S")
_Q = TypeVar("_Q", bound=msgspec.Struct)
_Handler = Callable[[_S, web.Request], Awaitable[web.StreamResponse]]
_Reader = Callable[[_S, web.Request, _Q], Awaitable[web.StreamResponse]]
_MARK: Final = "__stoker_query__"

# As Go's strconv reads them; a name without a value is a switch that is on.
_TRUE: Final = ("", "1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")


class OfModel(msgspec.Struct):
    """What several handlers read: a model, or all of them."""

    model: str = ""


def reads(kind: type[_Q]) -> Callable[[_Reader[_S, _Q]], _Handler[_S]]:
    """A decorator for handlers, which get the query as their last argument, see `query_of`."""

    def mark(handler: _Reader[_S, _Q]) -> _Handler[_S]:
        @wraps(handler)
        async def with_query(self: _S, request: web.Request) -> web.StreamResponse:
            return await handler(self, request, query_of(request.query, kind))

        setattr(with_query, _MARK, kind)
        return with_query

    return mark


def query_read_by(handler: object) -> type[msgspec.Struct] | None:
    """The struct that a handler reads; None for one that looks at no query."""
    kind: type[msgspec.Struct] | None = getattr(handler, _MARK, None)
    return kind


def query_of(query: Mapping[str, str], kind: type[_Q]) -> _Q:
    """The query as a struct; what the struct does not have is ignored, as Go's servers do.

    What is empty was left out, but for switches. Raises UserError when something is missing,
    InvalidSetting for a value of another kind.
    """
    values: dict[str, Any] = {}
    fields = msgspec.structs.fields(kind)
    for field in fields:
        name, text = field.encode_name, query.get(field.encode_name)
        if text or (text is not None and field.type is bool):
            values[name] = _value(name, text, field.type)
    if any(field.required and field.encode_name not in values for field in fields):
        wanted = " or ".join(field.encode_name for field in fields if field.required)
        raise UserError(f"missing {wanted} query parameter")
    return msgspec.convert(values, kind)


def _value(name: str, text: str, kind: Any) -> Any:
    if kind is bool and text in _TRUE + _FALSE:
        return text in _TRUE
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        raise InvalidSetting(
            f"invalid value for {name!r}: {text[:40]!a}", hint=f"it is {_wanted(kind)}"
        ) from None


def _wanted(kind: Any) -> str:
    match inspect.type_info(kind):
        case inspect.BoolType():
            return "true or false"
        case inspect.EnumType(cls):
            return f"one of {', '.join(str(member.value) for member in cls)}"
        case inspect.LiteralType(values):
            return f"one of {', '.join(map(str, values))}"
        case _:
            return "a whole number"
