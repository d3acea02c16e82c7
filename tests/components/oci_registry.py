"""A real OCI registry for tests: Debian's `docker-registry` (distribution), on loopback."""

import contextlib
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import Manifest, manifest_bytes
from stoker.oci.mediatypes import DOCKER_CONFIG_V01, DOCKER_GGUF, OCI_MANIFEST
from tests.components.debian import ensure_debian_parts, library_path

_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
_START_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Htpasswd:
    """Flavour: Basic authentication. `line` is `user:<bcrypt hash>`, of reader:swordfish."""

    line: str = "reader:$2b$04$0jCUnFUsdkzUS5JW0pMmx.qavwGEsQJ/H1SbGLUOvUY5e306wq9Ne"


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """Flavour: Bearer tokens of this realm, signed by a key in this bundle."""

    realm: str
    service: str
    issuer: str
    bundle: Path


@dataclass(frozen=True, slots=True)
class Tls:
    """Flavour: HTTPS with this certificate."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class RunningRegistry:
    """`host` is `127.0.0.1:<port>`; `storage` is its directory on disk."""

    host: str
    storage: Path
    log: Path
    pid: int

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])

    def blob_path(self, digest: str) -> Path:
        """Where distribution keeps the bytes of a digest: for tests that damage them."""
        algorithm, _, encoded = digest.partition(":")
        blobs = self.storage / "docker/registry/v2/blobs"
        return blobs / algorithm / encoded[:2] / encoded / "data"


def ensure_docker_registry() -> Path:
    """The `docker-registry` program, fetched when it is not there yet."""
    root = ensure_debian_parts("docker-registry", ["docker-registry"], "usr/bin/docker-registry")
    return root / "usr/bin/docker-registry"


def ensure_skopeo() -> Path:
    """The `skopeo` program and its libraries, fetched when they are not there yet."""
    root = ensure_debian_parts("skopeo", ["skopeo"], "usr/bin/skopeo", libraries=True)
    return root / "usr/bin/skopeo"


def skopeo(home: Path, *arguments: str) -> str:
    """Run skopeo with a home of its own. Its output, or RuntimeError with its complaint."""
    program = ensure_skopeo()
    result = subprocess.run(
        [program, "--insecure-policy", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=home,
        env={
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "LD_LIBRARY_PATH": library_path(program.parents[2]),
        },
    )
    if result.returncode != 0:
        raise RuntimeError(f"skopeo {arguments[0]}: {result.stderr[-800:]}")
    return result.stdout


@contextlib.contextmanager
def oci_registry(
    directory: Path, *, auth: Htpasswd | TokenAuth | None = None, tls: Tls | None = None
) -> Iterator[RunningRegistry]:
    """Run a registry that keeps everything under `directory`; it stops with the block."""
    program = ensure_docker_registry()
    storage = directory / "storage"
    storage.mkdir(parents=True)
    config = directory / "config.yml"
    # JSON is YAML.
    config.write_text(json.dumps(_config(directory, auth, tls)))
    log = directory / "registry.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "serve", config],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={"OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        yield RunningRegistry(f"127.0.0.1:{_port(process, log)}", storage, log, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _config(
    directory: Path, auth: Htpasswd | TokenAuth | None, tls: Tls | None
) -> dict[str, object]:
    http: dict[str, object] = {"addr": "127.0.0.1:0", "secret": "only-for-tests"}
    if tls:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "storage")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": http,
    }
    if isinstance(auth, Htpasswd):
        path = directory / "htpasswd"
        path.write_text(auth.line + "\n")
        config["auth"] = {"htpasswd": {"realm": "stoker tests", "path": str(path)}}
    elif isinstance(auth, TokenAuth):
        config["auth"] = {
            "token": {
                "realm": auth.realm,
                "service": auth.service,
                "issuer": auth.issuer,
                "rootcertbundle": str(auth.bundle),
            }
        }
    return config


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if match := _LISTENING.search(log.read_text(errors="replace")):
            return int(match.group(1))
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"docker-registry did not start: {log.read_text(errors='replace')[-800:]}")


# Seeding, without the code under test.


@dataclass(frozen=True, slots=True)
class SeededModel:
    """What `seed_model` put there."""

    manifest: Manifest
    descriptor: Descriptor
    blobs: Mapping[str, bytes]


def seed_model(
    host: str, repository: str, layers: Mapping[str, bytes] | bytes, *, tag: str = "latest"
) -> SeededModel:
    """Push a small model over plain HTTP: `layers` by media type, or the bytes of one GGUF."""
    parts = {DOCKER_GGUF: layers} if isinstance(layers, bytes) else dict(layers)
    described = [Descriptor.of(data, media_type) for media_type, data in parts.items()]
    config_data = json.dumps({"config": {"format": "gguf"}, "rootfs": {"diff_ids": []}}).encode()
    config = Descriptor.of(config_data, DOCKER_CONFIG_V01)
    manifest = Manifest(config=config, layers=tuple(described))
    blobs: dict[str, bytes] = {config.digest: config_data}
    blobs |= {d.digest: data for d, data in zip(described, parts.values(), strict=True)}
    for digest, data in blobs.items():
        seed_blob(host, repository, digest, data)
    encoded = manifest_bytes(manifest)
    seed_manifest(host, repository, encoded, OCI_MANIFEST, tag)
    return SeededModel(manifest, Descriptor.of(encoded, OCI_MANIFEST), blobs)


def seed_blob(host: str, repository: str, digest: str, data: bytes) -> None:
    """Upload one blob in one piece."""
    started = _call("POST", f"http://{host}/v2/{repository}/blobs/uploads/", b"", {})
    location = started["Location"]
    joint = "&" if "?" in location else "?"
    headers = {"Content-Type": "application/octet-stream"}
    _call("PUT", f"{location}{joint}digest={digest}", data, headers)


def seed_manifest(host: str, repository: str, data: bytes, media_type: str, name: str) -> None:
    """Put a manifest or index under a tag or digest."""
    url = f"http://{host}/v2/{repository}/manifests/{name}"
    _call("PUT", url, data, {"Content-Type": media_type})


def _call(method: str, url: str, data: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
    request = urllib.request.Request(url, data=data, headers=dict(headers), method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        return dict(response.headers.items())
