"""Docker Model Runner's tables, byte for byte."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from stoker.cli import typed
from stoker.cli.commands import df, ps, status
from stoker.cli.commands import list as listing
from stoker.cli.output import age, short_id, table
from stoker.wire.manage import Model, Runner
from stoker.wire.runners import EngineBuild
from tests.cli.terminal import terminal
from tests.components.stub_daemon import ID, SMOLLM2

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def test_the_empty_list() -> None:
    assert table(listing.HEADER, []) == (
        "MODEL NAME  PARAMETERS  QUANTIZATION  ARCHITECTURE  MODEL ID  CREATED  CONTEXT  SIZE  \n"
    )


def test_the_list() -> None:
    rows = [
        ["smollm2", "361.82M", "IQ2_XXS/Q4_K_M", "llama", "354bf30d0aa3", "16 months ago", "8192",
         "256.35MiB"],
        ["hf.co/bartowski/model:Q4_K_S", "", "", "", "354bf30d0aa3", "About a minute ago", "", ""],
    ]  # fmt: skip
    assert table(listing.HEADER, rows) == (
        "MODEL NAME                    PARAMETERS  QUANTIZATION    ARCHITECTURE  MODEL ID      "
        "CREATED             CONTEXT  SIZE       \n"
        "smollm2                       361.82M     IQ2_XXS/Q4_K_M  llama         354bf30d0aa3  "
        "16 months ago       8192     256.35MiB  \n"
        "hf.co/bartowski/model:Q4_K_S                                            354bf30d0aa3  "
        "About a minute ago                      \n"
    )


def test_on_a_terminal_a_line_ends_where_its_text_ends() -> None:
    with terminal("context", "ls") as screen:
        assert screen.end() == 0
    header, row, end = screen.seen.split("\r\n")
    assert (header[-7:], row[-1], end) == ("CURRENT", "*", "")


def test_other_tables() -> None:
    assert table(ps.HEADER, [["smollm2", "llama.cpp", "completion", "4 minutes from now"]]) == (
        "MODEL NAME  BACKEND    MODE        UNTIL               \n"
        "smollm2     llama.cpp  completion  4 minutes from now  \n"
    )
    backends = {"vllm": "Not Installed", "llama.cpp": "Running: llama.cpp b9879"}
    assert status.lines(backends) == (
        "llama.cpp: running llama.cpp version: b9879\nvllm: not installed\n"
    )
    assert status.lines({"vllm": "Running: vllm 0.32.0 (cpu)"}) == (
        "vllm: running vllm version: 0.32.0\n"
    )
    assert status.lines({"vllm": "Running: vllm 0.32.0 (cpu), not confined"}) == (
        "vllm: running vllm version: 0.32.0, not confined\n"
    )
    assert status.lines({"vllm": "Installing: fetching uv", "mlx": "Running"}) == (
        "mlx: running\nvllm: installing: fetching uv\n"
    )
    given_up = EngineBuild("vllm", "0.1", "cpu", retired="it cannot load x")
    builds = [EngineBuild("llama.cpp", "b1", "wheel", active=True), given_up]
    assert table(status.HEADER, status.rows(builds)) == (
        "BACKEND    VERSION  BUILD  INSTALLED  STATE                       \n"
        "llama.cpp  b1       wheel             in use                      \n"
        "vllm       0.1      cpu               given up: it cannot load x  \n"
    )
    assert table(df.HEADER, [["Models", "270.61MB"], ["Inference engine", "95.10MB"]]) == (
        "TYPE              SIZE      \nModels            270.61MB  \nInference engine  95.10MB   \n"
    )


def test_widths_are_those_of_a_terminal() -> None:
    assert table(["A"], [["模型"], ["e\u0301"]]) == "A     \n模型  \ne\u0301     \n"


def test_cells_that_would_break_the_table() -> None:
    assert table(["A", "B"], [["x\ny", "a\tb"], ["\x1b[31m", ""]]) == (
        "A         B       \nx         a    b  \ny                 \n\\x1b[31m          \n"
    )


def test_ids_and_ages() -> None:
    assert short_id(ID) == "354bf30d0aa3"
    assert short_id("354bf30d0aa3af41") == "354bf30d0aa3"
    assert age(0) == ""
    assert age(int((datetime.now(UTC) - timedelta(days=60)).timestamp())) == "2 months ago"


@pytest.mark.parametrize(
    ("tag", "wanted", "fits"),
    [
        ("docker.io/ai/smollm2:latest", "smollm2", True),
        ("docker.io/ai/smollm2:135M", "smollm2", True),
        ("docker.io/ai/smollm2:135M", "ai/smollm2", True),
        ("docker.io/ai/smollm2:135M", "docker.io/ai/smollm2", True),
        ("docker.io/ai/smollm2:135M", "smollm2:135M", True),
        ("docker.io/ai/smollm2:135M", "smollm2:latest", False),
        ("docker.io/me/smollm2:latest", "smollm2", False),
        ("registry.local:5000/me/m:v1", "registry.local:5000/me/m", True),
        ("huggingface.co/org/name:Q4_K_M", "hf.co/org/name", True),
        ("", "smollm2", False),
        ("docker.io/ai/smollm2:latest", "354bf30d0aa3", False),
    ],
)
def test_the_filter_of_list(tag: str, wanted: str, fits: bool) -> None:  # noqa: FBT001
    assert typed.fits(tag, wanted) is fits


def test_rows_are_sorted_by_name_then_tag() -> None:
    model = msgspec.convert(SMOLLM2, Model)
    model.tags = [f"docker.io/ai/{name}" for name in ("qwen3:4B-F16", "Qwen3:latest", "a:z")]
    model.tags += ["docker.io/ai/qwen3:14B-Q6_K", "docker.io/ai/qwen3:0.6B-F16"]
    untagged = Model(id=ID)
    shown = [row[0] for row in listing.rows([untagged, model])]
    assert shown == [
        "<none>", "a:z", "Qwen3", "qwen3:0.6B-F16", "qwen3:14B-Q6_K", "qwen3:4B-F16",
    ]  # fmt: skip


def runner(**values: object) -> Runner:
    base = {"backend_name": "llama.cpp", "model_name": "m", "mode": "completion"}
    return msgspec.convert({**base, "last_used": "2026-11-21T11:59:00Z", **values}, Runner)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "4 minutes from now"),
        ({"keep_alive": "1h30m0s"}, "About an hour from now"),
        ({"keep_alive": "-1"}, "Forever"),
        ({"keep_alive": "0s"}, "Expiring"),
        ({"keep_alive": "nonsense"}, "4 minutes from now"),
        ({"loading": True}, "Loading..."),
        ({"in_use": True, "last_used": "0001-01-01T00:00:00Z"}, "5 minutes from now"),
        ({"last_used": "2026-11-21T11:59:00.123456789Z"}, "4 minutes from now"),
        ({"last_used": "2026-11-21T12:59:00+01:00"}, "4 minutes from now"),
        ({"last_used": "2026-11-21T11:00:00Z"}, "Expiring"),
    ],
)
def test_until(values: dict[str, object], text: str) -> None:
    assert ps.until(runner(**values), NOW) == text
