"""Messages about memory and decisions: `/plan`, `/recommend`, `/why`, `/doctor`. All ours.

Sizes in bytes, contexts in tokens, times in seconds since 1970 where they are points in time.
"""

from typing import Final

import msgspec

HUB_TOKEN_HEADER: Final = "Stoker-Hub-Token"  # noqa: S105  # a name, not a token
"""The user's token for gated repositories of Hugging Face, with `/plan` and `/recommend`."""


class PlanPart(msgspec.Struct, omit_defaults=True):
    """What one component takes of a device. `measured`: what it took last time."""

    name: str
    bytes: int
    measured: int | None = None


class PlanDevice(msgspec.Struct, omit_defaults=True):
    """One device and what the model would take of it; `free` is now, without this model."""

    id: str
    total: int
    free: int
    bytes: int
    name: str = ""
    layers: int = 0
    parts: list[PlanPart] = []


class Plan(msgspec.Struct, omit_defaults=True):
    """`GET /plan?model=NAME[&context-size=N][&mode=MODE]`.

    `fits`: on the machine as it is now, if everything else of ours were unloaded; when not,
    `problem` and `hint` say what is missing and what would fit. `exact`: whether each size is
    computed or was measured, and none approximated. A model that is not here is looked up as a pull
    would, and only its header is read.
    """

    model: str
    engine: str
    fits: bool
    context: int = 0
    trained_context: int = 0
    """What one request can use at most, however much more there is to share; 0 when unknown."""
    slots: int = 0
    layers: int = 0
    gpu_layers: int = 0
    total: int = 0
    """What a run counts with: what was measured last time in place of what is computed."""
    computed: int = 0
    """The same by formulas alone."""
    exact: bool = False
    devices: list[PlanDevice] = []
    tokens_per_second: float = 0.0
    measured_tokens_per_second: float = 0.0
    """Of the fastest answer last time, of 16 tokens or more."""
    problem: str = ""
    hint: str = ""
    seconds: float = 0.0
    """What planning took."""
    download: int = 0
    """Bytes a pull would fetch; 0 of a model that is here."""
    disk_free: int = 0
    """Bytes where models are kept; only with `download`."""


class Choice(msgspec.Struct, omit_defaults=True):
    """One line of `GET /recommend`: a model, or one that exists in this quantization only maybe."""

    name: str
    size: int
    needs: int
    fits: bool
    where: str = ""
    context: int = 0
    """The longest that fits, at most what the model was trained for."""
    tokens_per_second: float = 0.0
    here: bool = False
    """Whether it is in the store."""
    best: bool = False


class Happening(msgspec.Struct, omit_defaults=True):
    """One entry of `GET /why?model=NAME`, oldest first."""

    time: float
    model: str
    what: str
    why: str = ""


class Check(msgspec.Struct, omit_defaults=True):
    """One line of `GET /doctor`; `state` is `ok`, `note` or `problem`."""

    topic: str
    state: str
    text: str
    advice: str = ""
