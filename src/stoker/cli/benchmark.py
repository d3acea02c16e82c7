"""Asks a model again and again from several threads at once, and counts what comes back."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from stoker.base.errors import StokerError
from stoker.client.chat import ChatMessage
from stoker.client.client import Client

# How often the main thread looks up, and so how fast Ctrl-C is heard.
_LOOK: Final = 0.1


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `silence`: seconds without a byte after which a request has failed."""

    model: str
    prompt: str
    max_tokens: int
    backend: str = ""
    silence: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer: seconds to its first token and in all."""

    tokens: int
    first: float
    seconds: float


@dataclass(slots=True)
class Level:
    """What was measured with so many requests at a time. Times in seconds."""

    concurrency: int
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    errors: list[StokerError] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(sample.tokens for sample in self.samples)

    @property
    def tokens_per_second(self) -> float:
        """Of all requests together."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def requests_per_second(self) -> float:
        return len(self.samples) / self.seconds if self.seconds else 0.0

    @property
    def pace(self) -> float:
        """Tokens per second that one request sees, from asking to its end; the median."""
        return _quantile([sample.tokens / sample.seconds for sample in self.samples], 0.5)

    def first_token(self, share: float) -> float:
        """Seconds within which that share of the requests had their first token."""
        return _quantile([sample.first for sample in self.samples], share)


@final
class Benchmark:
    """One model, one prompt, a level after the other."""

    def __init__(self, client: Client, question: Question) -> None:
        self._client = client
        self._question = question
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Load the model and answer once. Raises StokerError."""
        self._client.preload(self._question.model, backend=self._question.backend)
        self._ask(threading.Event())

    def run(self, level: Level, duration: float, watch: Callable[[Level], None]) -> None:
        """Fill in a level. Requests that have begun in time are waited for.

        `watch` is called now and then. On KeyboardInterrupt what goes on is cancelled, and the
        level keeps what was complete.
        """
        began = time.monotonic()
        over = threading.Event()
        workers = [
            threading.Thread(target=self._work, args=(level, began, duration, over), daemon=True)
            for _ in range(level.concurrency)
        ]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                while worker.is_alive():
                    worker.join(_LOOK)
                    watch(level)
        finally:
            over.set()

    def _work(self, level: Level, began: float, duration: float, over: threading.Event) -> None:
        while not over.is_set() and time.monotonic() - began < duration:
            try:
                sample = self._ask(over)
            except StokerError as error:
                with self._lock:
                    level.errors.append(error)
                # A refusal comes at once; thousands of them say no more than this one.
                return
            with self._lock:
                if sample is not None and not over.is_set():
                    level.samples.append(sample)
                    level.seconds = time.monotonic() - began

    def _ask(self, over: threading.Event) -> Sample | None:
        """One answer; None when `over` was set meanwhile."""
        question = self._question
        # Each begins with a number of its own: no engine has it in its cache of prompts.
        message = ChatMessage("user", f"({next(self._numbers)}) {question.prompt}")
        began = time.monotonic()
        first: float | None = None
        pieces = 0
        with self._client.chat(
            question.model,
            [message],
            backend=question.backend,
            max_tokens=question.max_tokens,
            silence=question.silence,
        ) as answer:
            for _ in answer:
                first = first or time.monotonic() - began
                pieces += 1
                if over.is_set():
                    return None
        seconds = time.monotonic() - began
        tokens = answer.usage.completion_tokens if answer.usage else pieces
        return Sample(tokens, seconds if first is None else first, seconds)


def _quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not below that share of them; 0 without any."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else 0.0
