"""Typed clients of the daemon's HTTP API: `stoker.Client` and `stoker.AsyncClient`."""
