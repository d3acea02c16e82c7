"""Looking for models on the hub. Pure: the query and its answer."""

import itertools
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from stoker.base.errors import ParseError

MAX_ANSWER: Final = 16 * 1024 * 1024
"""Bytes; 1000 rows have some 2 MB."""
MAX_ROWS: Final = 1000
"""The hub's own limit for one page."""
_MAX_TERM: Final = 200
_TOPICS: Final = 2
_NO_TOPIC: Final = frozenset({"gguf", "safetensors", "transformers", "pytorch", "en"})
_FIELDS: Final = (
    "downloads", "gated", "lastModified", "likes", "pipeline_tag", "private", "tags",
    "usedStorage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FoundModel:
    """One hit. `formats` are those of `gguf` and `safetensors` that the hub has tagged it with.

    `topics` are a few of the other tags, `size` the bytes of the whole repository, 0 if unknown.
    """

    name: str
    task: str
    formats: tuple[str, ...]
    downloads: int
    likes: int
    gated: bool
    modified: str
    topics: tuple[str, ...] = ()
    size: int = 0


class _WireModel(msgspec.Struct):
    id: str
    pipeline_tag: str | None = None
    tags: list[str] = []
    downloads: int = 0
    likes: int = 0
    gated: Any = False
    private: bool = False
    lastModified: str = ""  # noqa: N815  # the wire's name
    usedStorage: int = 0  # noqa: N815


def query_of(term: str, *, limit: int, gguf_only: bool) -> str:
    """The path and query of a search; the most downloaded come first."""
    # `apps` as Docker Model Runner asks: models that one of the engines can run.
    kind = ("filter", "gguf") if gguf_only else ("apps", "llama.cpp,vllm")
    wanted = [
        ("search", term.strip()[:_MAX_TERM]),
        kind,
        ("sort", "downloads"),
        ("direction", "-1"),
        ("limit", str(min(max(limit, 1), MAX_ROWS))),
        # Named one by one: the hub's `full` would bring the file list of every model along.
        *(("expand", field) for field in _FIELDS),
    ]
    return f"api/models?{urlencode(wanted)}"


def parse_found(data: bytes) -> tuple[FoundModel, ...]:
    """Decode the answer; private repositories are left out. Raises ParseError."""
    try:
        rows = msgspec.json.decode(data, type=list[_WireModel])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(
            f"search on Hugging Face: {error}", hint="is HF_ENDPOINT a Hugging Face hub?"
        ) from error
    return tuple(
        FoundModel(
            name=row.id,
            task=row.pipeline_tag or "",
            formats=tuple(kind for kind in ("gguf", "safetensors") if kind in row.tags),
            downloads=row.downloads,
            likes=row.likes,
            gated=bool(row.gated),
            modified=row.lastModified,
            topics=_topics(row),
            size=max(row.usedStorage, 0),
        )
        for row in rows
        if not row.private
    )


def _topics(row: _WireModel) -> tuple[str, ...]:
    """The first tags that say what the model is; those like `license:mit` say other things."""
    found = (tag for tag in row.tags if ":" not in tag and tag != row.pipeline_tag)
    return tuple(itertools.islice((tag for tag in found if tag not in _NO_TOPIC), _TOPICS))
