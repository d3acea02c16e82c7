import pytest

from tests.components.memory_content import MemoryContent
from tests.suites.content_suite import Content, ContentSuite


class TestMemoryContent(ContentSuite):
    @pytest.fixture
    def content(self) -> Content:
        return MemoryContent()
