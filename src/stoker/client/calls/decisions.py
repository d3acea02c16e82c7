"""Calls that explain memory and decisions."""

from stoker.client.call import Call, get
from stoker.client.calls.names import hub_header
from stoker.wire.plan import Check, Choice, Happening, Plan


def plan(
    model: str, *, context_size: int | None = None, mode: str = "", token: str = ""
) -> Call[Plan]:
    """Where a model would go. `context_size` in tokens, -1 for the most that fits.

    `token` is for a gated repository of Hugging Face.
    """
    query = {"model": model, "context-size": context_size, "mode": mode}
    return get("/plan", Plan, query, headers=hub_header(token))


def recommend(model: str = "", *, token: str = "") -> Call[list[Choice]]:
    """What fits here: quantizations of a model, or the models of the store."""
    return get("/recommend", list[Choice], {"model": model}, headers=hub_header(token))


def why(model: str = "") -> Call[list[Happening]]:
    """What was decided of late, oldest first."""
    return get("/why", list[Happening], {"model": model})


def doctor() -> Call[list[Check]]:
    """What the daemon finds out about its machine."""
    return get("/doctor", list[Check])
