"""`/openapi.json` and `/docs`: the route table, described. Made from the routes themselves."""

import html
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

import stoker
from stoker.api.health import Health
from stoker.api.query import query_read_by
from stoker.api.scope import Scope, open_to
from stoker.api.views import json_response
from stoker.wire import manage, ollama, ollama_models
from stoker.wire.config import Effective, EffectiveModel
from stoker.wire.requests import Recorded

_TEXT: Final = {"type": "string"}


def _asks(*required: str, **fields: Any) -> dict[str, Any]:
    """The schema of a body whose other fields pass through to the engine."""
    known = {"model": _TEXT, "stream": {"type": "boolean"}, **fields}
    return {"type": "object", "required": ["model", *required], "properties": known}


_MESSAGES: Final = {"type": "array", "items": {"type": "object"}}
_INPUT: Final = {"anyOf": [_TEXT, {"type": "array"}]}
_NUMBER: Final = {"type": "integer", "minimum": 1}

# Path without prefix and `/v1`: what it is for, and what it reads. Structs become schemas.
_ABOUT: Final[Mapping[str, tuple[str, Any]]] = {
    "POST /chat/completions": ("Chat, as OpenAI", _asks("messages", messages=_MESSAGES)),
    "POST /completions": ("Continue a text, as OpenAI", _asks("prompt", prompt=_INPUT)),
    "POST /embeddings": ("Vectors of texts, as OpenAI", _asks("input", input=_INPUT)),
    "POST /rerank": (
        "Order documents by how well they answer a query",
        _asks("query", "documents", query=_TEXT, documents={"type": "array", "items": _TEXT}),
    ),
    "POST /score": (
        "How well each of some texts answers one",
        _asks("text_1", "text_2", text_1=_INPUT, text_2=_INPUT),
    ),
    "POST /responses": ("A response, as OpenAI; remembered for an hour", _asks(input=_INPUT)),
    "POST /responses/input_tokens": ("How many tokens a response would read", _asks(input=_INPUT)),
    "GET /responses/{id}": ("A response that is remembered", None),
    "DELETE /responses/{id}": ("Forget a response", None),
    "GET /responses/{id}/input_items": ("What a response was asked with", None),
    "POST /messages": (
        "Chat, as Anthropic",
        _asks("messages", "max_tokens", messages=_MESSAGES, max_tokens=_NUMBER),
    ),
    "POST /messages/count_tokens": ("Tokens of a chat", _asks("messages", messages=_MESSAGES)),
    "POST /tokenize": ("A text as tokens", _asks("content", content=_TEXT)),
    "POST /detokenize": (
        "Tokens as a text",
        _asks("tokens", tokens={"type": "array", "items": {"type": "integer"}}),
    ),
    "POST /apply-template": ("The text a model reads", _asks("messages", messages=_MESSAGES)),
    "POST /images/generations": ("Refused: no engine here draws", None),
    "GET /v1/models": ("The models that are here, as OpenAI lists them", None),
    "GET /v1/models/{name}": ("One model, as OpenAI shows it", None),
    "GET /models": ("The models that are here, as Docker Model Runner lists them", None),
    "GET /models/": ("The same", None),
    "GET /models/{name}": ("One model, as Docker Model Runner shows it", None),
    "DELETE /models/{name}": ("Remove a name, and the content with the last one", None),
    "POST /models/{name}/tag": ("Give a model one more name: `?repo=` and `?tag=`", None),
    "GET /config": ("What the daemon runs with, and where each value came from", None),
    "GET /engines/ps": ("What runs now", None),
    "GET /engines/df": ("Bytes on disk", None),
    "GET /api/ps": ("What runs now, as Ollama shows it", None),
    "GET /api/version": ("The version of Ollama whose dialect this is", None),
    "POST /engines/_configure": ("Settings of a model in a mode", manage.Configure),
    "POST /engines/{engine}/_configure": ("The same for a named engine", manage.Configure),
    "POST /engines/unload": ("Stop idle runners", manage.Unload),
    "POST /models/create": ("Pull a model", manage.CreateModel),
    "POST /api/chat": ("Chat, as Ollama", ollama.Chat),
    "POST /api/generate": ("Answer a prompt, as Ollama", ollama.Generate),
    "POST /api/embed": ("Vectors of texts, as Ollama", ollama.Embed),
    "POST /api/embeddings": ("The vector of a text, as older Ollama", ollama.Embed),
    "POST /api/show": ("What a model is", ollama_models.Named),
    "DELETE /api/delete": ("Remove a model's name", ollama_models.Named),
    "POST /api/copy": ("Give a model one more name", ollama_models.Copy),
    "POST /api/pull": ("Pull a model", ollama_models.Pull),
}
_PREFIX: Final = re.compile(r"^/engines(/\{engine\})?(?=/)")
_ANSWERS: Final[Mapping[str, Any]] = {
    "GET /health": Health,
    "GET /config": dict[str, Effective],
    "GET /engines/_configure/effective": EffectiveModel,
    "GET /version": manage.Version,
    "GET /engines/df": manage.DiskUsage,
    "POST /engines/unload": manage.Unloaded,
    "GET /engines/requests": list[Recorded],
}


