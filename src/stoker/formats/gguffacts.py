"""GGUF header → ModelFacts."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from stoker.base.errors import ParseError
from stoker.formats.facts import Kind, ModelFacts, Pooling
from stoker.formats.gguf import GgufHeader, Tensor
from stoker.formats.ggufkeys import MAX_NUMBER, Keys, metadata_strings
from stoker.formats.ggufvalues import Value
from stoker.formats.layers import (
    MAX_LAYERS,
    NO_CACHE,
    RESIDUAL_FIRST,
    UNKNOWN_CACHE,
    TensorShapes,
    latent_facts,
    layer_facts,
    recurrent_facts,
)
from stoker.formats.quant import quantization_name
from stoker.formats.windows import window_of

# Four digits at most: the number becomes the key of a record.
_LAYER: Final = re.compile(r"blk\.(\d{1,4})\.(.+)")
_HEAD: Final = "output.weight"
_EMBEDDING: Final = "token_embd.weight"
_INPUT: Final = ("token_embd", "per_layer_token_embd", "token_types", "position_embd")

_MOST: Final = {
    "block_count": MAX_LAYERS,
    "context_length": MAX_NUMBER,
    "embedding_length": MAX_NUMBER,
    "attention.head_count": MAX_NUMBER,
}
_DAMAGED: Final = "the file is damaged, or was made to do harm; fetch it again or elsewhere"

_POOLINGS = (Pooling.NONE, Pooling.MEAN, Pooling.CLS, Pooling.LAST, Pooling.RANK)


def facts_of_gguf(first: GgufHeader, *rest: GgufHeader) -> ModelFacts:
    """Facts of a model, from the headers of all its shards, the first one first.

    Raises ParseError for a header without an architecture, with shards missing, or with numbers
    that no model has and an engine would crash on, or not notice.
    """
    keys = Keys(first.metadata)
    if not keys.architecture:
        raise ParseError("gguf: general.architecture is missing", hint="not a model file")
    _check_numbers(first.metadata, keys)
    shards = (first, *rest)
    _check_shards(keys, len(shards))
    table = _Table(shards)
    elements = table.elements
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
        layers=layer_facts(keys, table.layers()),
        input_weights=table.inputs,
        head_weights=table.sizes.get(_HEAD, table.sizes.get(_EMBEDDING, 0)),
        tied=_HEAD not in table.sizes,
        output_weights=table.outputs,
        other_weights=table.others,
        sliding_window=window_of(keys),
        latent=latent_facts(keys),
        recurrent=recurrent_facts(keys),
        residual_first=keys.architecture in RESIDUAL_FIRST,
        has_cache=keys.architecture not in NO_CACHE,
        cache_known=keys.architecture not in UNKNOWN_CACHE,
        experts=keys.number(keys.own("expert_count")),
        experts_used=keys.number(keys.own("expert_used_count")),
        pooling=_pooling(keys),
        causal=keys.flag(keys.own("attention.causal"), default=True),
        tokenizer=keys.text("tokenizer.ggml.model"),
        has_chat_template="tokenizer.chat_template" in keys,
        metadata=metadata_strings(first.metadata),
    )


class _Table:
    """The tensors of all shards, sorted by where they belong."""

    __slots__ = (
        "_experts",
        "_largest",
        "_shapes",
        "_weights",
        "elements",
        "inputs",
        "others",
        "outputs",
        "sizes",
    )

    def __init__(self, shards: Sequence[GgufHeader]) -> None:
        self.elements: Counter[str] = Counter()
        self.sizes: dict[str, int] = {}
        self.inputs = self.outputs = self.others = 0
        self._weights: Counter[int] = Counter()
        self._experts: Counter[int] = Counter()
        self._largest: Counter[int] = Counter()
        self._shapes: defaultdict[int, dict[str, tuple[int, ...]]] = defaultdict(dict)
        for shard in shards:
            for tensor in shard.tensors:
                self.elements[tensor.type.name] += tensor.elements
                self._sort(tensor)

    def _sort(self, tensor: Tensor) -> None:
        if tensor.name in {_HEAD, _EMBEDDING}:
            self.sizes[tensor.name] = tensor.size
        found = _LAYER.match(tensor.name)
        if found:
            layer = int(found[1])
            self._weights[layer] += tensor.size
            self._largest[layer] = max(self._largest[layer], tensor.size)
            self._shapes[layer][found[2]] = tensor.shape
            if "_exps." in found[2]:
                self._experts[layer] += tensor.size
        elif tensor.name.startswith(_INPUT):
            self.inputs += tensor.size
        elif tensor.name.startswith("output"):
            self.outputs += tensor.size
        else:
            self.others += tensor.size

    def layers(self) -> dict[int, TensorShapes]:
        """By number of the layer."""
        return {
            number: TensorShapes(
                self._weights[number], self._experts[number], self._largest[number], shapes
            )
            for number, shapes in self._shapes.items()
        }


def _check_numbers(metadata: Mapping[str, Value], keys: Keys) -> None:
    for name, most in _MOST.items():
        key = keys.own(name)
        value = metadata.get(key)
        if isinstance(value, int) and value > most:
            raise ParseError(f"gguf: {key} is {value}, more than any model's", hint=_DAMAGED)
    for key, value in metadata.items():
        if isinstance(value, float) and not math.isfinite(value) and key.startswith(keys.own("")):
            raise ParseError(f"gguf: {key} is {value}", hint=_DAMAGED)


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
