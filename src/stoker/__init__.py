"""Stoker: a name becomes verified bytes, a plan, a real engine process, and a streamed answer."""

__version__ = "0.1.0"