class DocsRoutes:
    """Describes the application it is part of."""

    def __init__(self) -> None:
        self._document: dict[str, Any] | None = None

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/openapi.json", self.openapi)
        yield web.get("/docs", self.docs)

    @open_to(Scope.MODELS)
    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """The API as an OpenAPI document."""
        return json_response(self._of(request.app))

    @open_to(Scope.MODELS)
    async def docs(self, request: web.Request) -> web.StreamResponse:
        """The API as a page."""
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        text = page(self._of(request.app))
        return web.Response(text=text, content_type="text/html", headers=headers)

    def _of(self, app: web.Application) -> dict[str, Any]:
        if self._document is None:
            self._document = describe(app)
        return self._document


def describe(app: web.Application) -> dict[str, Any]:
    """The OpenAPI document of an application."""
    asked = [kind for _, kind in _ABOUT.values() if isinstance(kind, type)]
    queries = {query_read_by(route.handler) for route in app.router.routes()} - {None}
    kinds = list(dict.fromkeys([*asked, *_ANSWERS.values(), *queries]))
    schemas, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    named = dict(zip(kinds, schemas, strict=True))
    # What a query has becomes parameters, each by itself.
    asks = {kind: components.pop(named[kind]["$ref"].rpartition("/")[2]) for kind in queries}
    paths: dict[str, dict[str, Any]] = {}
    for route in app.router.routes():
        if route.resource is None or route.method in {hdrs.METH_HEAD, hdrs.METH_ANY}:
            continue
        path = re.sub(r"\{(\w+):[^}]*\}", r"{\1}", route.resource.canonical)
        summary, reads = _about(route, path)
        operation = {
            "summary": summary,
            "operationId": f"{route.method} {path}",
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": _TEXT}
                for name in re.findall(r"\{(\w+)\}", path)
            ]
            + _parameters(asks.get(query_read_by(route.handler), {})),
            "responses": _responses(named.get(_ANSWERS.get(f"{route.method} {path}"))),
        }
        if reads is not None:
            schema = named[reads] if isinstance(reads, type) else reads
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": schema}},
            }
        paths.setdefault(path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stoker", "version": stoker.__version__},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components},
    }


def _about(route: web.AbstractRoute, path: str) -> tuple[str, Any]:
    """A line for people and what the body is; what the table lacks, the handler's docstring has."""
    plain = re.sub(r"^/engines/\{engine\}|^/engines|^/anthropic", "", path)
    for name in (path, plain, plain.removeprefix("/v1")):
        if known := _ABOUT.get(f"{route.method} {name}"):
            return known
    written = inspect.getdoc(route.handler) or route.handler.__name__.replace("_", " ")
    return written.partition("\n")[0].rstrip("."), None


def _parameters(query: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = query.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in query.get("properties", {}).items()
    ]


def _responses(schema: Any) -> dict[str, Any]:
    fine = {"application/json": {"schema": schema}} if schema else {"*/*": {}}
    return {
        "2XX": {"description": "Done", "content": fine},
        "4XX": {"description": "The request is wrong, or the model is not here"},
        "5XX": {"description": "The engine or something far away failed; the text says what"},
    }


def page(document: Mapping[str, Any]) -> str:
    """The document as HTML, without scripts and without anything from elsewhere."""
    rows = "\n".join(
        f"<tr><td><b>{method.upper()}</b></td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(operation['summary'])}</td></tr>"
        for path, methods in document["paths"].items()
        if _PREFIX.sub("", path) not in document["paths"] or not _PREFIX.match(path)
        for method, operation in methods.items()
    )
    return (
        "<!doctype html><meta charset=utf-8><title>Stoker API</title>"
        "<style>body{font:15px system-ui;margin:2em auto;max-width:70em}"
        "td{padding:.25em .8em;border-top:1px solid #ddd;vertical-align:top}</style>"
        f"<h1>Stoker {html.escape(stoker.__version__)}</h1>"
        '<p>The same for programs: <a href="openapi.json">openapi.json</a>. '
        "<code>/v1</code> is what OpenAI's clients want for a base URL. What answers requests is"
        " also under <code>/engines</code> and <code>/engines/{engine}</code>.</p>"
        f"<table>{rows}</table>\n"
    )
