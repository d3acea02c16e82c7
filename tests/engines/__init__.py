"""Tests of stoker.engines, with real child processes and real llama.cpp."""
