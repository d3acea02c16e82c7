"""Engines: how to start, watch and stop the programs that run models."""
