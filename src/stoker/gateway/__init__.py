"""The life of one model request."""

from stoker.gateway.answer import Answer, Passthrough
from stoker.gateway.body import LIMITS, Limits, read_body
from stoker.gateway.operation import Call, Operation, decode_call
from stoker.gateway.serve import Gateway

__all__ = [
    "LIMITS", "Answer", "Call", "Gateway", "Limits", "Operation", "Passthrough", "decode_call",
    "read_body",
]  # fmt: skip
