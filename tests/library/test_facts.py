"""Facts are remembered; that a disk did not tell them is not."""

from pathlib import Path

from stoker.library.facts import FactsReader
from stoker.oci.digest import Digest
from stoker.planner.spec import Format, ModelSpec
from tests.components.tiny_models import chat_model


async def test_what_could_not_be_read_is_read_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    spec = ModelSpec(Digest("sha256:" + "0" * 64), "ai/x", Format.GGUF, path, 1)
    reader = FactsReader()
    assert await reader.facts(spec) is None
    chat_model(path)
    assert await reader.facts(spec) is not None
    path.unlink()
    assert await reader.facts(spec) is not None
