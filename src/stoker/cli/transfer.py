"""Pull and push from the command line: progress, and another try when the line drops."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from stoker.base.errors import (
    Broken,
    Busy,
    DaemonError,
    Draining,
    RemoteError,
    Unreachable,
)
from stoker.cli import progress
from stoker.cli.errors import printable, refusal, say
from stoker.cli.spinner import Spinner
from stoker.client.client import Client
from stoker.wire.manage import Progress

WAITS: Final = (1, 2, 4, 8)
"""Seconds before each further try; what has arrived is kept, so a retry goes on where it broke."""
_GATEWAY_TROUBLE: Final = frozenset({502, 503, 504})
# A proxy says nothing; our daemon says what failed. What cannot pass (a name that nobody knows, a
# certificate that nobody signed) is not tried again.
_PASSING: Final = frozenset({"", Busy.code, Draining.code, Broken.code})
_GOES_ON: Final = (
    "The service goes on with it. The same command shows it again; `stoker stop-runner` ends it,\n"
    "and keeps what has arrived."
)


def pull(client: Client, model: str) -> str:
    """Pull with progress on stderr; the closing message. Raises StokerError."""
    token = hub_token(model)
    with _named("pull", model):
        return _persist(lambda: client.pull(model, bearer_token=token), "download")


def push(client: Client, model: str) -> str:
    """Push likewise."""
    token = hub_token(model)
    with _named("push", model):
        return _persist(lambda: client.push(model, bearer_token=token), "push")


def pull_if_missing(client: Client, model: str) -> None:
    """Make sure that the model is in the store."""
    try:
        client.inspect(model)
    except DaemonError as error:
        if error.status != 404:
            error.args = (f"Failed to inspect model: {error.message}",)
            raise
        say(f"Unable to find model '{printable(model)}' locally. Pulling from the server.")
        say(pull(client, model))


def hub_token(model: str) -> str:
    """`HF_TOKEN`, for models of Hugging Face and for nobody else."""
    theirs = model.lower().startswith(("huggingface.co/", "hf.co/"))
    return os.environ.get("HF_TOKEN", "") if theirs else ""


@contextmanager
def _named(verb: str, model: str) -> Iterator[None]:
    try:
        yield
    except DaemonError as error:
        text = refusal(f"{verb}ing {model}", error)
        # The far side's own sentence may begin with the same words.
        said = text.lower().startswith(f"failed to {verb} model")
        error.args = (text if said else f"Failed to {verb} model: {text}",)
        raise


class _Begun:
    """Remembers whether anything came at all: no retries against a daemon that is not there."""

    def __init__(self) -> None:
        self.yes = False

    def watch(self, records: Iterable[Progress]) -> Iterator[Progress]:
        with Spinner("waiting for the registry") as waiting:
            for record in records:
                waiting.stop()
                self.yes = True
                yield record


def _persist(attempt: Callable[[], Iterable[Progress]], verb: str) -> str:
    begun = _Begun()
    for tries, wait in enumerate(WAITS, start=1):
        try:
            return _follow(begun.watch(attempt()))
        except RemoteError as error:
            if not _worth_retrying(error, begun.yes):
                raise
            say(printable(error.message))
            say(f"Retrying {verb} (attempt {tries}/{len(WAITS)}) in {wait}s...")
        time.sleep(wait)
    return _follow(begun.watch(attempt()))


def _follow(records: Iterable[Progress]) -> str:
    try:
        return progress.show(records)
    except KeyboardInterrupt as stop:
        stop.add_note(_GOES_ON)
        raise


def _worth_retrying(error: RemoteError, begun: bool) -> bool:  # noqa: FBT001
    if isinstance(error, DaemonError):
        return error.status in _GATEWAY_TROUBLE and error.remote_code in _PASSING
    return isinstance(error, Unreachable) and begun
