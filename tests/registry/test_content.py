"""The conformance suite of all Sources and Sinks, over a real registry."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.components.oci_registry import RunningRegistry
from tests.registry.conftest import QUICK
from tests.suites.content_suite import Content, ContentSuite

from stoker.oci.reference import parse_reference
from stoker.registry.client import RegistryClient


class TestRepositoryContent(ContentSuite):
    @pytest.fixture
    async def content(
        self, registry: RunningRegistry, repository_name: str
    ) -> AsyncIterator[Content]:
        # What waits in the buffer is lost with the block, so the suite's writes have to be chunks.
        async with RegistryClient(replace(QUICK, upload_chunk=1000)) as client:
            yield client.repository(parse_reference(f"{registry.host}/{repository_name}"))
