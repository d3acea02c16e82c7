"""Tests of Stoker. A package, so that tests may share their stand-ins."""
