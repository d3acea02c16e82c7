"""How much memory ggml's graph allocator takes for a graph: its best-fit rule, followed exactly.

The engine reserves its compute buffer by walking the graph of one full batch before any token is
seen (`ggml_gallocr_reserve`). What it ends up with depends on which tensors live at the same time
*and* on the holes between them, so that a sum over tensors misses it by up to a third. Walking a
model of the graph with the same rules costs milliseconds and hits it to the kilobyte.
"""

from dataclasses import dataclass
from typing import Final, NewType

Node = NewType("Node", int)

ALIGNMENT: Final = 32
"""Bytes; of ggml's CPU buffers."""

_ENDLESS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class _Step:
    result: Node | None
    sources: tuple[Node, ...]
    reuse: tuple[Node, ...]


class Graph:
    """A graph in the order of its execution. Sizes in bytes; weights and caches are left out.

    A view (reshape, permute, slice) is its origin: name the origin wherever the view is used.
    """

    __slots__ = ("_inputs", "_settled", "_sizes", "_steps")

    def __init__(self) -> None:
        self._settled = 0
        self._sizes: list[int] = []
        self._inputs: list[Node] = []
        self._steps: list[_Step] = []

    def input(self, size: int) -> Node:
        """A tensor filled before the graph runs: allocated first."""
        node = self._tensor(size)
        self._inputs.append(node)
        return node

    def compute(self, size: int, *sources: Node, reuse: tuple[Node, ...] = ()) -> Node:
        """A result of `sources`. It may take the place of the first of `reuse` that has no other
        use left and the same size: what ggml does for sums, products, norms and activations whose
        operand is a tensor and not a view.
        """
        node = self._tensor(size)
        self._steps.append(_Step(node, sources, reuse))
        return node

    def store(self, *sources: Node) -> None:
        """A step whose result lies elsewhere, as in a cache. Settles the order so far."""
        self._steps.append(_Step(None, sources, ()))
        self.settle()

    def settle(self) -> None:
        """Nothing may come before the steps there are now (`ggml_build_forward_expand`).

        Other steps only enter the engine's graph when something that needs them does.
        """
        self._settled = len(self._steps)

    def fetch(self, size: int, *sources: Node) -> Node:
        """A result that enters the graph at once, before all steps that are not settled."""
        node = self._tensor(size)
        self._steps.insert(self._settled, _Step(node, sources, ()))
        self._settled += 1
        return node

    def _tensor(self, size: int) -> Node:
        self._sizes.append(-(-size // ALIGNMENT) * ALIGNMENT)
        return Node(len(self._sizes) - 1)

    def peak(self) -> int:
        """Bytes of the buffer that holds the graph."""
        uses = [0] * len(self._sizes)
        for step in self._steps:
            for source in step.sources:
                uses[source] += 1
        places: dict[Node, int] = {}
        space = _Space()
        for node in self._inputs:
            places[node] = space.take(self._sizes[node])
        for step in self._steps:
            if step.result is not None:
                size = self._sizes[step.result]
                old = self._replaceable(step, uses, places)
                places[step.result] = space.take(size) if old is None else places.pop(old)
            for source in step.sources:
                uses[source] -= 1
                if not uses[source] and source in places:
                    space.give(places.pop(source), self._sizes[source])
        return space.high

    def _replaceable(self, step: _Step, uses: list[int], places: dict[Node, int]) -> Node | None:
        wanted = self._sizes[step.result] if step.result is not None else 0
        for node in step.reuse:
            if uses[node] == 1 and node in places and self._sizes[node] == wanted:
                return node
        return None


class _Space:
    """`ggml_dyn_tallocr`: the smallest hole that fits, else the end."""

    __slots__ = ("_free", "high")

    def __init__(self) -> None:
        self._free = [[0, _ENDLESS]]
        self.high = 0

    def take(self, size: int) -> int:
        best = len(self._free) - 1
        fit = _ENDLESS
        for index, (_, length) in enumerate(self._free[:-1]):
            if size <= length <= fit:
                best, fit = index, length
        block = self._free[best]
        offset = block[0]
        block[0] += size
        block[1] -= size
        if not block[1]:
            del self._free[best]
        self.high = max(self.high, offset + size)
        return offset

    def give(self, offset: int, size: int) -> None:
        index = 0
        while index < len(self._free) and self._free[index][0] < offset:
            index += 1
        self._free.insert(index, [offset, size])
        self._merge(index)
        if index:
            self._merge(index - 1)

    def _merge(self, index: int) -> None:
        if index + 1 < len(self._free):
            here, after = self._free[index], self._free[index + 1]
            if here[0] + here[1] == after[0]:
                here[1] += after[1]
                del self._free[index + 1]
