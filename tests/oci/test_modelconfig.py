"""The config of a model artifact, as strangers write it."""

import pytest

from stoker.oci.mediatypes import DOCKER_CONFIG_V01
from stoker.oci.modelconfig import MAX_CONTEXT, parse_config


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("4096", 4096), (str(MAX_CONTEXT), MAX_CONTEXT), ("null", None), ("0", None),
        ("-3", None), (str(MAX_CONTEXT + 1), None),
    ],
)  # fmt: skip
def test_a_context_that_cannot_be_is_as_if_nothing_were_said(
    written: str, read: int | None
) -> None:
    """An engine would be told the number, and refuse to start."""
    document = f'{{"config": {{"format": "gguf", "context_size": {written}}}}}'.encode()
    assert parse_config(document, DOCKER_CONFIG_V01).context_size == read
