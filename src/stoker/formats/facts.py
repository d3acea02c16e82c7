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


class Mixer(StrEnum):
    """How a layer lets tokens see each other."""

    ATTENTION = "attention"
    LATENT = "latent"
    """Attention over compressed keys and values (MLA)."""
    MAMBA = "mamba"
    MAMBA2 = "mamba2"
    PARALLEL = "parallel"
    """Attention and Mamba 2 side by side."""
    CONVOLUTION = "convolution"
    OTHER = "other"
    """Known by its cache only: RWKV, gated delta nets, linear attention."""
    NONE = "none"


class Gate(StrEnum):
    """How the feed-forward part multiplies two projections, if it does."""

    APART = "apart"
    FUSED = "fused"
    """One projection of twice the length."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """One layer: what it weighs and what it must remember of each token.

    Weights in bytes; lengths in elements. A layer with `kv_heads` 0 keeps no keys and values, one
    without states has no recurrent part; hybrids may have both.
    """

    mixer: Mixer = Mixer.ATTENTION
    weights: int = 0
    experts: int = 0
    """Bytes of `weights` that belong to experts, which may be kept away from the GPU."""
    largest: int = 0
    """Bytes of the largest tensor: a GPU that computes for a layer in host memory copies them."""
    heads: int = 0
    kv_heads: int = 0
    key_length: int = 0
    """Of one head, as the cache stores it."""
    value_length: int = 0
    """Of one head; 0 with latent attention (MLA), which stores keys only."""
    index_length: int = 0
    """Of the extra key that sparse attention (DSA) keeps for each token."""
    sliding: bool = False
    conv_state: int = 0
    """float32 elements of the convolution's memory per sequence, whatever the context."""
    scan_state: int = 0
    """float32 elements of the recurrent state per sequence, whatever the context."""
    fused: bool = False
    """Whether queries, keys and values are one projection."""
    feed_forward: int = 0
    """0 when all of it is experts."""
    gate: Gate = Gate.APART
    expert_length: int = 0
    shared_length: int = 0
    """Feed-forward length of the experts every token goes through."""

    @property
    def keys_width(self) -> int:
        """Elements of the keys of one token in the cache."""
        return self.kv_heads * self.key_length

    @property
    def values_width(self) -> int:
        """Elements of the values of one token in the cache."""
        return self.kv_heads * self.value_length

    @property
    def state(self) -> int:
        """All float32 elements kept per sequence."""
        return self.conv_state + self.scan_state


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentFacts:
    """Lengths of latent attention (MLA), in elements; the last three of one head."""

    query_rank: int
    """0: queries are not compressed."""
    rank: int
    rope: int
    nope: int
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentFacts:
    """Lengths of Mamba's parts, in elements."""

    conv: int
    inner: int
    state: int
    rank: int
    """Of the time step; Mamba 2 has as many heads."""
    groups: int
    normed: bool = False
    """Whether time step, B and C are normalised."""


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
    """The output head and its norm."""
    head_weights: int = 0
    """Of the matrix that makes logits: its own, or the token embedding used again."""
    tied: bool = False
    """Whether that matrix is the token embedding."""
    other_weights: int = 0
    """Tensors of neither a layer, the input nor the output, such as a projector's."""
    sliding_window: int = 0
    latent: LatentFacts | None = None
    recurrent: RecurrentFacts | None = None
    residual_first: bool = False
    """Whether a layer adds its result to its input, and not the other way round: this decides
    which of the two makes room."""
    has_cache: bool = True
    """False for encoders, which see all tokens at once."""
    cache_known: bool = True
    """False where the engine keeps a cache of a kind that this version cannot compute."""
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
