"""What is in the store, while others change it."""

from pathlib import Path

from stoker.library import Library
from stoker.store import Store
from tests.components.artifacts import put_model
from tests.components.tiny_models import chat_model


def test_a_model_that_goes_meanwhile_is_not_missed(tmp_path: Path) -> None:
    for name in ("test/stays", "test/goes", "test/stays-too"):
        put_model(tmp_path / "models", chat_model(tmp_path / "x.gguf", title=name), name)
    store = Store.open(tmp_path / "models")
    reading = Library(store)._readable()
    found = [next(reading)]
    gone = next(one for one in store.entries() if "goes" in one.names[0])
    store.remove(gone.manifest.digest)
    found += reading
    assert [one.names[0].split("/")[-1] for one in found] == ["stays:latest", "stays-too:latest"]
