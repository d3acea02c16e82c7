"""How much memory ggml's graph allocator takes for a graph: its best-fit rule, followed exactly.

The engine reserves its compute buffer by walking the graph of one full batch before any token is
seen (`ggml_gallocr_reserve`). What it ends up with depends on which tensors live at the same time
*and* on the holes between them, so that a sum over tensors misses it by up to a third. Walking a
model of the graph with the same rules costs milliseconds and hits it to the kilobyte.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, NewType

Node = NewType("Node", int)

ALIGNMENT: Final = 32
"""Bytes; of ggml's CPU buffers."""

_ENDLESS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class _Step:
    result: Node | None
    sources: tuple[Node, ...]
    reuse: tuple[Node, ...]
    at_host: bool = False
    """Stays there also when all layers are on a GPU."""


class Peaks(NamedTuple):
    """Bytes of the buffers that hold a graph: on one device alone, or a host's and its GPU's."""

    alone: int
    host: int
    gpu: int


Place = tuple[Node, bool]
"""A tensor, and whether in host memory: what one side makes and the other reads is in both."""


class Graph:
    """A graph in the order of its execution. Sizes in bytes; weights and caches are left out.

    A view (reshape, permute, slice) is its origin: name the origin wherever the view is used.
    """

    __slots__ = ("_inputs", "_settled", "_sizes", "_steps", "at_host")

    def __init__(self) -> None:
        self.at_host = False
        """Whether steps from here on need what stays in host memory whatever is offloaded."""
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
        self._steps.append(_Step(node, sources, reuse, self.at_host))
        return node

    def store(self, *sources: Node) -> None:
        """A step whose result lies elsewhere, as in a cache. Settles the order so far."""
        self._steps.append(_Step(None, sources, (), self.at_host))
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

    def peaks(self) -> Peaks:
        """What a load reserves, alone on one device and with a GPU that has all layers."""
        alone = _Walk(self._steps, self._inputs, self._sizes, [True] * len(self._steps)).done()
        sides = [step.at_host for step in self._steps]
        apart = _Walk(self._steps, self._inputs, self._sizes, sides).done()
        return Peaks(alone[True], apart[True], apart[False])


class _Walk:
    """`ggml_gallocr_reserve` over the splits of `ggml_backend_sched`.

    `sides`: of each step, whether it runs on the host. A stretch of steps on one side is a split;
    what it reads of the other side is copied at its begin, once for the whole graph.
    """

    def __init__(
        self, steps: list[_Step], inputs: list[Node], sizes: list[int], sides: list[bool]
    ) -> None:
        self._steps, self._inputs, self._sizes, self._sides = steps, inputs, sizes, sides
        self._spaces = {True: _Space(), False: _Space()}
        self._offsets: dict[Place, int] = {}
        self._home = dict.fromkeys(inputs, True)
        self._uses: dict[Place, int] = {}
        for step, side in zip(steps, sides, strict=True):
            if step.result is not None:
                self._home[step.result] = side
            for source in step.sources:
                if (source, side) not in self._uses and self._home[source] is not side:
                    self._count((source, self._home[source]))  # the copying
                self._count((source, side))

    def done(self) -> dict[bool, int]:
        """Bytes of the host's buffer (True) and of the other side's."""
        for node in self._inputs:
            self._take((node, True))
        before = None
        for number, (step, side) in enumerate(zip(self._steps, self._sides, strict=True)):
            if side is not before:
                self._copy_for_split(number, side)
                before = side
            if step.result is not None:
                self._place(step.result, step.reuse, side)
            for source in step.sources:
                self._drop((source, side))
        return {side: space.high for side, space in self._spaces.items()}

    def _copy_for_split(self, number: int, side: bool) -> None:  # noqa: FBT001
        for step, other in zip(self._steps[number:], self._sides[number:], strict=True):
            if other is not side:
                return
            for source in step.sources:
                home = self._home[source]
                if home is not side and (source, side) not in self._offsets:
                    self._drop((source, home))
                    self._take((source, side))

    def _place(self, result: Node, reuse: tuple[Node, ...], side: bool) -> None:  # noqa: FBT001
        """In place of an operand that nobody else needs, else where there is room."""
        size = self._sizes[result]
        for node in reuse:
            old = node, side
            if self._uses[old] == 1 and old in self._offsets and self._sizes[node] == size:
                self._offsets[result, side] = self._offsets.pop(old)
                return
        self._take((result, side))

    def _count(self, place: Place) -> None:
        self._uses[place] = self._uses.get(place, 0) + 1

    def _take(self, place: Place) -> None:
        node, side = place
        self._offsets[place] = self._spaces[side].take(self._sizes[node])

    def _drop(self, place: Place) -> None:
        """One use less; the last one gives the room back."""
        self._uses[place] -= 1
        if not self._uses[place] and place in self._offsets:
            node, side = place
            self._spaces[side].give(self._offsets.pop(place), self._sizes[node])


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
