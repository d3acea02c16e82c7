"""The plain docker client: the machine's own, else Debian's, unpacked into the cache."""

import shutil

from tests.components.debian import ensure_debian_parts


def ensure_docker() -> str:
    """The path of a docker client. No Docker engine is needed for a CLI plugin."""
    found = shutil.which("docker")
    if found:
        return found
    parts = ensure_debian_parts("docker", ["docker.io"], "usr/bin/docker", libraries=True)
    return str(parts / "usr" / "bin" / "docker")
