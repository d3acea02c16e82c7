"""What a model is, from any format: the one record that packaging, planning and inspecting read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Pooling(StrEnum):
    """How a model makes one vector of its tokens; NONE for a model that generates text."""

    NONE = "none"
    MEAN = "mean"
    CLS = "cls"
    LAST = "last"
    RANK = "rank"


class Kind(StrEnum):
    """What a file is for, as far as its header tells."""

    GENERATION = "generation"
    EMBEDDING = "embedding"
    RERANKING = "reranking"
    PROJECTOR = "projector"
    ADAPTER = "adapter"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """One layer: what it weighs and what it must remember of each token.

    Weights in bytes; lengths in elements. A layer with `kv_heads` 0 keeps no keys and values, one
    with `state` 0 has no recurrent state; hybrids may have both.
    """

    weights: int = 0
    experts: int = 0
    """Bytes of `weights` that belong to experts, which may be kept away from the GPU."""
    heads: int = 0
    kv_heads: int = 0
    key_length: int = 0
    """Of one head, as the cache stores it."""
    value_length: int = 0
    """Of one head; 0 with latent attention (MLA), which stores keys only."""
    feed_forward: int = 0
    sliding: bool = False
    state: int = 0
    """float32 elements of recurrent state per sequence, whatever the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Sizes in bytes, lengths in elements or tokens; 0, empty or None where the file is silent."""

    format: str
    """`gguf` or `safetensors`."""
    architecture: str = ""
    kind: Kind = Kind.GENERATION
    quantization: str = ""
    parameters: int = 0
    weights_size: int = 0
    """All tensors of all shards, without headers and padding."""
    file_size: int = 0
    """All shards, whole."""
    context_size: int | None = None
    """The longest context the model was trained for."""
    vocabulary: int = 0
    embedding_length: int = 0
    layers: tuple[LayerFacts, ...] = ()
    input_weights: int = 0
    """The token embedding and what else stays with the input."""
    output_weights: int = 0
    """The output head; 0 when the embedding is used again."""
    other_weights: int = 0
    """Tensors of neither a layer, the input nor the output, such as a projector's."""
    sliding_window: int = 0
    latent_attention: bool = False
    experts: int = 0
    experts_used: int = 0
    pooling: Pooling = Pooling.NONE
    causal: bool = True
    tokenizer: str = ""
    has_chat_template: bool = False
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """As written into the artifact's config."""
    warnings: tuple[str, ...] = ()
    """For people: what of this model needs their attention."""

    @property
    def bits_per_weight(self) -> float:
        """Average over all tensors."""
        return self.weights_size * 8 / self.parameters if self.parameters else 0.0
