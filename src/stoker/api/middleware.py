"""What happens around every request: an id, an access log line, the rim where errors end."""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from stoker.api.errors import (
    anthropic_response,
    ollama_response,
    openai_response,
    text_response,
)
from stoker.base.errors import LaunchFailed, NotFound, StokerError, WrongMethod
from stoker.gateway.body import BODIES
from stoker.gateway.caller import CALLER
from stoker.observe.logs import RequestLog
from stoker.observe.request_id import HEADER, accepted, request_id

logger = logging.getLogger(__name__)

REQUEST_LOG: Final = web.AppKey("request_log", RequestLog)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id and one line in the log when it is over."""
    # Not reset: each request has a task of its own, and the header is written after this function.
    request_id.set(accepted(request.headers.get(HEADER)))
    began = time.perf_counter()
    status: int | str = "cancelled"
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        request.app[BODIES].give_back(request)
        seconds = time.perf_counter() - began
        # !r: a path may hold line breaks and escape sequences.
        request.app[REQUEST_LOG](
            f"request method={request.method} path={request.path!r} status={status}"
            f" seconds={seconds:.3f} caller={_caller(request)!r}"
        )


def _caller(request: web.Request) -> str:
    """Nobody was asked who they are when their Host or Origin was refused."""
    caller = request.get(CALLER)
    return caller.name if caller else "refused"


async def sign(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer gets. `identify` has not seen one to an `Expect` that nobody knows."""
    put_signature(response, request_id.get() or accepted(request.headers.get(HEADER)))


async def close_if_endless(request: web.Request, response: web.StreamResponse) -> None:
    """Without length and chunks only the connection's end is the answer's (RFC 9112, section 6.3).

    HTTP/1.0 knows no chunks; aiohttp keeps the connection all the same when it is asked to.
    """
    if request.version < HttpVersion11 and response.content_length is None:
        response.force_close()


def put_signature(response: web.StreamResponse, name: str) -> None:
    """Put the request's id into the answer; versions of libraries are nobody's business."""
    response.headers[HEADER] = name
    response.headers[hdrs.SERVER] = "stoker"


@web.middleware
async def translate_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into answers: OpenAI's envelope on its paths, Docker's plain text elsewhere."""
    try:
        return await handler(request)
    except StokerError as error:
        return _answer(request, error)
    except web.HTTPNotFound as error:
        if "//" in request.path:
            # A base URL with a slash at its end. Clients repeat a POST as it was for this status.
            clean = re.sub("/+", "/", request.raw_path.partition("?")[0])
            raise web.HTTPPermanentRedirect(
                str(request.rel_url.with_path(clean, encoded=True, keep_query=True))
            ) from error
        return _nothing_there(request)
    except web.HTTPMethodNotAllowed as error:
        # Inside these two trees DMR answers a wrong method like an unknown path.
        if request.path.startswith(("/models", "/engines")):
            return _nothing_there(request)
        response = _answer(request, WrongMethod("Method Not Allowed"))
        response.headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
        return response
    except (web.HTTPException, ConnectionError):
        raise
    except Exception:
        # The rim of a request: a bug is logged with its traceback and answered, never hidden.
        logger.exception("bug in %s %r", request.method, request.path)
        bug = StokerError("internal error", hint="stoker logs has the details; please report it")
        return _answer(request, bug)


def _nothing_there(request: web.Request) -> web.Response:
    """Docker Model Runner's words for a path, or an action on a model, that it does not know."""
    tree, _, rest = request.path.lstrip("/").partition("/")
    if tree == "models" and "/" in rest and request.method == hdrs.METH_POST:
        return _answer(request, NotFound(f'unknown action "{rest.rpartition("/")[2]}"'))
    inside = tree in {"models", "engines"}
    return _answer(request, NotFound("not found" if inside else "404 page not found"))


def _answer(request: web.Request, error: StokerError) -> web.Response:
    if request.writer.output_size:
        # Another head would be read as part of the answer that has begun. That must look cut off.
        logger.warning("failed in an answer path=%r: %s", request.path, error)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError("the answer had begun")
    match dialect_of(request.path):
        case Dialect.OPENAI:
            return openai_response(error)
        case Dialect.ANTHROPIC:
            return anthropic_response(error)
        case Dialect.OLLAMA:
            return ollama_response(error)
        case Dialect.DOCKER:
            prefix = "unable to load runner: " if isinstance(error, LaunchFailed) else ""
            return text_response(error, prefix)


class Dialect(Enum):
    """Whose clients use a path, hence what an error looks like there."""

    DOCKER = "docker"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"


# These come without `/v1` too.
_OPENAI_ENDS: Final = ("/rerank", "/score", "/completions", "/embeddings", "/responses")


def dialect_of(path: str) -> Dialect:
    """The dialect of a path, known or not."""
    if path.startswith("/api/"):
        return Dialect.OLLAMA
    if path.startswith("/anthropic/") or path.endswith(("/v1/messages", "/messages/count_tokens")):
        return Dialect.ANTHROPIC
    rest = path.removeprefix("/engines")
    # What is left begins with `/v1/`, or with a backend's name and then `/v1/`.
    if rest.startswith("/v1/") or (rest != path and "/v1/" in rest):
        return Dialect.OPENAI
    if not path.startswith("/models") and (rest.endswith(_OPENAI_ENDS) or "/responses/" in rest):
        return Dialect.OPENAI
    return Dialect.DOCKER
