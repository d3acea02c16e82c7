"""The life of one model request."""

from stoker.gateway.operation import Operation
from stoker.gateway.serve import Gateway, Limits

__all__ = ["Gateway", "Limits", "Operation"]
