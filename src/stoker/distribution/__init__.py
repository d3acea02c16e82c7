"""Models on the move: pull, push, package."""

from stoker.distribution.pull import Puller

__all__ = ["Puller"]
