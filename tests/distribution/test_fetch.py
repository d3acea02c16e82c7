"""The end of a pull: what has arrived gets its name."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

from stoker.distribution.fetch import pull_from
from stoker.oci.reference import parse_reference
from stoker.store import Store
from stoker.store.lock import StoreLock
from stoker.wire.manage import Progress
from tests.store.models import model, put_model


async def test_a_name_that_waits_for_the_store_holds_up_nobody_else(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "models", lock_timeout=1.0)
    here = await put_model(store, model(b"weights"), "docker.io/ai/x:latest")
    source = here.content
    source.names[""] = here.descriptor
    said: list[Progress] = []
    with ExitStack() as other:
        other.enter_context(StoreLock(tmp_path / "models" / ".stoker" / "lock").held())
        asyncio.get_running_loop().call_soon(other.close)  # somebody else's work goes on
        await pull_from(source, parse_reference("ai/y"), store, said.append)
    assert [line.type for line in said] == ["success"]
    assert store.entries()[0].names == ("docker.io/ai/x:latest", "docker.io/ai/y:latest")
