"""A typed client of the daemon's HTTP API; also the Python SDK.

    from stoker.client import Client, ChatMessage

    with Client().chat("pilot", [ChatMessage("user", "Hello!")]) as answer:
        for delta in answer:
            print(delta.text, end="")

It is synchronous and needs only the standard library and msgspec. Every failure is a
`stoker.base.errors.StokerError`.
"""

from stoker.client.chat import Answer, ChatMessage, Delta, Usage
from stoker.client.client import Client
from stoker.client.endpoint import Endpoint, endpoint_of

__all__ = ["Answer", "ChatMessage", "Client", "Delta", "Endpoint", "Usage", "endpoint_of"]
