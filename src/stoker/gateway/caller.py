"""Who sent a request, and which models that lets it use."""

from typing import Final, Protocol

from aiohttp import web

from stoker.access import Caller
from stoker.base.errors import Forbidden
from stoker.oci.defaults import display_name

CALLER: Final = web.RequestKey("caller", Caller)
"""Set before any handler runs, see `api/admission`."""


class Names(Protocol):
    """Knows the names of models; the library."""

    def names_of(self, text: str) -> tuple[str, ...]:
        """All canonical names of the model that `text` means, or the one it would have."""
        ...


def require_model(request: web.Request, library: Names, name: str) -> None:
    """Raises Forbidden, whether there is such a model or not: who may not use it learns nothing."""
    caller = request[CALLER]
    if caller.models is not None and not caller.may_use(library.names_of(name)):
        known = ", ".join(sorted(display_name(model) for model in caller.models))
        raise Forbidden(f"{caller.name} may not use {name}", hint=f"it may use: {known}")
