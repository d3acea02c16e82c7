"""What a command may load. Modules are counted, not milliseconds: those depend on the machine."""

import json
import subprocess
import sys

import pytest

from tests.components.stub_daemon import Stub

PROGRAM = """
import json, sys
from stoker.cli.{module} import {function}
code = {function}({arguments})
sys.stdout.flush()
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
# Each costs more than the bare interpreter's start.
HEAVY = {
    "aiohttp", "asyncio", "argparse", "email", "http", "logging", "msgspec", "platformdirs",
    "prompt_toolkit", "psutil", "rich", "ssl", "subprocess", "threading",
}  # fmt: skip


def loaded(module: str, function: str, arguments: str = "") -> set[str]:
    program = PROGRAM.format(module=module, function=function, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_loads_nothing() -> None:
    modules = loaded("main", "run", "['--help'], 'stoker'")
    assert modules & HEAVY == set()


def test_plugin_metadata_loads_nothing() -> None:
    assert loaded("plugin", "metadata").isdisjoint(HEAVY)


def test_list_loads_the_client_and_no_more(daemon: Stub) -> None:
    modules = loaded("main", "run", "['list'], 'stoker'")
    assert "stoker.client.client" in modules
    heavy = HEAVY - {"argparse", "email", "http", "msgspec", "ssl"}
    assert modules & heavy == set()
    commands = {name for name in modules if name.startswith("stoker.cli.commands.")}
    assert commands == {"stoker.cli.commands.list"}
    calls = {name for name in modules if name.startswith("stoker.client.calls.")}
    assert calls == {"stoker.client.calls.names", "stoker.client.calls.store"}
    assert modules & {"hashlib", "shutil", "stoker.client.chat", "stoker.oci.reference"} == set()


@pytest.mark.parametrize("argv", [["ps"], ["status"], ["run", "smollm2", "hi"], ["pull", "x"]])
def test_no_command_loads_the_daemon(argv: list[str], daemon: Stub) -> None:
    modules = loaded("main", "run", f"{argv!r}, 'stoker'")
    ours = {name.split(".")[1] for name in modules if name.startswith("stoker.")}
    assert ours <= {"base", "cli", "client", "oci", "wire"}
    assert modules & {"rich", "prompt_toolkit", "asyncio", "subprocess", "psutil"} == set()
