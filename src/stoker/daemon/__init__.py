"""The composition root: wiring, life cycle, `stoker serve`."""
