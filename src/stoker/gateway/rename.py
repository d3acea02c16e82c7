"""Make `model` in an answer what the client asked for.

An engine reports the name it was started under. Whoever asked by that name gets the engine's bytes
untouched; for any other name this filter replaces the one field and nothing else.
"""

import msgspec


class Rename:
    """A byte filter: `feed` chunks, then `flush`. Holds back at most one incomplete match.

    Replacing text in JSON is safe here because the pattern begins with an unescaped quote: inside
    a JSON string every quote is escaped, so the pattern cannot occur in what a model says.
    """

    def __init__(self, served: str, asked: str) -> None:
        self._old = b'"model":' + msgspec.json.encode(served)
        self._new = b'"model":' + msgspec.json.encode(asked)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What can be sent now."""
        data = (self._held + chunk).replace(self._old, self._new)
        keep = self._partial_match(data)
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def flush(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return held

    def _partial_match(self, data: bytes) -> int:
        """Length of the longest end of `data` that begins the pattern."""
        for length in range(min(len(self._old) - 1, len(data)), 0, -1):
            if data.endswith(self._old[:length]):
                return length
        return 0
