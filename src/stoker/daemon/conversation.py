"""What is said on a connection: aiohttp's protocol; what is no HTTP gets an answer of ours."""

import logging
import re
from typing import Final, final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from stoker.api.errors import text_response
from stoker.api.middleware import put_signature
from stoker.base.errors import UserError
from stoker.observe.request_id import accepted, request_id

logger = logging.getLogger(__name__)

# The parser ends its messages with the bytes that it stumbled over, as Python writes them.
_SENT: Final = re.compile(r":?\s*(bytearray\()?b['\"].*", re.DOTALL)


@final
class Conversation(web.RequestHandler):
    """Differs only in what it says and logs of a request that no handler could read to its end."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Where the parser gives up: 400, signed. No application has seen such a request."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        request_id.set(accepted(None))
        # Not the message: what was sent may stand in it, a key even.
        logger.info("request status=400 refused=%s", type(exc).__name__)
        why = " ".join(_SENT.sub("", exc.message).split())
        response = text_response(UserError(f"this is not HTTP as Stoker reads it: {why}"))
        response.force_close()
        put_signature(response, request_id.get())
        return response

    def log_exception(self, *args: object, **more: object) -> None:
        """A traceback of a bug, not of a body that its sender has spoilt: that one was answered."""
        if not isinstance(more.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **more)
