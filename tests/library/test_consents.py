"""What may be consented to, and how long a consent lasts."""

from pathlib import Path

import pytest

from stoker.base.errors import CorruptStore, InvalidSetting, StorageError
from stoker.library import LocalModel
from stoker.library.consents import Consents, check_consent
from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import Manifest
from stoker.oci.modelconfig import ModelConfig

DIGEST = Digest("sha256:" + "0123456789abcdef" * 4)
OTHER = Digest("sha256:" + "f" * 64)


def model(*files: str, kind: str = "safetensors") -> LocalModel:
    config = Descriptor.of(b"{}", mt.DOCKER_CONFIG_V02)
    layers = tuple(
        Descriptor(mt.DOCKER_MODEL_FILE, OTHER, 1, {mt.ANNOTATION_FILEPATH: name}) for name in files
    )
    described = Descriptor(mt.OCI_MANIFEST, DIGEST, 1)
    return LocalModel(
        described, ("docker.io/me/x:latest",), Manifest(config, layers), ModelConfig(format=kind)
    )


@pytest.mark.parametrize("digest", [DIGEST, DIGEST[:19], DIGEST[:40]])
def test_a_digest_or_its_first_twelve_digits(digest: str) -> None:
    check_consent(model("a.py"), digest)


@pytest.mark.parametrize(
    ("files", "kind", "digest", "words"),
    [
        (("a.py",), "safetensors", "", "names the digest"),
        (("a.py",), "safetensors", DIGEST[:18], "names the digest"),
        (("a.py",), "safetensors", DIGEST[7:], "names the digest"),
        (("a.py",), "safetensors", DIGEST.upper(), "names the digest"),
        (("a.py",), "safetensors", f"{DIGEST}0", "names the digest"),
        (("a.py",), "safetensors", "me/x:latest", "names the digest"),
        (("a.py",), "safetensors", OTHER, f"{OTHER} is not me/x, which is {DIGEST}"),
        (("a.py",), "safetensors", OTHER[:19], "is not me/x"),
        (("a.so", "b.bin", "c.json"), "safetensors", DIGEST, "me/x brings no code"),
        (("a.py",), "gguf", DIGEST, "me/x is gguf: llama.cpp runs no code of models"),
    ],
)
def test_refused(files: tuple[str, ...], kind: str, digest: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        check_consent(model(*files, kind=kind), digest)


def test_kept_until_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "data" / "consents.json"
    Consents(path).give(DIGEST)
    again = Consents(path)
    assert DIGEST in again
    assert OTHER not in again
    again.give(OTHER)
    again.withdraw(DIGEST)
    again.withdraw(DIGEST)
    assert DIGEST not in again
    assert DIGEST not in Consents(path)
    assert OTHER in Consents(path)
    again.clear()
    assert OTHER not in Consents(path)


def test_what_cannot_be_kept_is_not_given(tmp_path: Path) -> None:
    consents = Consents(tmp_path / "file" / "consents.json")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"consents\.json"):
        consents.give(DIGEST)
    assert DIGEST not in consents


def test_a_damaged_file_is_no_consent(tmp_path: Path) -> None:
    path = tmp_path / "consents.json"
    path.write_text('{"sha256:0123": true}')
    with pytest.raises(CorruptStore, match="not readable as a list of digests"):
        Consents(path)
