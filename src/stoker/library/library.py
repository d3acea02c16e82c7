"""The models that are here: list, find, resolve, tag, remove."""

import asyncio
import logging
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from stoker.base.errors import (
    AmbiguousName,
    Conflict,
    IntegrityError,
    ModelNotFound,
    ParseError,
    UnsupportedFormat,
)
from stoker.library.consents import Consents
from stoker.library.files import files_of, format_of
from stoker.library.laying_out import lay_out
from stoker.library.local import LocalModel
from stoker.oci.defaults import DEFAULT_REGISTRY, display_name
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, short_id
from stoker.oci.manifest import Manifest
from stoker.oci.modelconfig import ModelConfig, parse_config
from stoker.oci.reference import (
    ModelId,
    Reference,
    parse_name,
    parse_reference,
)
from stoker.planner.spec import ModelSpec
from stoker.store import Entry, Store

logger = logging.getLogger(__name__)

_MOST_NAMES: Final = 1024
"""Spellings of names that are remembered."""


@dataclass(frozen=True, slots=True)
class Untagged:
    """A name is gone."""

    name: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """The content is gone."""

    id: Digest


Removal = Untagged | Deleted


class Library:
    """Local models by name. Blocking store reads are short; long ones run in a thread.

    `consents`: whose own code may be run; None: nobody's.
    """

    def __init__(
        self,
        store: Store,
        *,
        default_registry: str = DEFAULT_REGISTRY,
        consents: Consents | None = None,
    ) -> None:
        self._store = store
        self._consents = consents
        self._default_registry = default_registry
        # Content never changes under a digest, so what was parsed once stays right.
        self._parsed: dict[Digest, tuple[Manifest, ModelConfig]] = {}
        self._resolved: dict[Digest, ModelSpec] = {}
        # What names mean, for as long as the index stays the very one they were looked up in.
        self._index: tuple[Entry, ...] = ()
        self._asked: dict[str, ModelSpec] = {}

    def models(self) -> tuple[LocalModel, ...]:
        """All models that can be read, in the order of the index."""
        return tuple(self._readable())

    def _readable(self) -> Iterator[LocalModel]:
        for entry in self._store.entries():
            try:
                yield self._local(entry.manifest, entry.names)
            except ModelNotFound:
                continue  # removed since the index was read
            except (ParseError, UnsupportedFormat, IntegrityError) as error:
                # Strangers may write to the layout too; one odd artifact must not hide the others.
                logger.warning("not a model id=%s: %s", entry.manifest.digest, error)

    def find(
        self, text: str, *, among: Callable[[Sequence[str]], bool] = lambda _: True
    ) -> LocalModel:
        """The model that a name, an id or a digest means, for those who only look at it.

        When nothing has that name, the last component of a name is enough, as long as it is
        unambiguous; `among` decides by their names which models can be meant so.
        Raises InvalidReference, ModelNotFound, AmbiguousName.
        """
        exact = self._exact(text)
        if exact:
            return exact
        wanted = posixpath.basename(text.strip().partition("@")[0]).partition(":")[0].lower()
        found = {
            model.id: model
            for model in self.models()
            if among(model.names)
            and any(
                posixpath.basename(parse_reference(n).repository) == wanted for n in model.names
            )
        }
        if len(found) > 1:
            names = ", ".join(sorted(display_name(model.name) for model in found.values()))
            raise AmbiguousName(f"{text} may mean any of: {names}", hint="give the full name")
        if not found:
            raise self._not_found(text)
        return next(iter(found.values()))

    def named(self, text: str) -> LocalModel:
        """The model that has this very name, id or digest: what changes one takes no other for it.

        Raises InvalidReference, ModelNotFound, AmbiguousName.
        """
        model = self._exact(text)
        if model is None:
            raise self._not_found(text)
        return model

    def names_of(self, text: str) -> tuple[str, ...]:
        """All canonical names of the model that `text` means, or the one it would have.

        Empty for an id that no model has. Raises InvalidReference, AmbiguousName.
        """
        model = self._exact(text)
        if model:
            return model.names
        name = parse_name(text, default_registry=self._default_registry)
        return (str(name),) if isinstance(name, Reference) else ()

    async def resolve(self, name: str) -> ModelSpec:
        """The model to run, its files laid out for an engine. The name must be exact.

        `ModelSpec.name` is the name as asked. Raises InvalidReference, ModelNotFound,
        UnsupportedFormat, StorageError.
        """
        spec = self.resolved(name)
        if spec is None or not spec.weights.exists():
            asked = self._asked
            spec = asked[name] = await self._find_out(name)
        return spec

    async def resolve_like(self, text: str) -> ModelSpec:
        """`resolve`, or of a name that nothing has what `find` takes it for. Raises as they do."""
        try:
            return await self.resolve(text)
        except ModelNotFound:
            return await self.resolve(self.find(text).name)

    def resolved(self, name: str) -> ModelSpec | None:
        """What `resolve` answered, if that is what the name still means and may still be run so.

        Its files are not looked at, which is right for whoever has an engine that holds them open.
        """
        index = self._store.entries()
        if index is not self._index or len(self._asked) > _MOST_NAMES:
            self._index, self._asked = index, {}
        spec = self._asked.get(name)
        return spec if spec and spec.trusted == self._trusts(spec.id) else None

    async def _find_out(self, name: str) -> ModelSpec:
        model = self.named(name)
        spec = self._resolved.get(model.id)
        if spec is None or not spec.weights.exists() or spec.trusted != model.trusted:
            spec = await asyncio.to_thread(lay_out, self._store, model)
            self._resolved[model.id] = spec
        return spec if spec.name == name else spec.named(name)

    def _trusts(self, model: Digest) -> bool:
        return self._consents is not None and model in self._consents

    def tag(self, source: str, target: str) -> Reference:
        """Give a model one more name; a name another model had moves to this one."""
        reference = parse_reference(target, default_registry=self._default_registry).tagged
        self._store.tag(str(reference), self.find(source).descriptor)
        return reference

    def remove(self, text: str, *, force: bool = False) -> list[Removal]:
        """Remove a name, and the content with the last name; by id, all names (with `force`).

        Raises ModelNotFound, Conflict.
        """
        model = self.named(text)
        named = self._as_name(text)
        if named and len(model.names) > 1 and not force:
            self._store.untag(named)
            return [Untagged(named)]
        if not named and len(model.names) > 1 and not force:
            raise Conflict(
                f'unable to delete "{text}" (must be forced) due to multiple tag references:'
                " resource conflict",
                hint="use --force, or remove the names one by one",
            )
        if self._consents is not None:
            self._consents.withdraw(model.id)
        removed = self._store.remove(model.id)
        self._store.gc()
        self._parsed.pop(model.id, None)
        self._resolved.pop(model.id, None)
        return [*(Untagged(name) for name in removed), Deleted(model.id)]

    def purge(self) -> None:
        """Remove every model. Engines that run keep their files until they end."""
        if self._consents is not None:
            self._consents.clear()
        self._store.purge()
        self._parsed.clear()
        self._resolved.clear()

    def _as_name(self, text: str) -> str | None:
        """The tag that was meant, or None when the model was named by id or digest."""
        name = parse_name(text, default_registry=self._default_registry)
        if isinstance(name, Reference) and name.digest is None:
            return str(name)
        return None

    def _exact(self, text: str) -> LocalModel | None:
        name = parse_name(text, default_registry=self._default_registry)
        if isinstance(name, ModelId):
            by_id = self._by_id(text, name)
            if by_id or text.strip().startswith("sha256:"):
                return by_id
            # Twelve hex digits can be somebody's model name after all.
            name = parse_reference(text, default_registry=self._default_registry)
        for entry in self._store.entries():
            pinned = name.digest is not None and entry.manifest.digest == name.digest
            if pinned or (name.digest is None and str(name) in entry.names):
                return self._local(entry.manifest, entry.names)
        return None

    def _by_id(self, text: str, wanted: ModelId) -> LocalModel | None:
        found = [e for e in self._store.entries() if wanted.matches(e.manifest.digest)]
        if len(found) > 1:
            ids = ", ".join(short_id(entry.manifest.digest) for entry in found)
            raise AmbiguousName(f"{text} may mean any of: {ids}", hint="give more digits")
        return self._local(found[0].manifest, found[0].names) if found else None

    def _local(self, manifest: Descriptor, names: tuple[str, ...]) -> LocalModel:
        known = self._parsed.get(manifest.digest)
        if known is None:
            parsed = self._store.manifest(manifest.digest)
            raw = self._store.blobs.read_metadata(parsed.config)
            config = parse_config(raw, parsed.config.media_type)
            if not config.format:
                # ModelPack need not say it; its file names do, as Docker Model Runner reads them.
                config = replace(config, format=format_of(files_of(parsed)) or "")
            known = (parsed, config)
            self._parsed[manifest.digest] = known
        return LocalModel(manifest, names, *known, self._trusts(manifest.digest))

    def _not_found(self, text: str) -> ModelNotFound:
        return ModelNotFound("model not found", hint=f"stoker pull {text.strip()}")
