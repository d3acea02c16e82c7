"""Copying content from a Source to a Sink."""
