"""GGUF header → ModelFacts."""

from collections import Counter

from stoker.base.errors import ParseError
from stoker.formats.facts import Kind, ModelFacts, Pooling
from stoker.formats.gguf import GgufHeader
from stoker.formats.ggufkeys import MAX_NUMBER, Keys, metadata_strings
from stoker.formats.quant import quantization_name

_POOLINGS = (Pooling.NONE, Pooling.MEAN, Pooling.CLS, Pooling.LAST, Pooling.RANK)


def facts_of_gguf(first: GgufHeader, *rest: GgufHeader) -> ModelFacts:
    """Facts of a model, from the headers of all its shards, the first one first.

    Raises ParseError for a header without an architecture or with shards missing.
    """
    keys = Keys(first.metadata)
    if not keys.architecture:
        raise ParseError("gguf: general.architecture is missing", hint="not a model file")
    shards = (first, *rest)
    _check_shards(keys, len(shards))
    elements: Counter[str] = Counter()
    for shard in shards:
        for tensor in shard.tensors:
            elements[tensor.type.name] += tensor.elements
    context = keys.number(keys.own("context_length"))
    return ModelFacts(
        format="gguf",
        architecture=keys.architecture,
        kind=_kind(keys),
        quantization=quantization_name(
            keys.number("general.file_type", MAX_NUMBER) if "general.file_type" in keys else None,
            elements,
        ),
        parameters=elements.total(),
        weights_size=sum(shard.weights_size for shard in shards),
        file_size=sum(shard.needed_size for shard in shards),
        context_size=context or None,
        vocabulary=keys.length("tokenizer.ggml.tokens") or keys.number(keys.own("vocab_size")),
        embedding_length=keys.number(keys.own("embedding_length")),
        sliding_window=keys.number(keys.own("attention.sliding_window")),
        experts=keys.number(keys.own("expert_count")),
        experts_used=keys.number(keys.own("expert_used_count")),
        pooling=_pooling(keys),
        causal=keys.flag(keys.own("attention.causal"), default=True),
        tokenizer=keys.text("tokenizer.ggml.model"),
        has_chat_template="tokenizer.chat_template" in keys,
        metadata=metadata_strings(first.metadata),
    )


def _check_shards(keys: Keys, given: int) -> None:
    count = keys.number("split.count", 1) or 1
    if count != given and given > 1:
        raise ParseError(f"gguf: the model has {count} shards, {given} were given")
    number = keys.number("split.no")
    if number:
        raise ParseError(
            f"gguf: this is shard {number + 1} of {count}", hint="name the first shard"
        )


def _pooling(keys: Keys) -> Pooling:
    number = keys.number(keys.own("pooling_type"))
    return _POOLINGS[number] if number < len(_POOLINGS) else Pooling.NONE


def _kind(keys: Keys) -> Kind:
    kind = keys.text("general.type")
    if kind in {"adapter", "projector", "mmproj"}:
        return Kind.ADAPTER if kind == "adapter" else Kind.PROJECTOR
    if keys.architecture == "clip":
        return Kind.PROJECTOR
    pooling = _pooling(keys)
    if pooling is Pooling.RANK:
        return Kind.RERANKING
    encodes = pooling is not Pooling.NONE or not keys.flag(
        keys.own("attention.causal"), default=True
    )
    return Kind.EMBEDDING if encodes else Kind.GENERATION
