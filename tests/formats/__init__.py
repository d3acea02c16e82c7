"""Tests of the header parsers."""
