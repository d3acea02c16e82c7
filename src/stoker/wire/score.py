"""`/score`, in the words of `/rerank`, which every engine speaks. Pure."""

from typing import Any, Final

import msgspec

from stoker.base.errors import UserError


class _Score(msgspec.Struct):
    """How well each of some texts answers one."""

    model: str = ""
    text_1: str | list[str] = ""
    text_2: str | list[str] = ""


_ONE: Final = "text_1 must be one text; ask once for each"


def rerank_body(body: bytes) -> bytes:
    """The body for the engine. Raises UserError."""
    try:
        score = msgspec.json.decode(body, type=_Score)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"invalid request: {error}") from error
    queries = [score.text_1] if isinstance(score.text_1, str) else score.text_1
    documents = [score.text_2] if isinstance(score.text_2, str) else score.text_2
    if not any(queries) or not any(documents):
        raise UserError("invalid request: text_1 and text_2 are required")
    if len(queries) != 1:
        raise UserError("invalid request: text_1 is a list", hint=_ONE)
    return msgspec.json.encode({"model": score.model, "query": queries[0], "documents": documents})


class _Result(msgspec.Struct):
    index: int
    relevance_score: float


class _Ranked(msgspec.Struct):
    results: list[_Result]
    usage: dict[str, Any] = {}


def score_answer(body: bytes, model: str) -> bytes:
    """The engine's ranking as scores, in the order of the texts."""
    ranked = msgspec.json.decode(body, type=_Ranked)
    data = [
        {"index": result.index, "object": "score", "score": result.relevance_score}
        for result in sorted(ranked.results, key=lambda result: result.index)
    ]
    return msgspec.json.encode(
        {"object": "list", "model": model, "data": data, "usage": ranked.usage}
    )
