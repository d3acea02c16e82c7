"""Safetensors headers and `config.json` → ModelFacts."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from stoker.base.errors import ParseError
from stoker.formats.facts import Kind, LatentFacts, LayerFacts, Mixer, ModelFacts, Pooling
from stoker.formats.hfconfig import HfConfig
from stoker.formats.quant import MIXED, UNKNOWN
from stoker.formats.safetensors import SafetensorsHeader, Tensor

MAX_LAYERS: Final = 4096
"""The deepest models have some 130; a number from `config.json` becomes that many records."""

CODE_WARNING: Final = (
    "config.json asks for Python code of the repository (auto_map); none runs without your consent"
)

# `model.layers.3.mlp`, `transformer.h.3.attn`, `encoder.layer.3.output`, `blocks.3.att`
_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d{1,4})\.")
_VISION = re.compile(r"(?:^|\.)(?:vision_tower|vision_model|visual|audio_tower|multi_modal_\w+)\.")
_INPUT = re.compile(r"(?:^|\.)(?:embed_tokens|wte|word_embeddings|tok_embeddings)\.")
_OUTPUT = re.compile(r"(?:^|\.)(?:lm_head|output|embed_out)\.")


def facts_of_safetensors(
    headers: Sequence[SafetensorsHeader],
    config: HfConfig | None = None,
    *,
    has_chat_template: bool = False,
) -> ModelFacts:
    """Facts of a model, from the headers of all its shards. Raises ParseError without any."""
    if not headers:
        raise ParseError("safetensors: no weight files")
    shape = config or HfConfig()
    tensors = [tensor for header in headers for tensor in header.tensors]
    weights = _Weights(tensors)
    metadata = headers[0].metadata
    first = shape.architectures[0] if shape.architectures else ""
    return ModelFacts(
        format="safetensors",
        # Docker Model Runner reads only the header's; files that have it are rare.
        architecture=metadata.get("architecture", "") or shape.model_type or first,
        kind=_kind(first),
        quantization=_quantization(tensors),
        parameters=sum(tensor.elements for tensor in tensors),
        weights_size=sum(header.weights_size for header in headers),
        file_size=sum(header.needed_size for header in headers),
        context_size=shape.context_size,
        vocabulary=shape.vocabulary,
        embedding_length=shape.embedding_length,
        layers=_layers(shape, weights.layers, weights.experts),
        input_weights=weights.inputs,
        head_weights=weights.outputs or weights.inputs,
        tied=not weights.outputs,
        output_weights=weights.outputs,
        other_weights=weights.others,
        sliding_window=shape.sliding_window,
        latent=_latent(shape),
        experts=shape.experts,
        experts_used=shape.experts_used,
        pooling=Pooling.NONE if _kind(first) is Kind.GENERATION else Pooling.MEAN,
        causal=_kind(first) is Kind.GENERATION or not shape.encoder,
        has_chat_template=has_chat_template,
        metadata=_metadata(metadata, len(tensors)),
        warnings=(CODE_WARNING,) if shape.has_code else (),
    )


class _Weights:
    """Bytes of all tensors, sorted by where they belong."""

    __slots__ = ("experts", "inputs", "layers", "others", "outputs")

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.layers: Counter[int] = Counter()
        self.experts: Counter[int] = Counter()
        self.inputs = self.outputs = self.others = 0
        for tensor in tensors:
            layer = _LAYER.search(tensor.name)
            if _VISION.search(tensor.name):
                self.others += tensor.size
            elif layer:
                self.layers[int(layer[1])] += tensor.size
                if ".experts." in tensor.name:
                    self.experts[int(layer[1])] += tensor.size
            elif _INPUT.search(tensor.name):
                self.inputs += tensor.size
            elif _OUTPUT.search(tensor.name):
                self.outputs += tensor.size
            else:
                self.others += tensor.size


def _layers(
    shape: HfConfig, weights: Mapping[int, int], experts: Mapping[int, int]
) -> tuple[LayerFacts, ...]:
    count = min(shape.layers or max(weights, default=-1) + 1, MAX_LAYERS)
    return tuple(
        _layer(shape, number, weights.get(number, 0), experts.get(number, 0))
        for number in range(count)
    )


def _layer(shape: HfConfig, number: int, weights: int, experts: int) -> LayerFacts:
    kind = shape.layer_types[number] if number < len(shape.layer_types) else ""
    remembers = kind not in {"linear_attention", "conv", "mamba", "recurrent"}
    latent = shape.latent_rank > 0
    kv_heads = 1 if latent else shape.kv_heads
    return LayerFacts(
        mixer=(Mixer.LATENT if latent else Mixer.ATTENTION) if remembers else Mixer.OTHER,
        weights=weights,
        experts=experts,
        heads=shape.heads,
        kv_heads=kv_heads if remembers else 0,
        key_length=shape.latent_rank + shape.rope_dims if latent else shape.head_dim,
        value_length=0 if latent else shape.head_dim,
        feed_forward=shape.feed_forward,
        sliding=kind == "sliding_attention" or (not shape.layer_types and shape.sliding_window > 0),
    )


def _latent(shape: HfConfig) -> LatentFacts | None:
    if not shape.latent_rank:
        return None
    return LatentFacts(
        query_rank=0, rank=shape.latent_rank, rope=shape.rope_dims, nope=0, value=shape.head_dim
    )


def _quantization(tensors: Sequence[Tensor]) -> str:
    kinds = {tensor.dtype for tensor in tensors}
    if not kinds:
        return UNKNOWN
    return kinds.pop() if len(kinds) == 1 else MIXED


def _kind(architecture: str) -> Kind:
    if architecture.endswith("ForSequenceClassification"):
        return Kind.RERANKING
    # `BertModel`, `XLMRobertaModel`, ...: an encoder without a head
    return Kind.EMBEDDING if architecture.endswith("Model") else Kind.GENERATION


def _metadata(metadata: Mapping[str, str], tensors: int) -> Mapping[str, str]:
    return MappingProxyType({**metadata, "tensor_count": str(tensors)})
