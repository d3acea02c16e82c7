"""Whose own code may be run: models by digest, each because somebody has said so."""

import re
from pathlib import Path
from typing import Final, final

import msgspec

from stoker.base.errors import CorruptStore, InvalidSetting
from stoker.library.kept import write_kept
from stoker.library.local import LocalModel
from stoker.oci.defaults import display_name
from stoker.oci.digest import Digest
from stoker.planner.spec import Format

_NAMED: Final = re.compile(r"sha256:[0-9a-f]{12,64}")
"""A digest, or as much of its beginning as `list` shows."""


@final
class Consents:
    """Digests in one JSON file, replaced as a whole on every change. One daemon owns it.

    What is consented to are bytes: a name that moves to others takes no consent along.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._given = frozenset(_read(path))

    def __contains__(self, model: object) -> bool:
        return model in self._given

    def give(self, model: Digest) -> None:
        """Let its code run, see `check_consent`. Raises StorageError."""
        self._put(self._given | {model})

    def withdraw(self, model: Digest) -> None:
        """Let it run no more. Raises StorageError."""
        self._put(self._given - {model})

    def clear(self) -> None:
        """Let none run any more. Raises StorageError."""
        self._put(frozenset())

    def _put(self, given: frozenset[Digest]) -> None:
        if given != self._given:
            write_kept(self._path, sorted(given))
            self._given = given


def check_consent(model: LocalModel, digest: str) -> None:
    """Raises InvalidSetting unless this model brings code and this digest names it. Pure."""
    name = display_name(model.name)
    if model.config.format != Format.SAFETENSORS:
        raise InvalidSetting(
            f"{name} is {model.config.format or 'of no known format'}: llama.cpp runs no code of"
            " models, so there is nothing to consent to"
        )
    if not model.code:
        raise InvalidSetting(
            f"{name} brings no code",
            hint="if it should: stoker package --safetensors DIR --allow-code NAME",
        )
    if not _NAMED.fullmatch(digest):
        raise InvalidSetting(
            "a consent names the digest of the model: sha256: and at least 12 digits of it",
            hint=f"stoker inspect {name} shows it, and the code",
        )
    if not model.id.startswith(digest):
        raise InvalidSetting(
            f"{digest} is not {name}, which is {model.id}",
            hint=f"look at its code again before you consent: stoker inspect {name}",
        )


def _read(path: Path) -> list[Digest]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Digest])
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise CorruptStore(
            f"{path} is not readable as a list of digests: {error}",
            hint="delete it, and consent again: without it no model's own code is run",
        ) from error
