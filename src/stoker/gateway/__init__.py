"""The life of one model request."""

from stoker.gateway.answer import Answer, Passthrough
from stoker.gateway.operation import Call, Operation, decode_call
from stoker.gateway.serve import Gateway, Limits

__all__ = ["Answer", "Call", "Gateway", "Limits", "Operation", "Passthrough", "decode_call"]
