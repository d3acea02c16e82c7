"""The routes that explain memory and decisions."""

from typing import TypeVar, final

import msgspec

from stoker.base.errors import ParseError
from stoker.client.client import Client
from stoker.client.transport import Transport
from stoker.wire.plan import HUB_TOKEN_HEADER, Check, Choice, Happening, Plan

T = TypeVar("T")


@final
class Memory:
    """Raises Unreachable, DaemonError and ParseError, as `Client` does."""

    def __init__(self, client: Client) -> None:
        self._http = Transport(client.endpoint)

    def plan(
        self, model: str, *, context_size: int | None = None, mode: str = "", token: str = ""
    ) -> Plan:
        """Where a model would go. `token` is for a gated repository of Hugging Face."""
        query = {"model": model}
        if context_size is not None:
            query["context-size"] = str(context_size)
        if mode:
            query["mode"] = mode
        return self._get("/plan", query, Plan, token)

    def recommend(self, model: str = "", *, token: str = "") -> list[Choice]:
        """What fits here: quantizations of a model, or the models of the store."""
        return self._get("/recommend", {"model": model} if model else None, list[Choice], token)

    def why(self, model: str = "") -> list[Happening]:
        """What was decided of late, oldest first."""
        return self._get("/why", {"model": model} if model else None, list[Happening])

    def doctor(self) -> list[Check]:
        """What the daemon finds out about its machine."""
        return self._get("/doctor", None, list[Check])

    def _get(self, path: str, query: dict[str, str] | None, kind: type[T], token: str = "") -> T:
        headers = {HUB_TOKEN_HEADER: token} if token else None
        answer = self._http.call("GET", path, query=query, headers=headers)
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.MsgspecError as error:
            raise ParseError(f"{self._http.endpoint} sent what does not parse: {error}") from error
