"""What the pieces of a graph are built with: sizes per token, shared inputs, one growing graph."""

from dataclasses import dataclass
from typing import Final

from stoker.formats.facts import ModelFacts
from stoker.formats.quant import TensorType
from stoker.planner.graph import Graph, Node

F32: Final = 4
F16: Final = 2
I32: Final = 4
I64: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the engine reserves for. Lengths in tokens."""

    tokens: int
    """Of one micro-batch."""
    sequences: int
    cells: int
    """Of one stream of the cache."""
    window_cells: int
    outputs: int
    flash_attention: bool
    keys: TensorType
    values: TensorType


class Parts:
    """A graph being built for one batch.

    `rows` is how many tokens are computed at a time: all, and in the last layer those asked for.
    """

    __slots__ = ("_inputs", "batch", "facts", "graph", "rows")

    def __init__(self, facts: ModelFacts, batch: Batch) -> None:
        self.facts = facts
        self.batch = batch
        self.graph = Graph()
        self.rows = batch.tokens
        self._inputs: dict[str, Node] = {}

    @property
    def width(self) -> int:
        """Elements of the residual stream."""
        return self.facts.embedding_length

    def new(self, length: int, *sources: Node, reuse: tuple[Node, ...] = ()) -> Node:
        """A float32 result of `length` elements for each row."""
        return self.graph.compute(F32 * length * self.rows, *sources, reuse=reuse)

    def norm(self, source: Node) -> Node:
        """A norm and, in place, its weight."""
        return self.new(self.width, source, reuse=(source,))

    def input(self, name: str, size: int) -> Node:
        """An input used by several layers, made when the first one asks."""
        if name not in self._inputs:
            self._inputs[name] = self.graph.input(size)
        return self._inputs[name]

    def positions(self) -> Node:
        """Of the tokens, for rotary embeddings."""
        return self.input("positions", I32 * self.batch.tokens)
